"""How many requests may be in flight, and who waits when that is reached.

A permit is held from admission until the last byte of the answer. Nothing here runs by itself and
nobody is called: the owner asks (`admit`, `expire`) and tells the requests. It asks in loops and
not from within `admitted()`, because a request that ends at once gives its permit back at once, and
a thousand of them would otherwise stand on one stack. Rules: routing-reliability 19.

    admission.leave()                        # and on each tick
    while (place := admission.admit(now)) is not None:
        place.target.admitted()
"""

from __future__ import annotations

from smg.reliability.drain import DrainRate
from smg.reliability.line import Arrival, Line, Place

_WHOLE = 1.0 - 1e-9  # a permit; what the rate adds up to may fall short of it by rounding


class Admission:
    """See the module. There is none when `--max-concurrent-requests` is 0 or less.

    `limit` is the number of permits, `queue_size` how many requests may wait, each at most
    `queue_timeout` seconds. `rate` is in permits per second that come back by time, beside those
    that come back with a finished request; 0 makes it a plain cap. Seconds are monotonic.

    Read for metrics: `inflight` permits out; `allowed`, `refused` and `expired` requests so far (an
    expired one is not counted as refused), `gone` those whose client left while they waited.
    """

    __slots__ = (
        "_at",
        "_drain",
        "_line",
        "allowed",
        "expired",
        "free",
        "gone",
        "inflight",
        "limit",
        "queue_size",
        "queue_timeout",
        "rate",
        "refused",
    )

    def __init__(
        self,
        limit: int,
        queue_size: int = 100,
        queue_timeout: float = 60.0,
        rate: float = 0.0,
        now: float = 0.0,
    ) -> None:
        _check(limit, queue_size, queue_timeout, rate)
        self.limit = limit
        self.queue_size = queue_size
        self.queue_timeout = float(queue_timeout)
        self.rate = float(rate)
        self.free = float(limit)
        self.inflight = 0
        self.allowed = 0
        self.refused = 0
        self.expired = 0
        self.gone = 0
        self._at = now
        self._line = Line()
        self._drain = DrainRate(now)

    def configure(
        self, limit: int, queue_size: int, queue_timeout: float, rate: float, now: float
    ) -> None:
        """New settings while requests run and wait; call `admit` afterwards. Fewer permits than are
        out: they come back before any is given. Nobody who waits is sent away for a shorter queue.
        """
        _check(limit, queue_size, queue_timeout, rate)
        if self.rate:
            self._fill(now)
        self._at = now
        self.free = min(float(limit), self.free + limit - self.limit)
        self.limit = limit
        self.queue_size = queue_size
        self.queue_timeout = float(queue_timeout)
        self.rate = float(rate)

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return self._line.count

    # -- a request's way --------------------------------------------------------------------------

    def enter(self, now: float) -> bool:
        """Take a permit if one is free and nobody waits for it."""
        if self.rate:
            self._fill(now)
        if self.free < _WHOLE or self._line.count:
            return False
        self.free -= 1.0
        self.inflight += 1
        self.allowed += 1
        return True

    def park(self, target: Arrival, now: float) -> Place | None:
        """Wait, after `enter` said no. None: the queue is full or off, and the request is refused.

        Keep what is returned: it is what `forget` needs if the client leaves.
        """
        if self._line.count >= self.queue_size:
            self.refused += 1
            return None
        place = Place(target, now)
        self._line.join(place)
        return place

    def forget(self, place: Place) -> bool:
        """The client of a waiting request left. False if it does not wait any more: then it has a
        permit to give back, or was told that it waited too long.
        """
        if not self._line.leave(place):
            return False
        self.gone += 1
        return True

    def leave(self) -> bool:
        """A permit comes back: the answer is complete, failed, or nobody wants it any more. Whether
        anybody waits, so that `admit` is to be called.

        A surplus call is ignored rather than turned into a permit.
        """
        if self.inflight:
            self.inflight -= 1
            self.free += 1.0
            if self.free > self.limit:
                self.free = float(self.limit)
            self._drain.one()
        return self._line.count > 0

    # -- what the owner asks for ------------------------------------------------------------------

    def admit(self, now: float) -> Place | None:
        """Give a free permit to whoever waits longest; None if there is no permit or nobody.

        To be called until it says None, after each `leave` while anybody waits and, with a rate, on
        each tick.
        """
        place = self._line.oldest
        if place is None:
            return None
        if self.rate:
            self._fill(now)
        if self.free < _WHOLE:
            return None
        self._line.leave(place)
        self.free -= 1.0
        self.inflight += 1
        self.allowed += 1
        return place

    def expire(self, now: float) -> Place | None:
        """Take out the next one that waited too long; None if there is nobody (any more).

        To be called on each tick until it says None, after `admit`.
        """
        self._drain.sample(now, self.free < _WHOLE)
        place = self._line.oldest
        if place is None or now - place.since < self.queue_timeout:
            return None
        self._line.leave(place)
        self.expired += 1
        return place

    def retry_after(self) -> int:
        """Whole seconds after which a request that is refused now had better come back."""
        return self._drain.retry_after(self._line.count)

    def next_permit_in(self, now: float) -> float:
        """Seconds until the rate makes the next permit; 0 if one is free, infinite without rate."""
        if self.rate:
            self._fill(now)
        if self.free >= _WHOLE:
            return 0.0
        return (1.0 - self.free) / self.rate if self.rate else float("inf")

    def _fill(self, now: float) -> None:
        if now > self._at:
            self.free = min(float(self.limit), self.free + (now - self._at) * self.rate)
            self._at = now


def _check(limit: int, queue_size: int, queue_timeout: float, rate: float) -> None:
    if limit < 1:
        raise ValueError("an admission hands out at least 1 permit")
    if queue_size < 0 or rate < 0:
        raise ValueError("queue size and rate cannot be negative")
    if queue_size and queue_timeout <= 0:
        raise ValueError("a queue needs a timeout above 0 s")
