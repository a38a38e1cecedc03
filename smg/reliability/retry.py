"""Whether an attempt is repeated, and after which pause.

Pure: the caller says what happened and what is left, `verdict` answers. It is asked only when an
attempt failed, so nothing here is on the way of a good answer. Rules: routing-reliability 17.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from smg.reliability.budget import Budget
from smg.reliability.settings import RetrySettings

T = TypeVar("T")

NEVER = float("inf")

# why there is no further attempt
RETRY = "retry"  # but there is
BEGUN = "begun"  # the client has bytes of this answer
FINAL = "final"  # the status is an answer, not a failure
EXHAUSTED = "exhausted"  # that was the last attempt
NOBODY = "nobody"  # no worker can become available in time
AWAY = "away"  # the only worker asked to be left alone for longer than we would wait
LATE = "late"  # the request's time would be over
SUPPRESSED = "suppressed"  # the budget is spent: others fail as well


class Verdict(NamedTuple):
    """`wait` is the pause before the next attempt in seconds, 0 if there is none."""

    reason: str
    wait: float = 0.0

    @property
    def again(self) -> bool:
        """Whether there is another attempt; else the answer at hand goes to the client."""
        return self.reason == RETRY


_NO = {
    reason: Verdict(reason) for reason in (BEGUN, FINAL, EXHAUSTED, NOBODY, AWAY, LATE, SUPPRESSED)
}


def verdict(
    settings: RetrySettings,
    budget: Budget,
    now: float,
    *,
    attempts: int,
    status: int,
    begun: bool = False,
    deadline: float = NEVER,
    others: bool = False,
    asked: float = 0.0,
    available_at: float = 0.0,
    random: float = 0.5,
) -> Verdict:
    """What happens after attempt number `attempts` ended in `status`.

    `settings` are those of the worker that failed, or the router's if none was chosen. `status` is
    the worker's, or that of the error the gateway makes of it; an error that is not `retryable` is
    not brought here. `begun`: a byte of the answer is with the client. `deadline` is the end of the
    request's time. `others`: a worker is available that this request has not tried. `asked` is the
    worker's `Retry-After` (see `retry_after`), 0 without one. `available_at` is when the first of
    the model's workers may become available: 0 if one is, `NEVER` if none will. `random` is
    uniform in 0 to 1. Times are in seconds, `now`, `deadline` and `available_at` of one clock.

    A verdict that allows another attempt has taken it out of the budget.
    """
    if begun:
        return _NO[BEGUN]
    if not settings.retries(status):
        return _NO[FINAL]
    if attempts >= settings.attempts:
        return _NO[EXHAUSTED]
    wait = backoff(settings, attempts, random)
    if available_at > now:
        pause = available_at - now
        if not _within(settings, attempts, pause):
            return _NO[NOBODY]
        # One attempt at the right moment instead of several that find nobody.
        wait = max(wait, pause)
    if not others and asked > wait and status in (429, 503):
        if asked > settings.max_ms / 1000:
            return _NO[AWAY]
        wait = asked
    if now + wait >= deadline:
        return _NO[LATE]
    if not budget.spend(now):
        return _NO[SUPPRESSED]
    return Verdict(RETRY, wait)


def backoff(settings: RetrySettings, attempts: int, random: float) -> float:
    """The pause after attempt number `attempts` (1 = the first); `random` uniform in 0 to 1.

    Jitter comes after the cap, so that requests that failed together do not come back together
    however long they wait.
    """
    return _plain_ms(settings, attempts) * (1 + settings.jitter * (2 * random - 1)) / 1000


def untried(candidates: Sequence[T], tried: Sequence[T]) -> tuple[T, ...]:
    """The candidates this request has not been to. If that is nobody, the caller takes them all:
    better the worker that failed once than no answer.
    """
    return tuple(candidate for candidate in candidates if candidate not in tried)


def _plain_ms(settings: RetrySettings, attempts: int) -> int:
    try:
        return min(
            int(settings.initial_ms * settings.multiplier ** (attempts - 1)), settings.max_ms
        )
    except OverflowError:
        return settings.max_ms


def _within(settings: RetrySettings, attempts: int, pause: float) -> bool:
    """Whether the remaining back-offs, without jitter, add up to at least `pause`."""
    left = pause * 1000
    for attempt in range(attempts, settings.attempts):
        left -= _plain_ms(settings, attempt)
        if left <= 0:
            return True
    return False
