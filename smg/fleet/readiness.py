"""Whether the gateway should get traffic: a snapshot that probes read without counting anything.

Kept by registry events in constant time each. Rules: routing-reliability 25, http-api 7.
"""

from __future__ import annotations

from smg.workers import Worker, WorkerEvent, WorkerRegistry, WorkerStatus

DRAINING = "draining"
TOO_FEW = "insufficient healthy workers"


class Readiness:
    """`reason` is empty while ready; `healthy` and `total` count workers."""

    def __init__(self, registry: WorkerRegistry) -> None:
        self._registry = registry
        self._ready_ids: set[str] = set()
        self.draining = False
        self.reason = TOO_FEW
        self.healthy = 0
        self.total = 0
        for worker in registry.all():
            self._count(worker)
        self._conclude()
        self.close = registry.subscribe(self._on_event)

    @property
    def ready(self) -> bool:
        """Whether new traffic is welcome."""
        return not self.reason

    def drain(self) -> None:
        """Shutdown began: not ready from now on."""
        self.draining = True
        self._conclude()

    def _on_event(self, event: WorkerEvent) -> None:
        if event.kind == "removed":
            self._ready_ids.discard(event.worker.id)
        else:
            self._count(event.worker)
        self._conclude()

    def _count(self, worker: Worker) -> None:
        if worker.status is WorkerStatus.READY:
            self._ready_ids.add(worker.id)
        else:
            self._ready_ids.discard(worker.id)

    def _conclude(self) -> None:
        self.healthy = len(self._ready_ids)
        self.total = len(self._registry)
        if self.draining:
            self.reason = DRAINING
        else:
            self.reason = "" if self.healthy else TOO_FEW
