"""Gauges that are read from live objects at scrape time, so that nobody keeps them up to date."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from smg.observability.inflight_age import INTERVAL, InflightAges
from smg.workers import WorkerStatus

if TYPE_CHECKING:
    from smg.core.deadlines import Ticker
    from smg.observability.families import GatewayMetrics
    from smg.server import HttpServer
    from smg.upstream import HttpClient
    from smg.workers import Worker, WorkerEvent, WorkerRegistry


class Gauges:
    """Follows the registry: a worker's series exist as long as the worker."""

    def __init__(
        self,
        metrics: GatewayMetrics,
        server: HttpServer,
        registry: WorkerRegistry,
        client: HttpClient,
        ticker: Ticker,
    ) -> None:
        self._metrics = metrics
        self._registry = registry
        self._server = server
        self._ticker = ticker
        self._ages = InflightAges(metrics.http_inflight_request_age)
        self._aged = 0.0
        self._pools: set[tuple[str, str, str]] = set()
        metrics.http_connections_active.track((), lambda: float(len(server.exchanges)))
        metrics.http_open_connections.track((), lambda: float(len(server.connections)))
        metrics.worker_connections_active.track(
            ("regular", "http"), lambda: float(client.open_connections)
        )
        ticker.subscribe(self._tick)
        self._unsubscribe = registry.subscribe(self._on_event)
        for worker in registry.all():
            self._added(worker)
        self._count_pools()

    def close(self) -> None:
        """Stop following."""
        self._unsubscribe()
        self._ticker.unsubscribe(self._tick)

    def _on_event(self, event: WorkerEvent) -> None:
        worker = event.worker
        if event.kind == "added":
            self._added(worker)
        elif event.kind == "removed":
            self._metrics.remove_worker(worker.url)
        if event.kind != "status":
            self._count_pools()

    def _added(self, worker: Worker) -> None:
        metrics = self._metrics
        metrics.worker_requests_active.track((worker.url,), lambda: float(worker.load))
        metrics.worker_health.track(
            (worker.url,), lambda: float(worker.status is WorkerStatus.READY)
        )

    def _count_pools(self) -> None:
        counts: dict[tuple[str, str, str], int] = {}
        for worker in self._registry.all():
            for model in worker.model_ids:
                labels = (
                    worker.worker_type,
                    worker.connection_mode,
                    self._metrics.models.admit(model),
                )
                counts[labels] = counts.get(labels, 0) + 1
        for labels in self._pools - counts.keys():
            self._metrics.worker_pool_size.remove(*labels)
        for labels, count in counts.items():
            self._metrics.worker_pool_size.labels(*labels).set(count)
        self._pools = set(counts)

    def _tick(self, now: float) -> None:
        if now - self._aged < INTERVAL:
            return
        self._aged = now
        clock = perf_counter()
        self._ages.update([clock - exchange.started for exchange in self._server.exchanges])
