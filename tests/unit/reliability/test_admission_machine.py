"""Admission against a number and a list."""

from __future__ import annotations

from dataclasses import dataclass

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from smg.reliability.admission import Admission
from smg.reliability.line import Place


@dataclass(eq=False)
class Request:
    """`state`: waiting, inside, refused, expired, gone, done."""

    came: float
    state: str = ""
    place: Place | None = None


class AdmissionMachine(RuleBasedStateMachine):
    """Requests come, wait, give up, run and end in any order."""

    @initialize(
        limit=st.integers(1, 3), size=st.integers(0, 4), timeout=st.sampled_from([1.0, 5.0])
    )
    def begin(self, limit: int, size: int, timeout: float) -> None:
        self.limit, self.size, self.timeout = limit, size, timeout
        self.admission = Admission(limit, size, timeout)
        self.now = 50.0
        self.requests: list[Request] = []

    def those(self, state: str) -> list[Request]:
        return [one for one in self.requests if one.state == state]

    @rule(seconds=st.sampled_from([0.0, 0.4, 1.0, 6.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def arrive(self) -> None:
        waiting, free = self.those("waiting"), self.limit - len(self.those("inside"))
        request = Request(self.now)
        self.requests.append(request)
        if self.admission.enter(self.now):
            assert free > 0
            assert not waiting
            request.state = "inside"
            return
        assert free <= 0 or waiting
        request.place = self.admission.park(request, self.now)  # type: ignore[arg-type]
        request.state = "refused" if request.place is None else "waiting"
        assert (request.place is None) == (len(waiting) >= self.size)

    @rule()
    def admit_one(self) -> None:
        waiting, free = self.those("waiting"), self.limit - len(self.those("inside"))
        place = self.admission.admit(self.now)
        if place is None:
            assert free <= 0 or not waiting
        else:
            assert free > 0
            assert place.target is waiting[0]  # first come, first served
            waiting[0].state = "inside"

    @rule()
    def expire_one(self) -> None:
        late = [one for one in self.those("waiting") if self.now - one.came >= self.timeout]
        place = self.admission.expire(self.now)
        if place is None:
            assert not late
        else:
            assert place.target is late[0]
            late[0].state = "expired"

    @precondition(lambda self: self.those("inside"))
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.those("inside"))).state = "done"
        self.admission.leave()

    @rule(data=st.data())
    def client_leaves(self, data: st.DataObject) -> None:
        parked = [one for one in self.requests if one.place is not None]
        if not parked:
            return
        request = data.draw(st.sampled_from(parked))
        assert request.place is not None
        assert self.admission.forget(request.place) is (request.state == "waiting")
        if request.state == "waiting":
            request.state = "gone"

    @rule(limit=st.integers(1, 4), size=st.integers(0, 4), timeout=st.sampled_from([0.5, 5.0]))
    def configure(self, limit: int, size: int, timeout: float) -> None:
        self.limit, self.size, self.timeout = limit, size, timeout
        self.admission.configure(limit, size, timeout, 0.0, self.now)

    @invariant()
    def counts_agree(self) -> None:
        admission = self.admission
        assert admission.inflight == len(self.those("inside"))
        assert admission.free == self.limit - admission.inflight
        assert admission.waiting == len(self.those("waiting"))
        assert admission.refused == len(self.those("refused"))
        assert admission.expired == len(self.those("expired"))
        assert admission.gone == len(self.those("gone"))
        assert admission.allowed == len(self.those("inside")) + len(self.those("done"))

    def teardown(self) -> None:
        """In the end everybody was admitted, refused, expired or left, and every permit is back."""
        if not hasattr(self, "admission"):
            return
        while self.those("inside") or self.those("waiting"):
            for request in self.those("inside"):
                request.state = "done"
                self.admission.leave()
            before = len(self.those("waiting"))
            while (place := self.admission.admit(self.now)) is not None:
                place.target.state = "inside"
            assert len(self.those("waiting")) < before or not before
        self.counts_agree()
        assert self.admission.free == self.limit


AdmissionMachine.TestCase.settings = settings(
    max_examples=100, stateful_step_count=50, deadline=None
)
TestAdmission = AdmissionMachine.TestCase
