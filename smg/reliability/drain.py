"""How fast requests finish, and from that how long a client that was refused had better wait.

A fixed `Retry-After` brings everybody back at once into a queue that has not moved. Until enough
requests have finished to tell, and whenever the queue would be gone in less, it is 2 s.
"""

from __future__ import annotations

import math

RETRY_AFTER_SECS = 2
LONGEST_SECS = 60

_ENOUGH = 10  # requests, before the rate is believed
_SAMPLE_SECS = 1.0
_MEMORY_SECS = 30.0


class DrainRate:
    """Requests per second that finish while all permits are out, the last half minute counting
    most. Quiet times say nothing about what the workers can do, so they are left out. Seconds,
    monotonic.
    """

    __slots__ = ("_at", "_fresh", "_rate", "_seen", "_time")

    def __init__(self, now: float = 0.0) -> None:
        self._at = now  # beginning of what is not sampled yet
        self._fresh = 0  # requests since then
        self._seen = 0
        self._time = 0.0  # how much is behind the rate
        self._rate = 0.0

    def one(self) -> None:
        """A request finished."""
        self._fresh += 1

    def sample(self, now: float, busy: bool) -> None:
        """To be called now and then; `busy`: all permits are out."""
        passed = now - self._at
        if passed < _SAMPLE_SECS and busy:
            return
        if busy:
            self._time = min(_MEMORY_SECS, self._time + passed)
            self._rate += (self._fresh / passed - self._rate) * min(1.0, passed / self._time)
            self._seen += self._fresh
        self._fresh = 0
        self._at = now

    def retry_after(self, ahead: int) -> int:
        """Whole seconds until `ahead` requests are likely to be through; 2 to 60."""
        if self._seen < _ENOUGH or self._rate <= 0:
            return RETRY_AFTER_SECS
        return max(RETRY_AFTER_SECS, min(LONGEST_SECS, math.ceil(ahead / self._rate)))
