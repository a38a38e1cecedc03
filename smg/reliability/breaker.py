"""The circuit breaker of one worker: whether it may have requests, judged by how those before went.

State only; time is handed in (seconds, monotonic, always of the same clock). Nothing here runs by
itself: `tick` is called once `next_change_at()` has come (see `watch`). In the closed state a
request costs two short calls, `dispatched` and `succeeded`, and `admits` is never read: whoever
prepares candidates reads it when `on_change` says so. Rules: routing-reliability 16.

Words: a *trial* is a request sent in the half-open state; a *term* is the time between two changes
of state, and a request belongs to the term in which it was sent. What it shows is evidence in that
term only: a stream that began before the worker failed proves nothing about the worker that came
back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from smg.reliability.settings import BreakerSettings

# as the gauge smg_worker_cb_state shows them
CLOSED = 0
OPEN = 1
HALF_OPEN = 2
STATE_NAMES = ("closed", "open", "half_open")

# what a worker's status says about it
SUCCESS = 0
FAILURE = 1
NOTHING = 2

NEVER = float("inf")


class Breaker:
    """See the module.

    `state` is one of the constants above. `admits`: whether a new request may be sent now.
    `failures` is the current run of failures within the window, `successes` the current run of
    successes, `trials` how many trials hold a place. `good` and `bad` count all results so far.
    `due` is when `tick` has something to do. `owner` is whoever the breaker belongs to, for
    `on_change(breaker, before)`. That is called after each change of `state`, `before` being the
    previous one, and also when `admits` alone changes; then `before` is the state itself. It must
    not call the breaker.
    """

    def __init__(
        self,
        settings: BreakerSettings,
        owner: Any = None,
        on_change: Callable[[Breaker, int], None] | None = None,
    ) -> None:
        self.owner = owner
        self.on_change = on_change
        self.state = CLOSED
        self.admits = True
        self.failures = 0
        self.successes = 0
        self.trials = 0
        self.good = 0
        self.bad = 0
        self.due = NEVER
        # A request's term is a number. Results of terms below `_first` are too late to count. In
        # the half-open state only requests of the newest term hold a place among the trials; one
        # of `_first` itself counts without holding any.
        self._first = 1
        self._term = 1
        self._failed_at: deque[float] = deque()
        self._take(settings)

    def _take(self, settings: BreakerSettings) -> None:
        # Switched off: 0 failures are never reached, so the state stays and only counts move.
        self._failure_threshold = settings.failure_threshold if settings.enabled else 0
        self._success_threshold = settings.success_threshold
        self._timeout = float(settings.timeout)
        self._window = float(settings.window)
        self._judgements = judgements(settings.failing, settings.capacity)

    def configure(self, settings: BreakerSettings, now: float) -> None:
        """New settings for a running breaker; an open one waits no longer than the new timeout."""
        self._take(settings)
        if self._failure_threshold == 0:
            self._failed_at.clear()
            if self.state != CLOSED:
                self._enter(CLOSED, now)
        elif self.state == OPEN:
            self.due = min(self.due, now + self._timeout)
        elif self.state == HALF_OPEN:
            self._count_trials(self.trials, now)

    # -- asking -----------------------------------------------------------------------------------

    def next_change_at(self) -> float:
        """When `tick` has something to do, in seconds; `NEVER` while only results can change it."""
        return self.due

    @property
    def retry_at(self) -> float:
        """When the open state ends, in seconds; 0 if it is not open.

        Half-open with all places taken is 0 as well: a place may be free at any moment.
        """
        return self.due if self.state == OPEN else 0.0

    def allows(self, now: float) -> bool:
        """Whether a request may be sent at `now`; for callers that look at one worker and do not
        wait for the timer.
        """
        if now >= self.due:
            self.tick(now)
        return self.admits

    def judge(self, status: int) -> int:
        """`SUCCESS`, `FAILURE` or `NOTHING`: what an answer's status (100 to 999) says."""
        return self._judgements[status]

    # -- being told -------------------------------------------------------------------------------

    def dispatched(self, now: float) -> int:
        """A request goes to the worker. Returns its term, to be named with its result.

        Every dispatch ends in exactly one of `succeeded`, `failed` and `abandoned`.
        """
        if self.state == HALF_OPEN:
            self._count_trials(self.trials + 1, now)
        return self._term

    def began(self, term: int) -> int:
        """A good answer to the request has begun; returns the term to name from here on.

        Its place among the trials is free again, for an answer may stream for minutes in which the
        worker is evidently well. The verdict still comes at the end.
        """
        if self.state == HALF_OPEN and term == self._term:
            self._count_trials(self.trials - 1, 0.0)
            return self._first
        return term

    def succeeded(self, term: int, now: float) -> None:
        """The answer is complete, and its status is a success."""
        self.good += 1
        if term < self._first:
            return
        if self.state == CLOSED:
            self.successes += 1
            if self.failures:
                self.failures = 0
                self._failed_at.clear()
        elif self.state == HALF_OPEN:
            self.successes += 1
            if self.successes >= self._success_threshold:
                self._enter(CLOSED, now)
            elif term == self._term:
                self._count_trials(self.trials - 1, now)

    def failed(self, term: int, now: float) -> None:
        """The worker failed the request: a failing status, no connection, an answer that was cut or
        stayed out.
        """
        self.bad += 1
        if term < self._first:
            return
        if self.state == CLOSED:
            self.successes = 0
            self.failures += 1
            if self._failure_threshold:
                self._count_failure(now)
        elif self.state == HALF_OPEN:
            self._enter(OPEN, now)

    def abandoned(self, term: int) -> None:
        """The request ended without a verdict: the client left, the worker was full, we stop."""
        if self.state == HALF_OPEN and term == self._term:
            self._count_trials(self.trials - 1, 0.0)

    def tick(self, now: float) -> None:
        """Time has passed. Open becomes half-open; trials that kept all places for a whole timeout
        lose them, so that requests which never end cannot keep the worker out for ever.
        """
        if now < self.due:
            return
        if self.state == OPEN:
            self._enter(HALF_OPEN, now)
        else:
            self._term += 1
            self._count_trials(0, now)

    # -- changing ---------------------------------------------------------------------------------

    def _count_failure(self, now: float) -> None:
        failed_at = self._failed_at
        too_old = now - self._window
        while failed_at and failed_at[0] < too_old:
            failed_at.popleft()
        failed_at.append(now)
        self.failures = len(failed_at)
        if self.failures >= self._failure_threshold:
            self._enter(OPEN, now)

    def _count_trials(self, trials: int, now: float) -> None:
        """Half-open: `trials` hold a place now. `now` is needed when they become more."""
        self.trials = trials
        admits = trials < self._success_threshold
        if admits != self.admits:
            self.admits = admits
            self.due = NEVER if admits else now + self._timeout
            self._tell(HALF_OPEN)

    def _enter(self, state: int, now: float) -> None:
        before = self.state
        self.state = state
        self.admits = state != OPEN
        self.due = now + self._timeout if state == OPEN else NEVER
        self.trials = 0
        self.successes = 0
        self._failed_at.clear()
        if state != OPEN:
            self.failures = 0
        self._first = self._term + 1
        self._term = self._first + 1 if state == HALF_OPEN else self._first
        self._tell(before)

    def _tell(self, before: int) -> None:
        if self.on_change is not None:
            self.on_change(self, before)

    def __repr__(self) -> str:
        return f"<Breaker {STATE_NAMES[self.state]} failures={self.failures} trials={self.trials}>"


@lru_cache(maxsize=64)
def judgements(failing: frozenset[int], capacity: frozenset[int]) -> bytes:
    """By status: what it says about the worker. A capacity status says nothing, also if it is named
    as failing.
    """
    table = bytearray(1000)
    for status in failing:
        if 0 <= status < 1000:
            table[status] = FAILURE
    for status in capacity:
        if 0 <= status < 1000:
            table[status] = NOTHING
    return bytes(table)
