"""Lets policies sweep what is stale, every `--eviction-interval` seconds."""

from __future__ import annotations

import logging
from collections.abc import Callable

from smg.core.tasks import TaskGroupOwner
from smg.fleet.clock import Clock, sleep

log = logging.getLogger(__name__)


class Upkeep:
    """Calls `sweep` every `interval` seconds; a failure is logged and does not end it."""

    def __init__(self, sweep: Callable[[], None], clock: Clock, interval: float) -> None:
        self._sweep = sweep
        self._clock = clock
        self._interval = interval
        self._tasks = TaskGroupOwner("upkeep")

    def start(self) -> None:
        """Begin; the first sweep comes after one interval."""
        self._tasks.start(self._run(), "policies")

    async def close(self) -> None:
        """Stop."""
        await self._tasks.close()

    async def _run(self) -> None:
        while True:
            await sleep(self._clock, self._interval)
            try:
                self._sweep()
            except Exception:  # one policy's bug must not stop the others' sweeps for ever
                log.exception("a policy failed to sweep")
