"""Admission by class: kept permits, queues, starvation and pre-emption.

Takes the place of `Admission` and is asked in the same way (`enter`, `park`, `admit`, `expire`,
`forget`, `leave`), but every request has an object here as long as it is in flight, for it may have
to give way. Rules: routing-reliability 20.

Permits that a class does not use stay free for it; the rest, the pool, is for whoever comes first.
A class takes from the pool what it needs beyond its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from smg.reliability.classes import (
    BULK,
    CLASS_NAMES,
    DEFAULT,
    DEFAULT_CLASSES,
    INTERACTIVE,
    ClassSettings,
    reservations,
)
from smg.reliability.line import Line, Place, Preemptible

RANKS = tuple(range(len(CLASS_NAMES)))
_UPWARDS = tuple(reversed(RANKS))
_STARVING = (BULK, DEFAULT, INTERACTIVE)  # nobody is above system, so it cannot starve


class PriorityAdmission:
    """See the module. `capacity` permits; `classes` highest first.

    Raises ValueError if more is to be kept for classes than there is. Workers come and go, though:
    `resize` shrinks what is kept in proportion instead.

    Read for metrics: `capacity`, `inflight` in total; by rank `seats` (in flight), `reserved`,
    `promoted` (let in because they starved) and `preempted` (sent away, by rank of the victim and
    then of who needed the permit).
    """

    __slots__ = (
        "_classes",
        "_pool",
        "_pool_used",
        "_preemptible",
        "_waiting",
        "capacity",
        "inflight",
        "preempted",
        "promoted",
        "reserved",
        "seats",
    )

    def __init__(self, capacity: int, classes: Sequence[ClassSettings] = DEFAULT_CLASSES) -> None:
        kept = reservations(classes, capacity)
        if sum(kept) > capacity:
            raise ValueError(
                f"{sum(kept)} permits are reserved for classes, but there are {capacity}"
            )
        self._classes = tuple(classes)
        self._waiting = tuple(Line() for _ in RANKS)
        self._preemptible = tuple(Line() for _ in RANKS)  # in flight, no byte with the client yet
        self.seats = [0 for _ in RANKS]
        self.promoted = [0 for _ in RANKS]
        self.preempted = [[0 for _ in RANKS] for _ in RANKS]
        self.inflight = 0
        self._set_capacity(capacity, kept)

    def resize(self, capacity: int) -> None:
        """The workers together take another number of requests, at least 1; call `admit` after."""
        kept = reservations(self._classes, capacity)
        if sum(kept) > capacity:
            kept = tuple(number * capacity // sum(kept) for number in kept)
        self._set_capacity(capacity, kept)

    def _set_capacity(self, capacity: int, kept: tuple[int, ...]) -> None:
        if capacity < 1:
            raise ValueError("there must be at least 1 permit")
        self.capacity = capacity
        self.reserved = kept
        self._pool = capacity - sum(kept)
        self._pool_used = sum(max(0, self.seats[rank] - kept[rank]) for rank in RANKS)

    # -- a request's way --------------------------------------------------------------------------

    def enter(self, target: Preemptible, rank: int, now: float) -> Place | None:
        """A permit at once, or None if none is free for the class or somebody of it waits."""
        if self._waiting[rank].count or not self._fits(rank):
            return None
        place = Place(target, now, rank)
        self._seat(place)
        return place

    def park(self, target: Preemptible, rank: int, now: float) -> Place | None:
        """Wait, after `enter` said no; None if the class's queue is full. Ask `victim` next."""
        line = self._waiting[rank]
        if line.count >= self._classes[rank].queue_size:
            return None
        place = Place(target, now, rank)
        line.join(place)
        return place

    def victim(self, rank: int, now: float) -> Place | None:
        """Who is to give way to a class that just had to wait, or None.

        Of the lowest class that holds more than is kept for it, the newest request whose client has
        no byte yet. Nobody if the permit would go to a starving request of a lower class. The
        caller tells `place.target.preempted()`, which ends in `leave`, and then asks `admit`.
        """
        if not self._classes[rank].may_preempt or not self._one_more_would_fit(rank):
            return None
        starving = self._starving(now)
        if starving is not None and starving.rank > rank:
            return None
        for lower in _UPWARDS:
            if lower <= rank:
                return None
            place = self._preemptible[lower].newest
            if place is not None and self.seats[lower] > self.reserved[lower]:
                self._preemptible[lower].leave(place)
                self.preempted[lower][rank] += 1
                return place
        return None

    def began(self, place: Place) -> None:
        """The client has a byte of the answer: nobody takes this permit away any more."""
        self._preemptible[place.rank].leave(place)

    def forget(self, place: Place) -> bool:
        """The client of a waiting request left. False if it does not wait any more."""
        return self._waiting[place.rank].leave(place)

    def leave(self, place: Place) -> None:
        """A permit comes back. A surplus call is ignored. Call `admit` if anybody waits."""
        if not place.seated:
            return
        place.seated = False
        rank = place.rank
        self._preemptible[rank].leave(place)
        if self.seats[rank] > self.reserved[rank]:
            self._pool_used -= 1
        self.seats[rank] -= 1
        self.inflight -= 1

    # -- what the owner asks for ------------------------------------------------------------------

    def admit(self, now: float) -> Place | None:
        """Give a free permit to whoever is next; None if there is none or nobody.

        First who starves, the lowest class before the others and without regard to what is kept;
        then the highest class that may have one. To be called until it says None, after each
        `leave` while anybody waits, and on each tick.
        """
        if self.inflight >= self.capacity:
            return None
        place = self._starving(now)
        if place is not None:
            self.promoted[place.rank] += 1
        else:
            place = self._first_in_order()
        if place is not None:
            self._waiting[place.rank].leave(place)
            self._seat(place)
        return place

    def expire(self, now: float) -> Place | None:
        """Take out the next one that waited too long; None if there is nobody (any more)."""
        for rank in RANKS:
            place = self._waiting[rank].oldest
            if place is not None and now - place.since >= self._classes[rank].queue_timeout_secs:
                self._waiting[rank].leave(place)
                return place
        return None

    @property
    def waiting(self) -> int:
        """Requests that wait, of all classes."""
        return sum(line.count for line in self._waiting)

    def depth(self, rank: int) -> int:
        """Requests of a class that wait."""
        return self._waiting[rank].count

    def pressure(self, rank: int) -> float:
        """How hard a class presses, 0 to 1: how full its queue is, or how much of what is not kept
        for higher classes it holds beyond its own, whichever is more.
        """
        queue_size = self._classes[rank].queue_size
        queued = self._waiting[rank].count / queue_size if queue_size else 0.0
        others = self.capacity - sum(self.reserved[:rank])
        beyond = max(0, self.seats[rank] - self.reserved[rank])
        return min(1.0, max(queued, beyond / others if others > 0 else float(beyond > 0)))

    # -- rules ------------------------------------------------------------------------------------

    def _fits(self, rank: int) -> bool:
        if self.inflight >= self.capacity:
            return False
        return self.seats[rank] < self.reserved[rank] or self._pool_used < self._pool

    def _one_more_would_fit(self, rank: int) -> bool:
        """Whether the class could have a permit that another class takes from the pool."""
        if self.inflight > self.capacity:
            return False
        return self.seats[rank] < self.reserved[rank] or self._pool_used <= self._pool

    def _starving(self, now: float) -> Place | None:
        for rank in _STARVING:
            place = self._waiting[rank].oldest
            if place is not None and now - place.since >= self._classes[rank].starvation_secs:
                return place
        return None

    def _first_in_order(self) -> Place | None:
        for rank in RANKS:
            place = self._waiting[rank].oldest
            if place is not None and self._fits(rank):
                return place
        return None

    def _seat(self, place: Place) -> None:
        rank = place.rank
        place.seated = True
        self._preemptible[rank].join(place)
        if self.seats[rank] >= self.reserved[rank]:
            self._pool_used += 1
        self.seats[rank] += 1
        self.inflight += 1
