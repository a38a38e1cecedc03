"""The hash ring: which worker a key belongs to, so that few keys move when the fleet changes.

Every worker has 150 points on a ring of 2**64 positions. A key has eight positions of its own
(probes) and belongs to the worker whose point is nearest, clockwise, to any of them. With one
probe, the textbook ring, a worker's share depends on the luck of its points (standard deviation
7 % of 1/N); with eight it is 2 %. Of three workers on a textbook ring one in six has more than
1/3 + 2 % of all keys, here practically none.

When a worker leaves, or may not be chosen, only its own keys move: the nearest of the remaining
points decides, and nobody else's distance has changed. Each goes to the worker that gets it for
good if the worker does not come back.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

from smg._speedups.ring import HashRing

if TYPE_CHECKING:
    from smg._speedups.loads import Candidates
    from smg.workers import Worker

POINTS = 150  # per worker
# Per key: as many as one digest holds.
PROBES = 8
_read = struct.Struct(f">{PROBES}Q").unpack


def _points(url: str) -> list[int]:
    """Where a worker stands; depends on its URL alone, so all gateways agree."""
    points: list[int] = []
    address = url.encode()
    while len(points) < POINTS:
        points += _read(blake2b(b"%s#%d" % (address, len(points))).digest())
    return points[:POINTS]


class Ring:
    """All registered workers of one model, whatever their health."""

    def __init__(self) -> None:
        self._ring = HashRing()
        # Points name their worker by its slot, which is its own for as long as we hold it.
        self._workers: dict[str, Worker] = {}

    def __len__(self) -> int:
        return len(self._workers)

    def add(self, worker: Worker) -> None:
        """Put a worker on the ring, in place of another one with its URL."""
        known = self._workers.get(worker.url)
        if known is worker:
            return
        if known is not None:
            self.remove(known)
        self._workers[worker.url] = worker
        self._ring.add(worker.slot, _points(worker.url))

    def remove(self, worker: Worker) -> None:
        """Take a worker off; nothing happens if it is not on the ring."""
        if self._workers.get(worker.url) is worker:
            self._ring.remove(worker.slot)
            del self._workers[worker.url]

    def find(self, key: bytes, candidates: Candidates, workers: Sequence[Worker]) -> Worker | None:
        """The one of `workers` that `key` belongs to; None if none of them is on the ring.

        `candidates` are those of `workers`.
        """
        place = self._ring.find(_read(blake2b(key).digest()), candidates)
        return workers[place] if place >= 0 else None
