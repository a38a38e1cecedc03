"""The breakers that wait for a point in time, so that one coarse timer serves them all.

In a healthy fleet it is empty and a tick costs one comparison.
"""

from __future__ import annotations

from smg.reliability.breaker import NEVER, Breaker


class BreakerWatch:
    """Every breaker's `on_change` tells it; `tick` is called by a timer, four times a second say.

    The timer's interval is how late a breaker may become half-open.
    """

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: dict[Breaker, None] = {}  # in the order in which they came

    def __len__(self) -> int:
        return len(self._waiting)

    def changed(self, breaker: Breaker) -> None:
        """Look at the breaker again: it may wait for a time now, or no longer."""
        if breaker.next_change_at() == NEVER:
            self._waiting.pop(breaker, None)
        else:
            self._waiting[breaker] = None

    def forget(self, breaker: Breaker) -> None:
        """The worker is gone."""
        self._waiting.pop(breaker, None)

    def tick(self, now: float) -> None:
        """Move on every breaker whose time has come; `now` in seconds, monotonic."""
        if self._waiting:
            for breaker in tuple(self._waiting):  # changes while we are at it
                breaker.tick(now)
                self.changed(breaker)

    def earliest(self) -> float:
        """When the next breaker's time comes, in seconds; `NEVER` if none waits."""
        return min((breaker.next_change_at() for breaker in self._waiting), default=NEVER)
