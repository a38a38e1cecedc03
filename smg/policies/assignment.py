"""Where a routing key goes that has no worker yet (`--assignment-mode`)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from smg.policies.candidates import CandidateCache

if TYPE_CHECKING:
    from smg.policies.active_keys import ActiveKeys
    from smg.workers import Worker


class Assignment:
    """One of the modes `random`, `min_load` (and `delegate`, the same) and `min_group`.

    `min_group` looks for the fewest distinct keys with requests in flight. Among equals chance
    decides.
    """

    def __init__(
        self, mode: str, draw: random.Random, loads: CandidateCache, active: ActiveKeys
    ) -> None:
        self._random = draw.random
        self._bits = draw.getrandbits
        self._compared: CandidateCache | None = None
        if mode == "min_group":
            self._compared = CandidateCache(active.table)
        elif mode != "random":
            self._compared = loads

    def choose(self, workers: Sequence[Worker]) -> Worker:
        """One of `workers`, which is not empty."""
        if self._compared is None:
            return workers[int(self._random() * len(workers))]
        return workers[self._compared.of(workers).least(self._bits(32))]

    def clear(self) -> None:
        """Hold on to no worker."""
        if self._compared is not None:
            self._compared.clear()
