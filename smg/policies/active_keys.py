"""Routing keys with requests in flight: how many of a key on a worker, how many keys per worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smg._speedups.loads import LoadTable

if TYPE_CHECKING:
    from smg.observability.metrics import Gauge, GaugeFamily
    from smg.workers import Worker


class ActiveKeys:
    """Counts from `begin` to `end`. `table` holds the distinct keys per worker, by its slot.

    A request is known by its view's identity, because at the end its body is gone and the key
    cannot be found again. A view that begins anew without an end (the pick was not used) is counted
    once, for its last worker.
    """

    def __init__(self, gauges: GaugeFamily | None = None) -> None:
        self.table = LoadTable()
        self._running: dict[int, tuple[Worker, bytes]] = {}
        self._counts: dict[tuple[Worker, bytes], int] = {}
        self._gauges = gauges
        self._shown: dict[Worker, Gauge] = {}

    def begin(self, view: object, key: bytes, worker: Worker) -> None:
        """A request with this key was given to this worker."""
        identity = id(view)
        unused = self._running.pop(identity, None)
        if unused is not None:
            self._uncount(unused)
        pair = (worker, key)
        self._running[identity] = pair
        count = self._counts.get(pair, 0)
        self._counts[pair] = count + 1
        if not count:
            while worker.slot >= self.table.top:
                self.table.attach()
            keys = self.table.acquire(worker.slot)
            if self._gauges is not None:
                gauge = self._shown.get(worker)
                if gauge is None:
                    # Several policies may share the series: each adds its own part.
                    gauge = self._shown[worker] = self._gauges.labels(worker.url)
                    gauge.inc(keys - 1)
                gauge.inc()

    def end(self, view: object, worker: Worker) -> None:
        """The request is over; calls for anything not counted are ignored."""
        pair = self._running.get(id(view))
        if pair is not None and pair[0] is worker:
            del self._running[id(view)]
            self._uncount(pair)

    def _uncount(self, pair: tuple[Worker, bytes]) -> None:
        count = self._counts[pair] - 1
        if count:
            self._counts[pair] = count
            return
        del self._counts[pair]
        worker = pair[0]
        self.table.release(worker.slot)
        gauge = self._shown.get(worker)
        if gauge is not None:
            gauge.dec()

    def count(self, key: bytes, worker: Worker) -> int:
        """Requests of this key in flight on this worker."""
        return self._counts.get((worker, key), 0)

    def keys(self, worker: Worker) -> int:
        """Distinct keys with requests in flight on this worker."""
        return self.table.load(worker.slot)

    def forget(self, worker: Worker) -> None:
        """Show the worker no more; what runs on it is still counted."""
        gauge = self._shown.pop(worker, None)
        if gauge is not None:
            gauge.dec(self.keys(worker))

    def close(self) -> None:
        """Forget everything; later ends are ignored."""
        for worker in tuple(self._shown):
            self.forget(worker)
        self._running.clear()
        self._counts.clear()
        for slot in range(self.table.top):
            self.table.set_load(slot, 0)
