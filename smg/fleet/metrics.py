"""Gauges of the fleet, kept by registry events; loads and health are read when Prometheus asks.

Series of a worker disappear with it (operations 1.4).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from smg.workers import Worker, WorkerEvent, WorkerRegistry

if TYPE_CHECKING:
    from smg.observability.families import GatewayMetrics

PoolKey = tuple[str, str, str]  # worker type, connection mode, model


class FleetMetrics:
    """Follows `registry` until `close()`; `checked` goes to the health monitor."""

    def __init__(self, registry: WorkerRegistry, metrics: GatewayMetrics) -> None:
        self._metrics = metrics
        self._pools: dict[str, PoolKey] = {}  # by worker id
        self._sizes: Counter[PoolKey] = Counter()
        for worker in registry.all():
            self._added(worker)
        self.close = registry.subscribe(self._on_event)

    def checked(self, worker: Worker, healthy: bool) -> None:
        """A probe of `worker` ended."""
        result = "success" if healthy else "failure"
        self._metrics.worker_health_checks.labels(worker.worker_type, result).inc()

    def _on_event(self, event: WorkerEvent) -> None:
        if event.kind == "added":
            self._added(event.worker)
        elif event.kind == "removed":
            self._leave_pool(event.worker)
            self._metrics.remove_worker(event.worker.url)
        elif event.kind == "models":
            self._leave_pool(event.worker)
            self._enter_pool(event.worker)

    def _added(self, worker: Worker) -> None:
        self._enter_pool(worker)
        url = (worker.url,)
        self._metrics.worker_health.track(url, lambda: float(worker.is_healthy))
        self._metrics.worker_requests_active.track(url, lambda: float(worker.load))

    def _enter_pool(self, worker: Worker) -> None:
        model = self._metrics.models.admit(worker.model_ids[0])
        key = (worker.worker_type, worker.connection_mode, model)
        self._pools[worker.id] = key
        self._sizes[key] += 1
        self._metrics.worker_pool_size.labels(*key).set(self._sizes[key])

    def _leave_pool(self, worker: Worker) -> None:
        key = self._pools.pop(worker.id)
        self._sizes[key] -= 1
        if self._sizes[key]:
            self._metrics.worker_pool_size.labels(*key).set(self._sizes[key])
        else:
            del self._sizes[key]
            self._metrics.worker_pool_size.remove(*key)
