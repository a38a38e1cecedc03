"""Lets the event loop have the interpreter while a thread has much to do.

A thread that computes gives the interpreter up when another one asks, but that one has to wait for
`sys.getswitchinterval()`, 5 ms, before it may. The event loop lets go whenever it looks for new
events, so it would wait that long in each of its turns. A thread that sleeps gives it up at once.
"""

from __future__ import annotations

import time
from time import perf_counter

#: seconds of work between two pauses: what a request may have to wait, and the pause
BUDGET = 0.0005
PAUSE = 0.001


class Turns:
    """Call it after each small piece of work, on the thread that does it."""

    def __init__(self, budget: float = BUDGET, pause: float = PAUSE) -> None:
        self._budget = budget
        self._pause = pause
        self._until = perf_counter() + budget

    def __call__(self) -> None:
        """Sleep if it is time."""
        if perf_counter() >= self._until:
            time.sleep(self._pause)
            self._until = perf_counter() + self._budget
