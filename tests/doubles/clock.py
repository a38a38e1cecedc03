"""A clock that moves when told: `await clock.advance(60)` runs what is due, without waiting.

It has the two methods of a loop that `smg.fleet.clock.Clock` asks for.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from typing import Any

SETTLE_TURNS = 25


class SteppedTimer:
    """A planned call on a SteppedClock."""

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        self.callback = callback
        self.args = args
        self.cancelled = False

    def cancel(self) -> None:
        """Do not call."""
        self.cancelled = True


class SteppedClock:
    """Starts at 1000 seconds, so that a forgotten zero shows."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._timers: list[tuple[float, int, SteppedTimer]] = []
        self._serial = itertools.count()

    def time(self) -> float:
        """Seconds."""
        return self._now

    def call_at(self, when: float, callback: Callable[..., object], *args: Any) -> SteppedTimer:
        """Plan a call."""
        timer = SteppedTimer(callback, args)
        heapq.heappush(self._timers, (when, next(self._serial), timer))
        return timer

    @property
    def planned(self) -> int:
        """Timers that would still fire."""
        return sum(not timer.cancelled for _, _, timer in self._timers)

    async def settle(self) -> None:
        """Let tasks run until they wait for something."""
        for _ in range(SETTLE_TURNS):
            await asyncio.sleep(0)

    async def advance(self, seconds: float) -> None:
        """Move on; callbacks see the time they were planned for."""
        end = self._now + seconds
        await self.settle()
        while self._timers and self._timers[0][0] <= end:
            when, _, timer = heapq.heappop(self._timers)
            if timer.cancelled:
                continue
            self._now = max(self._now, when)
            timer.callback(*timer.args)
            await self.settle()
        self._now = end
        await self.settle()
