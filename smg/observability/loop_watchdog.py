"""Says what the event loop is doing when it stands still.

The canary (`loop_canary.py`) notes when the loop has to turn again; a thread sleeps until the loop
would be too late for that note, looks at it again and, if it is the same, logs the stack of the
loop's thread. What stands still is rarely what the metrics of a request show, so a stack is the one
useful answer.

Python sees no frames of compiled code: then the innermost Python frame is what called it, and the
task's name may tell more. Code that keeps the interpreter lock cannot be watched either; such a
stall is counted, and logged without a stack.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
import sys
import threading
from collections import deque
from time import perf_counter
from types import FrameType
from typing import TYPE_CHECKING

from smg.observability.logging import log_fields

if TYPE_CHECKING:
    from smg.observability.families import GatewayMetrics

log = logging.getLogger(__name__)

#: how late the loop may be before it stands still, and how often that is looked at most (seconds)
LIMIT = 0.100
PERIOD = 0.050
#: stalls that are logged per window (seconds); the others are counted
MOST_REPORTS = 6
WINDOW = 60.0
MOST_FRAMES = 20


class LoopWatchdog:
    """The watchdog of one event loop: `start()` on it, `stop()` from anywhere, each once.

    The canary moves `due` on and calls `turned`; everything else happens on the thread.
    """

    def __init__(
        self, metrics: GatewayMetrics, *, limit: float = LIMIT, period: float = PERIOD
    ) -> None:
        #: `time.perf_counter()` by which the loop must have turned again; inf: nobody watches
        self.due = math.inf
        self.limit = limit
        self._period = period
        self._stalls = metrics.loop_stalls.labels()
        self._longest = metrics.loop_stall_max.labels()
        self._over: deque[tuple[float, float]] = deque()  # due and lateness of stalls that ended
        # of the thread alone; a stall is known by its `due`
        self._seen = math.nan
        self._shown = math.nan
        self._silent = math.nan
        self._window_end = -math.inf
        self._reports = 0
        self._suppressed = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread_id = 0
        self._below: FrameType | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="smg-loop-watchdog", daemon=True)

    def start(self) -> None:
        """Watch the running loop."""
        self._loop = asyncio.get_running_loop()
        self._thread_id = threading.get_ident()
        self._below = _frame_below_loop()
        self._thread.start()

    def stop(self) -> None:
        """End the thread; waits for it."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        self._loop = self._below = None

    def turned(self, due: float, lateness: float) -> None:
        """The canary: the loop turned `lateness` seconds after `due`, which is beyond the limit."""
        self._stalls.inc()
        if lateness > self._longest.value:
            self._longest.set(lateness)
        self._over.append((due, lateness))

    # -- on the thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.wait(self._pause(perf_counter())):
            try:
                self.look(perf_counter())
            except Exception:  # a watchdog that died in silence would be worse than none
                log.exception("the watchdog of the event loop failed")

    def _pause(self, now: float) -> float:
        late = self.due + self.limit - now  # for what is noted by now
        return max(self._period, late) if late < math.inf else self._period

    def look(self, now: float) -> None:
        """One look at the loop; `now` is `time.perf_counter()`."""
        due = self.due
        if now - due > self.limit and due != self._seen:
            self._stands_still(due, now)
        while self._over:
            self._goes_on(*self._over.popleft(), now)
        if self._suppressed and now >= self._window_end:
            self._tell_suppressed()

    def _stands_still(self, due: float, now: float) -> None:
        self._seen = due
        if not self._may_report(now):
            self._silent = due
            return
        loop = self._loop
        task = None if loop is None else asyncio.current_task(loop)
        stack = _described(sys._current_frames().get(self._thread_id), self._below)
        if self.due != due:
            return  # it went on meanwhile: the stack is of something else
        self._shown = due
        log_fields(
            log,
            logging.WARNING,
            "the event loop stands still",
            seconds=round(now - due, 3),
            task=None if task is None else task.get_name(),
            stack=stack,
        )

    def _goes_on(self, due: float, lateness: float, now: float) -> None:
        text = "the event loop goes on"
        if due != self._shown:
            if due == self._silent or not self._may_report(now):
                return
            text = "the event loop stood still, over before its stack was seen"
        log_fields(log, logging.WARNING, text, seconds=round(lateness, 3))

    def _may_report(self, now: float) -> bool:
        """Whether one more stall may be logged; counts those that may not."""
        if now >= self._window_end:
            self._tell_suppressed()
            self._window_end = now + WINDOW
            self._reports = 0
        if self._reports >= MOST_REPORTS:
            self._suppressed += 1
            return False
        self._reports += 1
        return True

    def _tell_suppressed(self) -> None:
        if self._suppressed:
            count, self._suppressed = self._suppressed, 0
            log_fields(log, logging.WARNING, "more stalls were not logged", count=count)


def _described(frame: FrameType | None, below: FrameType | None) -> str:
    """The functions from the innermost one to the loop, as `module.function:line`."""
    names: list[str] = []
    while frame is not None and frame is not below and len(names) < MOST_FRAMES:
        code = frame.f_code
        function = getattr(code, "co_qualname", code.co_name)  # since Python 3.11
        names.append(f"{frame.f_globals.get('__name__', '?')}.{function}:{frame.f_lineno}")
        frame = frame.f_back
    return " < ".join(names) or "compiled code, called by the loop itself"


def _frame_below_loop() -> FrameType | None:
    """The frame that runs the loop, if we are called from a coroutine on it: what is below is the
    same in every stack.
    """
    below: FrameType | None = None
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code.co_flags & inspect.CO_COROUTINE:
            below = frame.f_back
        frame = frame.f_back
    # The standard loop has frames of its own for each turn; only what runs it forever lasts.
    while below is not None and below.f_code.co_name in ("_run", "_run_once"):
        below = below.f_back
    return below
