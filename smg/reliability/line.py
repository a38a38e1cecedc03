"""Requests in a row: who waits, or who may be sent away, in order of arrival.

A doubly linked list through the entries themselves: joining and leaving at any place costs the
same however long the row is, and an entry is one small object (some 120 bytes).
"""

from __future__ import annotations

from typing import Any, Protocol


class Arrival(Protocol):
    """A request that may have to wait. Only the owner of an admission calls these, never the
    admission itself, so they may do anything, also enter and leave.
    """

    def admitted(self) -> None:
        """The wait is over: the request holds a permit."""

    def expired(self) -> None:
        """It waited too long and left the row without a permit."""


class Preemptible(Arrival, Protocol):
    """A request that may also be sent away later, while its client has no byte of the answer."""

    @property
    def begun(self) -> bool:
        """Whether the client has a byte of the answer, or the request is over."""
        ...

    def preempted(self) -> None:
        """A higher class needs the permit: end with 503, and give it back."""


class Place:
    """A request's place in a row. `target` is the request, an `Arrival`; `since` is when it came,
    in seconds. `line` is None while it stands nowhere; `older` and `newer` are its neighbours.
    `rank` and `seated` (has a permit) are for admission by class.
    """

    __slots__ = ("line", "newer", "older", "rank", "seated", "since", "target")

    def __init__(self, target: Any, since: float, rank: int = 0) -> None:
        self.target = target
        self.since = since
        self.rank = rank
        self.seated = False
        self.line: Line | None = None
        self.older: Place | None = None
        self.newer: Place | None = None


class Line:
    """The row. `oldest` came first."""

    __slots__ = ("count", "newest", "oldest")

    def __init__(self) -> None:
        self.count = 0
        self.oldest: Place | None = None
        self.newest: Place | None = None

    def __len__(self) -> int:
        return self.count

    def join(self, place: Place) -> None:
        """Stand at the end. A place is in one line at most."""
        last = self.newest
        place.line = self
        place.older = last
        place.newer = None
        if last is None:
            self.oldest = place
        else:
            last.newer = place
        self.newest = place
        self.count += 1

    def leave(self, place: Place) -> bool:
        """Step out; False if it does not stand here (any more)."""
        if place.line is not self:
            return False
        older, newer = place.older, place.newer
        if older is None:
            self.oldest = newer
        else:
            older.newer = newer
        if newer is None:
            self.newest = older
        else:
            newer.older = older
        # No references stay behind: neighbours would keep each other's requests alive.
        place.line = place.older = place.newer = None
        self.count -= 1
        return True
