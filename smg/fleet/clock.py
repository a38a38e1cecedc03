"""Time as the fleet sees it: a running event loop is one, and tests step their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol


class Timer(Protocol):
    """A planned call."""

    def cancel(self) -> None:
        """Do not make the call; harmless once it was made."""


class Clock(Protocol):
    """The two methods of an event loop that the fleet needs."""

    def time(self) -> float:
        """Seconds, monotonic."""
        ...

    def call_at(self, when: float, callback: Callable[..., object], *args: Any) -> Timer:
        """Call `callback(*args)` at `when`."""
        ...


async def sleep(clock: Clock, seconds: float) -> None:
    """Wait on `clock`; cancelling drops the timer."""
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    timer = clock.call_at(clock.time() + seconds, _wake, done)
    try:
        await done
    finally:
        timer.cancel()


def _wake(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)
