"""Which workers a routing key was given to: a bounded memory in order of use.

An entry is a tuple of plain numbers and not an object, so that a million of them cost the garbage
collector nothing. Workers have numbers that are never used again: to forget a worker is to forget
its number, and entries that still mention it are mended when they are met.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smg._speedups.loads import Candidates
    from smg.workers import Worker

MAX_ENTRIES = 1_000_000
_NOBODY = 0
_PER_TICK = 50_000  # stale entries dropped by one sweep: some 20 ms
_PER_ENTRY = 2  # and by each new entry, so that a burst is gone before the next one


class StickyMap:
    """Key to at most two workers, the preferred one first.

    `max_idle` in seconds: entries unused for that long go; 0 = never. Above `limit` entries the one
    unused for longest goes. `clock` gives seconds, monotonic.
    """

    def __init__(
        self, max_idle: float, clock: Callable[[], float], limit: int = MAX_ENTRIES
    ) -> None:
        self._max_idle = max_idle
        self._clock = clock
        self._limit = limit
        #: key -> (last use, preferred worker's number, the other's); unused for longest first
        self._entries: OrderedDict[bytes, tuple[float, int, int]] = OrderedDict()
        self._numbers: dict[Worker, int] = {}
        self._workers: dict[int, Worker] = {}
        self._issued = _NOBODY

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: bytes) -> bool:
        return key in self._entries

    def find(self, key: bytes, candidates: Candidates) -> Worker | None:
        """The first of the key's workers that is a candidate; counts as a use of the key.

        A worker that is none at the moment keeps its place.
        """
        entry = self._entries.get(key)
        if entry is None:
            return None
        _, first, second = entry
        self._entries[key] = (self._clock(), first, second)
        self._entries.move_to_end(key)
        for number in (first, second):
            worker = self._workers.get(number)
            if worker is not None and candidates.place(worker.slot) >= 0:
                return worker
        return None

    def append(self, key: bytes, worker: Worker) -> None:
        """Remember a worker as the key's last choice; of three the oldest goes."""
        known = [number for number in self._known(key) if number != self._number(worker)]
        self._put(key, [*known[-1:], self._number(worker)])

    def prefer(self, key: bytes, worker: Worker) -> None:
        """Remember a worker as the key's first choice; the previous one stays as the second."""
        known = [number for number in self._known(key) if number != self._number(worker)]
        self._put(key, [self._number(worker), *known[:1]])

    def _known(self, key: bytes) -> list[int]:
        """The numbers of the key's workers, without those that are gone."""
        entry = self._entries.get(key, (0.0, _NOBODY, _NOBODY))
        return [number for number in entry[1:] if number in self._workers]

    def _put(self, key: bytes, numbers: list[int]) -> None:
        entries = self._entries
        if key not in entries:
            self.sweep(_PER_ENTRY)
            while len(entries) >= self._limit:
                entries.popitem(last=False)
        entries[key] = (self._clock(), numbers[0], numbers[1] if len(numbers) > 1 else _NOBODY)
        entries.move_to_end(key)

    def sweep(self, limit: int = _PER_TICK) -> None:
        """Drop entries that were not used for `max_idle`, at most `limit`."""
        if not self._max_idle:
            return
        entries = self._entries
        before = self._clock() - self._max_idle
        while entries and limit > 0 and next(iter(entries.values()))[0] <= before:
            entries.popitem(last=False)
            limit -= 1

    def _number(self, worker: Worker) -> int:
        number = self._numbers.get(worker)
        if number is None:
            self._issued = number = self._issued + 1
            self._numbers[worker] = number
            self._workers[number] = worker
        return number

    def forget(self, worker: Worker) -> None:
        """No key belongs to this worker any more."""
        number = self._numbers.pop(worker, None)
        if number is not None:
            del self._workers[number]

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._numbers.clear()
        self._workers.clear()
