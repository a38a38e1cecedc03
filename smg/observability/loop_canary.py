"""Measures how late the event loop runs: a timer every 10 ms, its lateness into a histogram.

A stall is a lateness above 5 ms (operations 1.5). To wake a process that sleeps costs several times
as much as the callback itself, so a loop with little to do is looked at five times less often.
Whoever starts it stops it.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from time import perf_counter, thread_time

from smg.observability.families import GatewayMetrics
from smg.observability.loop_watchdog import LoopWatchdog

INTERVAL = 0.010
#: intervals between two looks at a loop whose thread was busy for less than that share of the time
IDLE_INTERVALS = 5
IDLE_SHARE = 0.05
STALL = 0.005
# The last ten seconds are kept one by one, since histogram buckets are too coarse for a p99.
WINDOW = 1000
_TASKS_EVERY = 100


def intervals(used: float, seconds: float) -> int:
    """How many intervals the next look may wait, after `seconds` in which the thread had `used`."""
    return IDLE_INTERVALS if used < seconds * IDLE_SHARE else 1


class LoopCanary:
    """The canary of one event loop. A `watchdog` is told when the loop has to turn again."""

    def __init__(self, metrics: GatewayMetrics, watchdog: LoopWatchdog | None = None) -> None:
        self._watchdog = watchdog
        self._delays = metrics.event_loop_delay.labels()
        self._stalls = metrics.event_loop_stalls.labels()
        self._tasks = metrics.event_loop_tasks.labels()
        self._recent: deque[float] = deque(maxlen=WINDOW)
        self._ticks = 0
        self._due = 0.0
        self._intervals = 1  # until then
        self._used = 0.0  # CPU seconds of the loop's thread
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin on the running loop; a second call does nothing."""
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._count_tasks(loop)
            self._used = thread_time()
            self._arm(loop)

    def stop(self) -> None:
        """End; what was measured stays readable."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            if self._watchdog is not None:
                self._watchdog.due = math.inf

    def delay(self, quantile: float = 0.99) -> float:
        """That quantile of the lateness in seconds over the last ten seconds; 0 before any."""
        if not self._recent:
            return 0.0
        ordered = sorted(self._recent)
        return ordered[max(0, math.ceil(quantile * len(ordered)) - 1)]

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        # Not loop.time(): uvloop answers with a time that stands still while callbacks run.
        seconds = self._intervals * INTERVAL
        self._due = perf_counter() + seconds
        if self._watchdog is not None:
            self._watchdog.due = self._due
        self._timer = loop.call_later(seconds, self._tick, loop)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        # Timers count whole milliseconds and may fire a fraction early.
        delay = max(0.0, perf_counter() - self._due)
        self.record(delay)
        watchdog = self._watchdog
        if watchdog is not None and delay > watchdog.limit:
            watchdog.turned(self._due, delay)
        self._ticks += self._intervals
        if self._ticks >= _TASKS_EVERY:
            self._ticks = 0
            self._count_tasks(loop)
        used = thread_time()
        seconds = self._intervals * INTERVAL + delay
        self._intervals = intervals(used - self._used, seconds)
        self._used = used
        self._arm(loop)

    def record(self, delay: float) -> None:
        """Count one lateness in seconds."""
        self._delays.observe(delay)
        if delay > STALL:
            self._stalls.inc()
        self._recent.extend([delay] * self._intervals)  # each stands for 10 ms

    def _count_tasks(self, loop: asyncio.AbstractEventLoop) -> None:
        self._tasks.set(len(asyncio.all_tasks(loop)))
