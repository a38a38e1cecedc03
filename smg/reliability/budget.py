"""How many retries there may be, so that an outage is not multiplied by its retries.

In any 10 s there may be 100 retries and one for every two requests, counted where they begin. The
constant lets small gateways retry at all; the share keeps a large one from sending five times its
traffic to workers that are already down. Rule: routing-reliability 17.
"""

from __future__ import annotations

SHARE = 0.5
CONSTANT = 100
WINDOW_SECS = 10.0

_SLICES = 10


class Budget:
    """A budget of retries, of the whole gateway or of one model.

    In every stretch of `window` seconds that ends with a retry, retries are at most `constant` plus
    `share` times the requests of that stretch. Time is counted in slices of a tenth of the window,
    in the careful direction: requests are forgotten up to a slice early, retries up to a slice
    late. `suppressed` counts refusals. Seconds, monotonic.
    """

    def __init__(
        self, share: float = SHARE, constant: float = CONSTANT, window: float = WINDOW_SECS
    ) -> None:
        if share < 0 or constant < 0 or window <= 0:
            raise ValueError("a retry budget cannot be negative, and its window is above 0 s")
        self.share = share
        self.constant = constant
        self.suppressed = 0
        self._slice = window / _SLICES
        self._number = 0  # of the slice that is filled now
        self._turn = 0.0  # when it ends
        self._fresh = 0  # requests in it
        self._requests = 0  # in the slices before
        self._retries = 0
        self._requests_by_slice = [0] * _SLICES
        self._retries_by_slice = [0] * (_SLICES + 1)

    def request(self, now: float) -> None:
        """A request begins; its further attempts do not count."""
        if now >= self._turn:
            self._advance(now)
        self._fresh += 1

    def spend(self, now: float) -> bool:
        """Take one retry; False if there is none left."""
        if now >= self._turn:
            self._advance(now)
        if self._retries + 1 > self.constant + self.share * (self._requests + self._fresh):
            self.suppressed += 1
            return False
        self._retries += 1
        self._retries_by_slice[self._number % (_SLICES + 1)] += 1
        return True

    def left(self, now: float) -> int:
        """Retries that could begin at `now`."""
        if now >= self._turn:
            self._advance(now)
        allowed = self.constant + self.share * (self._requests + self._fresh)
        return max(0, int(allowed) - self._retries)

    def _advance(self, now: float) -> None:
        """Begin the slice of `now`; forget what is too old."""
        number = max(self._number, int(now / self._slice))
        self._requests_by_slice[self._number % _SLICES] += self._fresh
        self._requests += self._fresh
        self._fresh = 0
        # After a long silence every slice is old, and each is emptied once.
        for passed in range(max(self._number, number - _SLICES - 1) + 1, number + 1):
            at = passed % _SLICES
            self._requests -= self._requests_by_slice[at]
            self._requests_by_slice[at] = 0
            at = passed % (_SLICES + 1)
            self._retries -= self._retries_by_slice[at]
            self._retries_by_slice[at] = 0
        self._number = number
        self._turn = (number + 1) * self._slice
