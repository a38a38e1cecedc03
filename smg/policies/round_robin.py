"""Workers in turn: each gets the same number of requests, whatever they cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from smg.policies.base import Policy, RoutingView

if TYPE_CHECKING:
    from smg.workers import Worker


class RoundRobin(Policy):
    """One counter per model: `counter++ mod available`."""

    name = "round_robin"

    def __init__(self) -> None:
        self._turn = 0

    def select(self, workers: Sequence[Worker], view: RoutingView) -> Worker | None:
        """The worker whose turn it is."""
        if not workers:
            return None
        turn = self._turn
        self._turn = turn + 1
        return workers[turn % len(workers)]
