"""One timer for all paced streams.

Entries due in the same tick sit in one bucket; a single `loop.call_at` waits for the earliest
bucket. 2,000 streams of 10 tokens a second cost at most 500 wake-ups a second and no timer object
per token.
"""

from __future__ import annotations

import asyncio
import logging
from heapq import heappop, heappush
from typing import Protocol

log = logging.getLogger(__name__)

# Clock readings are floats: `index * tick` may read as a hair less than itself.
EPSILON = 1e-6


class Timed(Protocol):
    """Something that wants to be called later."""

    def fire(self, now: float) -> None:
        """Called once, at the first tick at or after the time asked for."""


class Wheel:
    """Calls entries at coarse times; an entry that is no longer wanted must ignore its call."""

    __slots__ = ("_buckets", "_handle", "_loop", "_next", "_order", "_tick", "_turned", "_turning")

    def __init__(self, loop: asyncio.AbstractEventLoop, tick_secs: float = 0.002) -> None:
        self._loop = loop
        self._tick = tick_secs
        self._buckets: dict[int, list[Timed]] = {}
        self._order: list[int] = []
        self._handle: asyncio.TimerHandle | None = None
        self._next = 0
        self._turned = 0  # the last tick that was looked at
        self._turning = False

    def at(self, when: float, entry: Timed) -> None:
        """Call `entry.fire` at the first tick at or after loop time `when`, never from here."""
        index = int(when / self._tick - EPSILON) + 1
        if index <= self._turned:
            index = self._turned + 1
        bucket = self._buckets.get(index)
        if bucket is not None:
            bucket.append(entry)
            return
        self._buckets[index] = [entry]
        heappush(self._order, index)
        if not self._turning and (self._handle is None or index < self._next):
            self._arm()

    def close(self) -> None:
        """Drop every entry."""
        self._buckets.clear()
        self._order.clear()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _arm(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._next = self._order[0]
        self._handle = self._loop.call_at(self._next * self._tick, self._turn)

    def _turn(self) -> None:
        self._handle = None
        self._turning = True
        now = self._loop.time()
        self._turned = limit = int(now / self._tick + EPSILON)
        order = self._order
        due = []
        while order and order[0] <= limit:
            due.append(self._buckets.pop(heappop(order)))
        for bucket in due:
            for entry in bucket:
                try:
                    entry.fire(now)
                except Exception:
                    log.exception("a simulated answer failed")
        self._turning = False
        if order:
            self._arm()
