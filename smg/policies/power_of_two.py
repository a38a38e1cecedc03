"""The less loaded of two workers drawn by chance: nearly as even as the least loaded of all, at the
same cost in a fleet of any size, and several gateways do not rush at the same worker.

Scores: `smg.policies.load_score`. Rule: routing-reliability 4.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from smg.policies.base import Policy, PolicyContext, RoutingView
from smg.policies.load_score import LoadScores

if TYPE_CHECKING:
    from typing_extensions import Self

    from smg.workers import Worker


class PowerOfTwo(Policy):
    """Two different candidates, each pair equally likely; the first one if both score the same."""

    name = "power_of_two"
    needs_loads = True

    def __init__(self, context: PolicyContext) -> None:
        self._loads = LoadScores(context)
        self._random = context.random.random

    @classmethod
    def create(cls, context: PolicyContext) -> Self:
        return cls(context)

    def select(self, workers: Sequence[Worker], view: RoutingView) -> Worker | None:
        """The one of two with the lower score."""
        count = len(workers)
        if count == 0:
            return None
        lineup = self._loads.of(workers)
        position = 0
        if count > 1:
            first = int(self._random() * count)
            second = (first + 1 + int(self._random() * (count - 1))) % count
            position = lineup.lower(first, second)
        self._loads.sent(lineup, position, view)
        return workers[position]

    def worker_added(self, worker: Worker) -> None:
        self._loads.add(worker)

    def worker_removed(self, worker: Worker) -> None:
        self._loads.remove(worker)

    def close(self) -> None:
        self._loads.close()
