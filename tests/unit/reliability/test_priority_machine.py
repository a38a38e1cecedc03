"""Admission by class against lists."""

from __future__ import annotations

from dataclasses import dataclass

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from smg.reliability.classes import BULK, DEFAULT, INTERACTIVE, ClassSettings
from smg.reliability.line import Place
from smg.reliability.priority import PriorityAdmission

CLASSES = (
    ClassSettings(1, 0.0, 2, 8.0, 2.0, True),
    ClassSettings(0, 0.25, 2, 8.0, 2.0, True),
    ClassSettings(0, 0.10, 3, 12.0, 5.0, False),
    ClassSettings(0, 0.0, 3, 40.0, 9.0, False),
)
KEPT = (1, 2, 1, 0)  # of seven permits
CAPACITY = 7


@dataclass(eq=False)
class Request:
    rank: int
    came: float
    state: str = ""  # waiting, inside, refused, expired, gone, done
    begun: bool = False
    place: Place | None = None


class PriorityMachine(RuleBasedStateMachine):
    """Requests of all classes come, wait, give way, begin and end in any order."""

    @initialize()
    def begin(self) -> None:
        self.admission = PriorityAdmission(CAPACITY, CLASSES)
        assert self.admission.reserved == KEPT
        self.now = 0.0
        self.requests: list[Request] = []
        self.inside: list[Request] = []  # in order of admission
        self.promoted = False

    def waiting(self, rank: int) -> list[Request]:
        return [one for one in self.requests if one.state == "waiting" and one.rank == rank]

    def seats(self, rank: int) -> int:
        return sum(one.rank == rank for one in self.inside)

    def fits(self, rank: int) -> bool:
        """Room in total, and nobody else's kept permit is needed for it."""
        pool = CAPACITY - sum(KEPT)
        used = sum(max(0, self.seats(one) - KEPT[one]) for one in range(4))
        return len(self.inside) < CAPACITY and (self.seats(rank) < KEPT[rank] or used < pool)

    def starving(self) -> Request | None:
        for rank in (BULK, DEFAULT, INTERACTIVE):
            line = self.waiting(rank)
            if line and self.now - line[0].came >= CLASSES[rank].starvation_secs:
                return line[0]
        return None

    def next_in_order(self) -> Request | None:
        for rank in range(4):
            line = self.waiting(rank)
            if line and self.fits(rank):
                return line[0]
        return None

    @rule(seconds=st.sampled_from([0.0, 0.3, 2.0, 5.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(rank=st.integers(0, 3))
    def arrive(self, rank: int) -> None:
        request = Request(rank, self.now)
        line, fits = self.waiting(rank), self.fits(rank)
        self.requests.append(request)
        request.place = self.admission.enter(request, rank, self.now)  # type: ignore[arg-type]
        assert (request.place is not None) == (fits and not line)
        if request.place is not None:
            request.state = "inside"
            self.inside.append(request)
            return
        request.place = self.admission.park(request, rank, self.now)  # type: ignore[arg-type]
        assert (request.place is None) == (len(line) >= CLASSES[rank].queue_size)
        request.state = "refused" if request.place is None else "waiting"

    @rule()
    def admit_one(self) -> None:
        expected = None
        if len(self.inside) < CAPACITY:
            starving = self.starving()
            expected = starving or self.next_in_order()
            self.promoted = self.promoted or starving is not None
        place = self.admission.admit(self.now)
        assert (place.target if place is not None else None) is expected
        if expected is not None:
            expected.state = "inside"
            self.inside.append(expected)

    @rule()
    def expire_one(self) -> None:
        late = [
            line[0]
            for line in map(self.waiting, range(4))
            if line and self.now - line[0].came >= CLASSES[line[0].rank].queue_timeout_secs
        ]
        place = self.admission.expire(self.now)
        if place is None:
            assert not late
        else:
            assert place.target is late[0]
            late[0].state = "expired"

    @rule(rank=st.integers(0, 3))
    def make_room(self, rank: int) -> None:
        victim = self.admission.victim(rank, self.now)
        if victim is None:
            return
        request = victim.target
        assert CLASSES[rank].may_preempt
        assert request.rank > rank
        assert not request.begun
        assert self.seats(request.rank) > KEPT[request.rank]
        below = [one for one in self.inside if one.rank > request.rank and not one.begun]
        assert not any(self.seats(one.rank) > KEPT[one.rank] for one in below)
        assert not any(
            one.rank == request.rank and not one.begun
            for one in self.inside[self.inside.index(request) + 1 :]
        )
        self.leave(request)
        assert self.fits(rank)  # it was not in vain

    def leave(self, request: Request) -> None:
        assert request.place is not None
        request.state = "done"
        self.inside.remove(request)
        self.admission.leave(request.place)

    @precondition(lambda self: self.inside)
    @rule(data=st.data())
    def begin_answer(self, data: st.DataObject) -> None:
        request = data.draw(st.sampled_from(self.inside))
        request.begun = True

    @precondition(lambda self: self.inside)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        self.leave(data.draw(st.sampled_from(self.inside)))

    @precondition(lambda self: self.requests)
    @rule(data=st.data())
    def client_leaves(self, data: st.DataObject) -> None:
        request = data.draw(st.sampled_from(self.requests))
        if request.place is not None:
            assert self.admission.forget(request.place) is (request.state == "waiting")
            if request.state == "waiting":
                request.state = "gone"

    @invariant()
    def counts_agree(self) -> None:
        admission = self.admission
        assert admission.inflight == len(self.inside) <= CAPACITY
        for rank in range(4):
            assert admission.seats[rank] == self.seats(rank)
            assert admission.depth(rank) == len(self.waiting(rank))
            assert 0 <= admission.pressure(rank) <= 1

    @invariant()
    def what_is_kept_is_there(self) -> None:
        """Until somebody starves, every class can have its own permits at any moment."""
        if not self.promoted:
            missing = sum(max(0, KEPT[rank] - self.seats(rank)) for rank in range(4))
            assert CAPACITY - len(self.inside) >= missing

    def teardown(self) -> None:
        """In the end everybody had a turn, and every permit is back."""
        if not hasattr(self, "admission"):
            return
        while self.inside or any(map(self.waiting, range(4))):
            for request in tuple(self.inside):
                self.leave(request)
            before = len(self.inside)
            while self.admission.inflight < CAPACITY:
                place = self.admission.admit(self.now)
                if place is None:
                    break
                place.target.state = "inside"
                self.inside.append(place.target)
            assert len(self.inside) > before or not any(map(self.waiting, range(4)))
        assert self.admission.inflight == self.admission.waiting == 0
        assert self.admission.seats == [0, 0, 0, 0]


PriorityMachine.TestCase.settings = settings(
    max_examples=100, stateful_step_count=50, deadline=None
)
TestPriority = PriorityMachine.TestCase
