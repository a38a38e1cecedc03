"""A rate with a burst: what flows in steadily and may be taken out at once.

Filled when it is looked at, so no timer belongs to it. Seconds, monotonic.
"""

from __future__ import annotations

NEVER = float("inf")
_ALMOST = 1e-9  # what sums of floats may lack; without it a wait for exactly enough ends just short


class TokenBucket:
    """Holds at most `burst`, gains `rate` per second, starts full.

    With rate 0 only `put_back` fills it. `charge` may overdraw it: then `level` is below 0 and
    nothing can be taken until the debt is paid off.
    """

    __slots__ = ("_at", "burst", "level", "rate")

    def __init__(self, rate: float, burst: float, now: float = 0.0) -> None:
        if rate < 0 or burst <= 0:
            raise ValueError("a bucket holds more than 0, and its rate is not negative")
        self.rate = float(rate)
        self.burst = float(burst)
        self.level = float(burst)
        self._at = now

    def fill(self, now: float) -> float:
        """Let in what came until `now`; returns the level."""
        if now > self._at:
            self.level = min(self.burst, self.level + (now - self._at) * self.rate)
            self._at = now
        return self.level

    def take(self, now: float, amount: float = 1.0) -> bool:
        """Take `amount`, or nothing and False if there is less."""
        if self.fill(now) + _ALMOST < amount:
            return False
        self.level -= amount
        return True

    def wait(self, now: float, amount: float = 1.0) -> float:
        """Seconds until `amount` can be taken if nobody else takes; `NEVER` if it never fits."""
        missing = amount - self.fill(now)
        if missing <= _ALMOST:
            return 0.0
        if self.rate == 0 or amount > self.burst + _ALMOST:
            return NEVER
        return missing / self.rate

    def charge(self, now: float, amount: float) -> None:
        """Take `amount` whatever there is; a negative amount gives back, up to the burst."""
        self.level = min(self.burst, self.fill(now) - amount)

    def put_back(self, amount: float = 1.0) -> None:
        """Return what was taken; what does not fit is lost."""
        self.level = min(self.burst, self.level + amount)
