"""The errors of late, for an operator to look at: one entry per kind, so that a flood of one kind
hides no other.

Public texts only: what a client was told, never a cause, an address or a body.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

MOST_KINDS = 100
MOST_TEXT = 300  # characters of a message


@dataclass(slots=True)
class RecentError:
    """All errors of one route, status and code. Times in seconds since 1970; `message` and
    `request_id` are those of the last one.
    """

    path: str
    status: int
    code: str
    message: str
    request_id: str
    count: int
    first: float
    last: float


class RecentErrors:
    """At most `most` kinds; the one that was not seen for longest makes way."""

    def __init__(self, most: int = MOST_KINDS, clock: Callable[[], float] = time.time) -> None:
        self._most = most
        self._clock = clock
        self._kinds: dict[tuple[str, int, str], RecentError] = {}  # the latest at the end

    def add(self, path: str, status: int, code: str, message: str, request_id: str) -> None:
        """One more. `path` is a route's template, never what a client sent."""
        key = (path, status, code)
        now = self._clock()
        known = self._kinds.pop(key, None)
        if known is None:
            known = RecentError(path, status, code, "", "", 0, now, now)
            if len(self._kinds) >= self._most:
                del self._kinds[next(iter(self._kinds))]
        known.count += 1
        known.message, known.request_id, known.last = message[:MOST_TEXT], request_id, now
        self._kinds[key] = known

    def latest(self) -> list[RecentError]:
        """The latest first."""
        return list(reversed(self._kinds.values()))
