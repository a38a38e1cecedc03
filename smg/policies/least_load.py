"""The worker where a request is expected to wait least, of all available workers.

Scores: `smg.policies.load_score`. Rule: routing-reliability 4.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from smg.policies.base import Policy, PolicyContext, RoutingView
from smg.policies.load_score import LoadScores

if TYPE_CHECKING:
    from typing_extensions import Self

    from smg.workers import Worker


class LeastLoad(Policy):
    """The lowest score; ties by chance. With a cap, workers where that many requests wait get none,
    and nobody is picked when that is so everywhere.
    """

    name = "least_load"
    needs_loads = True

    def __init__(self, context: PolicyContext) -> None:
        self._loads = LoadScores(context)
        self._cap = context.config.least_load_max_waiting_requests

    @classmethod
    def create(cls, context: PolicyContext) -> Self:
        return cls(context)

    def select(self, workers: Sequence[Worker], view: RoutingView) -> Worker | None:
        """The worker with the lowest score."""
        lineup = self._loads.of(workers)
        position = lineup.lowest(self._cap)
        if position < 0:
            return None
        self._loads.sent(lineup, position, view)
        return workers[position]

    def worker_added(self, worker: Worker) -> None:
        self._loads.add(worker)

    def worker_removed(self, worker: Worker) -> None:
        self._loads.remove(worker)

    def close(self) -> None:
        self._loads.close()
