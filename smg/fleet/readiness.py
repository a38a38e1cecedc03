"""Whether the gateway should get traffic: a snapshot that probes read without counting anything.

Kept by registry events in constant time each. Rules: routing-reliability 25, http-api 7.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from smg.workers import Worker, WorkerEvent, WorkerRegistry, WorkerStatus

DRAINING = "draining"
TOO_FEW = "insufficient healthy workers"

Mode = Literal["regular", "prefill_decode", "encode_prefill_decode"]

#: worker types that must each have a healthy worker: others take no requests in that mode
LEGS: Mapping[Mode, tuple[str, ...]] = {
    "regular": ("regular",),
    "prefill_decode": ("prefill", "decode"),
    "encode_prefill_decode": ("encode", "prefill", "decode"),
}


class Snapshot(NamedTuple):
    """The verdict at one moment; never changed, so that other threads may read it.

    `reason` is empty while ready; `healthy` and `total` count workers.
    """

    reason: str
    healthy: int
    total: int


def enough(healthy: Mapping[str, int], mode: Mode = "regular") -> bool:
    """Whether these healthy workers, counted by worker type, can serve a request."""
    return all(healthy.get(leg, 0) for leg in LEGS[mode])


class Readiness:
    """Replaces `snapshot` whenever the fleet changes, until `close()`."""

    def __init__(self, registry: WorkerRegistry, mode: Mode = "regular") -> None:
        self._registry = registry
        self._mode = mode
        self._types: dict[str, str] = {}  # of the healthy workers, by id
        self._healthy: dict[str, int] = {}  # how many of each type
        self.draining = False
        self.snapshot = Snapshot(TOO_FEW, 0, 0)
        for worker in registry.all():
            self._count(worker, True)
        self._conclude()
        self.close = registry.subscribe(self._on_event)

    def drain(self) -> None:
        """Shutdown began: not ready from now on."""
        self.draining = True
        self._conclude()

    def _on_event(self, event: WorkerEvent) -> None:
        self._count(event.worker, event.kind != "removed")
        self._conclude()

    def _count(self, worker: Worker, registered: bool) -> None:
        before = self._types.pop(worker.id, None)
        if before is not None:
            self._healthy[before] -= 1
        if registered and worker.status is WorkerStatus.READY:
            kind = self._types[worker.id] = worker.worker_type
            self._healthy[kind] = self._healthy.get(kind, 0) + 1

    def _conclude(self) -> None:
        reason = ""
        if self.draining:
            reason = DRAINING
        elif not enough(self._healthy, self._mode):
            reason = TOO_FEW
        self.snapshot = Snapshot(reason, len(self._types), len(self._registry))
