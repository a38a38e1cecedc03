"""The breaker against a model that keeps every request and every failure in plain lists."""

from __future__ import annotations

from dataclasses import dataclass

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from smg.reliability.breaker import CLOSED, HALF_OPEN, NEVER, OPEN, Breaker
from smg.reliability.settings import BreakerSettings

TIMEOUT, WINDOW = 10.0, 7.0


@dataclass(eq=False)
class Request:
    """In flight. `term` is the breaker's, `era` the model's own count of states."""

    term: int
    era: int
    sent: float
    placed: bool  # among the trials


class BreakerMachine(RuleBasedStateMachine):
    """Any order of sending, ending and waiting."""

    @initialize(
        failures=st.integers(1, 4),
        successes=st.integers(1, 3),
        state=st.sampled_from([CLOSED, OPEN, HALF_OPEN, HALF_OPEN]),
    )
    def begin(self, failures: int, successes: int, state: int) -> None:
        self.failures, self.successes = failures, successes
        self.heard = (CLOSED, True)
        self.breaker = Breaker(
            BreakerSettings(failures, successes, TIMEOUT, WINDOW), on_change=self.changed
        )
        self.now = 100.0
        self.requests: list[Request] = []
        self.state = CLOSED
        self.era = 0
        self.run: list[float] = []  # times of failures since the last success
        self.good = 0
        self.opened = 0.0
        self.full_since: float | None = None
        if state != CLOSED:  # or chance would seldom get there
            for _ in range(failures):
                self.breaker.failed(self.breaker.dispatched(self.now), self.now)
            self.enter(OPEN)
        if state == HALF_OPEN:
            self.now += TIMEOUT
            self.tick(False)

    def changed(self, breaker: Breaker, before: int) -> None:
        assert before == self.heard[0]
        assert self.heard != (breaker.state, breaker.admits)
        self.heard = (breaker.state, breaker.admits)

    def enter(self, state: int) -> None:
        self.state = state
        self.era += 1
        self.run, self.good = [], 0
        self.opened = self.now
        self.full_since = None

    def trials(self) -> list[Request]:
        return [one for one in self.requests if one.placed and one.era == self.era]

    def note_trials(self) -> None:
        if self.state != HALF_OPEN or len(self.trials()) < self.successes:
            self.full_since = None
        elif self.full_since is None:
            self.full_since = self.now

    @rule(seconds=st.sampled_from([0.0, 0.5, 3.0, 7.0, 7.5, 10.0, 25.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(by_asking=st.booleans())
    def tick(self, by_asking: bool) -> None:
        if self.state == OPEN and self.now >= self.opened + TIMEOUT:
            self.enter(HALF_OPEN)
        elif self.full_since is not None and self.now >= self.full_since + TIMEOUT:
            for one in self.trials():
                one.placed = False
            self.full_since = None
        if by_asking:
            assert self.breaker.allows(self.now) == self.breaker.admits
        else:
            self.breaker.tick(self.now)

    @precondition(lambda self: self.breaker.admits)
    @rule()
    def send(self) -> None:
        term = self.breaker.dispatched(self.now)
        self.requests.append(Request(term, self.era, self.now, self.state == HALF_OPEN))
        self.note_trials()

    @precondition(lambda self: self.requests)
    @rule(data=st.data())
    def begin_answer(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(self.requests))
        one.term = self.breaker.began(one.term)
        if one.era == self.era:
            one.placed = False
        self.note_trials()

    def take(self, data: st.DataObject) -> Request:
        one = data.draw(st.sampled_from(self.requests))
        self.requests.remove(one)
        return one

    @precondition(lambda self: self.requests)
    @rule(data=st.data())
    def succeed(self, data: st.DataObject) -> None:
        one = self.take(data)
        self.breaker.succeeded(one.term, self.now)
        if one.era == self.era and self.state == CLOSED:
            self.run = []
        elif one.era == self.era and self.state == HALF_OPEN:
            self.good += 1
            if self.good >= self.successes:
                self.enter(CLOSED)
        self.note_trials()

    @precondition(lambda self: self.requests)
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        one = self.take(data)
        self.breaker.failed(one.term, self.now)
        if one.era == self.era and self.state == CLOSED:
            self.run.append(self.now)
            if sum(self.now - time <= WINDOW for time in self.run) >= self.failures:
                self.enter(OPEN)
        elif one.era == self.era and self.state == HALF_OPEN:
            self.enter(OPEN)
        self.note_trials()

    @precondition(lambda self: self.requests)
    @rule(data=st.data())
    def abandon(self, data: st.DataObject) -> None:
        self.breaker.abandoned(self.take(data).term)
        self.note_trials()

    @invariant()
    def as_the_model(self) -> None:
        breaker = self.breaker
        assert breaker.state == self.state
        assert self.heard == (breaker.state, breaker.admits)
        assert breaker.trials == len(self.trials())
        if self.state == HALF_OPEN:
            assert breaker.admits == (len(self.trials()) < self.successes)
            due = NEVER if self.full_since is None else self.full_since + TIMEOUT
        else:
            assert breaker.admits == (self.state == CLOSED)
            due = self.opened + TIMEOUT if self.state == OPEN else NEVER
        assert breaker.next_change_at() == due

    @invariant()
    def no_more_unproven_trials_than_allowed(self) -> None:
        """Whatever happens: of the requests sent half-open that have shown nothing yet, at most
        that many are younger than the timeout.
        """
        if self.state == HALF_OPEN:
            young = [one for one in self.trials() if self.now - one.sent < TIMEOUT]
            assert len(young) <= self.successes

    def teardown(self) -> None:
        """Never stuck: a worker that is well again is in use again, whatever hangs."""
        if not hasattr(self, "breaker"):
            return
        for _ in range(3):
            self.now += TIMEOUT
            self.breaker.tick(self.now)
            assert self.breaker.admits
            for _ in range(self.successes):
                assert self.breaker.admits
                self.breaker.succeeded(self.breaker.dispatched(self.now), self.now)
        assert self.breaker.state == CLOSED


BreakerMachine.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestBreaker = BreakerMachine.TestCase
