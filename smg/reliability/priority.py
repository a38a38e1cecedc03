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
    """See the module. `capacity` permits, at least 1; `classes` highest first.

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
        self._classes = tuple(classes)
        self._waiting = tuple(Line() for _ in RANKS)
        self._preemptible = tuple(Line() for _ in RANKS)  # in flight, perhaps without a byte yet
        self.seats = [0 for _ in RANKS]
        self.promoted = [0 for _ in RANKS]
        self.preempted = [[0 for _ in RANKS] for _ in RANKS]
        self.inflight = 0
        self.resize(capacity)

    def configure(self, capacity: int, classes: Sequence[ClassSettings]) -> None:
        """Other classes while requests run and wait; call `admit` after. Nobody who waits is sent
        away for a shorter queue.
        """
        self._classes = tuple(classes)
        self.resize(capacity)

    def resize(self, capacity: int) -> None:
        """The workers together take another number of requests, at least 1; call `admit` after."""
        if capacity < 1:
            raise ValueError("there must be at least 1 permit")
        kept = reservations(self._classes, capacity)
        self.capacity = capacity
        self.reserved = kept
        self._pool = capacity - sum(kept)
        self._pool_used = sum(max(0, self.seats[rank] - kept[rank]) for rank in RANKS)

    # -- a request's way --------------------------------------------------------------------------

    def enter(self, target: Preemptible, rank: int, now: float) -> Place | None:
        """A permit at once, or None if none is free for the class or somebody of it waits."""
        line = self._waiting[rank]
        if line.count or not self._fits(rank):
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
            if self.seats[lower] <= self.reserved[lower]:
                continue
            place = self._newest_without_a_byte(lower)
            if place is not None:
                self._preemptible[lower].leave(place)
                self.preempted[lower][rank] += 1
                return place
        return None

    def _newest_without_a_byte(self, rank: int) -> Place | None:
        # Asked here, when it matters, so that no request has to tell that its answer began. Whose
        # has is passed over once and for all.
        line = self._preemptible[rank]
        while (place := line.newest) is not None and place.target.begun:
            line.leave(place)
        return place

    def forget(self, place: Place) -> bool:
        """The client of a waiting request left. False if it does not wait any more."""
        return self._waiting[place.rank].leave(place)

    def leave(self, place: Place) -> bool:
        """A permit comes back; a surplus call is ignored. Whether anybody waits, so that `admit` is
        to be called.
        """
        if place.seated:
            place.seated = False
            rank = place.rank
            line = place.line
            if line is not None:  # else it was found to have begun
                line.leave(place)
            if self.seats[rank] > self.reserved[rank]:
                self._pool_used -= 1
            self.seats[rank] -= 1
            self.inflight -= 1
        for line in self._waiting:  # noqa: SIM110 - a generator costs more than all of the above
            if line.count:
                return True
        return False

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

    def queue_size(self, rank: int) -> int:
        """How many may."""
        return self._classes[rank].queue_size

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
        line = self._preemptible[rank]
        line.join(place)
        if self.seats[rank] >= self.reserved[rank]:
            self._pool_used += 1
        self.seats[rank] += 1
        self.inflight += 1
