"""Workers prepared for comparing, kept while the same tuple of workers comes.

A fleet of 4,096 is prepared in about 0.3 ms and then compared in microseconds, so this happens when
the fleet changes and not per request.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from smg._speedups.loads import TABLE, Candidates, LoadTable

if TYPE_CHECKING:
    from smg.workers import Worker

_Prepared: TypeAlias = "tuple[Sequence[Worker] | None, Candidates]"


class CandidateCache:
    """`Candidates` of the two tuples asked for last.

    Two, because a repeated attempt brings a tuple of its own (without the worker that failed) and
    must not push out the one that all other requests share. `table` holds what is compared: loads,
    unless told otherwise; slots that it does not have yet are attached.
    """

    __slots__ = ("_latest", "_older", "_table")

    def __init__(self, table: LoadTable = TABLE) -> None:
        self._table = table
        # With their tuples: while one is held, nothing else can have its identity.
        self._latest: _Prepared = (None, Candidates(table, ()))
        self._older: _Prepared = self._latest

    def of(self, workers: Sequence[Worker]) -> Candidates:
        """The candidates of `workers`; place N is `workers[N]`."""
        latest = self._latest
        if workers is latest[0]:
            return latest[1]
        if workers is self._older[0]:
            self._latest, self._older = self._older, latest
            return self._latest[1]
        slots = [worker.slot for worker in workers]
        for _ in range(self._table.top, max(slots, default=-1) + 1):
            self._table.attach()
        fresh = Candidates(self._table, slots)
        # A list may change under its identity.
        if workers.__class__ is tuple:
            self._latest, self._older = (workers, fresh), latest
        return fresh

    def clear(self) -> None:
        """Hold on to no worker."""
        self._latest = self._older = (None, Candidates(self._table, ()))
