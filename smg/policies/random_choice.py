"""Uniform over the available workers; needs no state, so several gateways never march in step."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from smg.policies.base import Policy, RoutingView

if TYPE_CHECKING:
    from smg.workers import Worker


class RandomChoice(Policy):
    """Every worker with the same probability. `seed` is for tests."""

    name = "random"

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.Random(seed).random

    def select(self, workers: Sequence[Worker], view: RoutingView) -> Worker | None:
        """A worker by chance."""
        if not workers:
            return None
        # A third of the cost of random.choice; the product is below len(workers) for any realistic
        # fleet.
        return workers[int(self._random() * len(workers))]
