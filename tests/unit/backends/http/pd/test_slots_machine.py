"""Slots against a plain model: requests come, wait, leave, fail and end in any order, workers come
and go. No slot is lost or given twice, nobody overtakes, and nobody waits while there is room.
"""

from __future__ import annotations

from dataclasses import dataclass

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from smg.core.errors import GatewayError
from smg.reliability.line import Place
from smg.workers import Worker, WorkerStatus
from tests.unit.backends.http.pd.test_slots import Stage


@dataclass(eq=False)
class Request:
    """`state`: waiting, inside, hopeless, refused, expired, gone, done."""

    machine: SlotsMachine
    number: int
    came: float
    state: str = ""
    worker: Worker | None = None
    place: Place | None = None

    def may_go(self) -> bool:
        ready = self.machine.ready()
        return not ready or bool(self.machine.stage.slots.roomy(ready))

    def go(self) -> None:
        slots = self.machine.stage.slots
        roomy = slots.roomy(self.machine.ready())
        waiting = self.machine.those("waiting")
        assert self is waiting[0]
        if not roomy:
            self.state = "hopeless"
            slots.hopeless()
            return
        self.state, self.worker = "inside", roomy[0]
        slots.take(roomy[0])

    def waited_too_long(self, error: GatewayError) -> None:
        assert error.code == "pd_prefill_queue_timeout"
        assert self.machine.stage.now - self.came >= self.machine.timeout
        self.state = "expired"


class SlotsMachine(RuleBasedStateMachine):
    """See the module."""

    @initialize(
        limit=st.integers(1, 3), size=st.integers(0, 4), timeout=st.sampled_from([1.0, 5.0])
    )
    def begin(self, limit: int, size: int, timeout: float) -> None:
        self.limit, self.size, self.timeout = limit, size, timeout
        self.stage = Stage(limit, size, timeout)
        self.workers = [self.stage.worker(name) for name in "ab"]
        self.requests: list[Request] = []
        self.names = 0

    def ready(self) -> tuple[Worker, ...]:
        group = self.stage.registry.group("m", "prefill")
        return () if group is None else group.available

    def those(self, state: str) -> list[Request]:
        return [one for one in self.requests if one.state == state]

    @rule()
    def arrive(self) -> None:
        slots = self.stage.slots
        request = Request(self, len(self.requests), self.stage.now)
        self.requests.append(request)
        roomy = () if slots.waiting else slots.roomy(self.ready())
        if roomy:
            request.state, request.worker = "inside", roomy[-1]
            slots.take(roomy[-1])
        elif not self.ready():
            request.state = "hopeless"  # at once, whoever waits
        elif slots.may_wait:
            request.state = "waiting"
            request.place = slots.join(request)
        else:
            assert slots.refuse().code == "pd_prefill_queue_full"
            request.state = "refused"
            assert len(self.those("waiting")) >= self.size

    @precondition(lambda self: self.those("inside"))
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        request = data.draw(st.sampled_from(self.those("inside")))
        request.state = "done"
        assert request.worker is not None
        self.stage.slots.give_back(request.worker)

    @rule(data=st.data())
    def client_leaves(self, data: st.DataObject) -> None:
        parked = [one for one in self.requests if one.place is not None]
        if parked:
            request = data.draw(st.sampled_from(parked))
            assert request.place is not None
            self.stage.slots.leave(request.place)
            if request.state == "waiting":
                request.state = "gone"

    @rule(data=st.data(), status=st.sampled_from([WorkerStatus.READY, WorkerStatus.NOT_READY]))
    def health(self, data: st.DataObject, status: WorkerStatus) -> None:
        if self.workers:
            self.stage.registry.set_status(data.draw(st.sampled_from(self.workers)), status)

    @rule()
    def join_fleet(self) -> None:
        if len(self.workers) < 4:
            self.names += 1
            self.workers.append(self.stage.worker(f"w{self.names}"))

    @rule(data=st.data())
    def leave_fleet(self, data: st.DataObject) -> None:
        if self.workers:
            worker = data.draw(st.sampled_from(self.workers))
            self.workers.remove(worker)
            self.stage.registry.remove(worker.id)

    @rule(seconds=st.sampled_from([0.3, 1.0, 6.0]))
    def time_passes(self, seconds: float) -> None:
        self.stage.later(seconds)

    @rule()
    def turn(self) -> None:
        self.stage.turn()

    @invariant()
    def counts_agree(self) -> None:
        slots = self.stage.slots
        inside = self.those("inside")
        assert slots.inflight == len(inside)
        assert slots.waiting == len(self.those("waiting")) <= self.size
        for worker in {one.worker for one in inside} | set(self.workers):
            assert worker is not None
            assert slots.held(worker) == sum(one.worker is worker for one in inside) <= self.limit
        if not self.stage.soon and slots.waiting:
            # nothing is due: then there is no room, and somebody to wait for
            assert self.ready()
            assert not slots.roomy(self.ready())

    def teardown(self) -> None:
        """In the end nobody waits and every slot is back."""
        if not hasattr(self, "stage"):
            return
        while self.those("inside") or self.those("waiting"):
            for request in self.those("inside"):
                request.state = "done"
                assert request.worker is not None
                self.stage.slots.give_back(request.worker)
            before = len(self.those("waiting"))
            self.stage.turn()
            assert len(self.those("waiting")) < before or not before
        assert self.stage.slots.inflight == 0
        assert not self.stage.slots._held
        assert not self.stage.slots._full


SlotsMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
TestSlots = SlotsMachine.TestCase
