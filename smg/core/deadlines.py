"""Time limits without a timer per request.

All entries of one queue share one duration, so insertion order is expiry order: one coarse ticker
looks only at the heads. Resolution is the ticker's interval; limits are whole seconds, so that is
enough.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


class Ticker:
    """One repeating timer for a process; calls every subscriber each `interval` seconds.

    `now` is the loop time of the last tick, for callers that need seconds, not milliseconds.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, interval: float = 0.25) -> None:
        self._loop = loop
        self.interval = interval
        self.now = loop.time()
        self._subscribers: list[Callable[[float], None]] = []
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin ticking; idempotent."""
        if self._handle is None:
            self._handle = self._loop.call_later(self.interval, self._tick)

    def stop(self) -> None:
        """Stop ticking; idempotent."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def subscribe(self, callback: Callable[[float], None]) -> None:
        """`callback(now)` on every tick, `now` in loop seconds."""
        self._subscribers.append(callback)

    def unsubscribe(self, callback: Callable[[float], None]) -> None:
        """Forget `callback`; unknown ones are ignored."""
        if callback in self._subscribers:
            self._subscribers.remove(callback)

    def _tick(self) -> None:
        self._handle = self._loop.call_later(self.interval, self._tick)
        self.now = now = self._loop.time()
        for callback in tuple(self._subscribers):
            try:
                callback(now)
            except Exception as error:
                self._loop.call_exception_handler(
                    {"message": "a ticker subscriber failed", "exception": error}
                )


class DeadlineQueue:
    """Items that must be done within `seconds`; `expired(item)` is called for each that is not.

    With `seconds` 0 the limit is off: `add` and `discard` do nothing.
    """

    def __init__(self, ticker: Ticker, seconds: float, expired: Callable[[Any], None]) -> None:
        self._ticker = ticker
        self.seconds = seconds
        self._expired = expired
        self._items: dict[Any, float] = {}
        if seconds:
            ticker.subscribe(self._tick)

    def __len__(self) -> int:
        return len(self._items)

    def add(self, item: Any) -> None:
        """Start (or restart) the clock of `item`."""
        if self.seconds:
            items = self._items
            items.pop(item, None)
            items[item] = self._ticker.now

    def discard(self, item: Any) -> None:
        """`item` is done; unknown items are ignored."""
        self._items.pop(item, None)

    def _tick(self, now: float) -> None:
        limit = now - self.seconds
        items = self._items
        while items:
            item = next(iter(items))
            if items[item] > limit:
                return
            del items[item]
            self._expired(item)
