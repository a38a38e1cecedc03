"""A third-party policy that writes down what it is told; given as
`policy="tests.doubles.recording_policy:Recorder"`.

It keeps `pending` as cache_aware does: up by the pick, down by the first byte. `heard(gateway)`
finds the one that a gateway uses, below sticky sessions too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from smg.policies import Policy, PolicyContext, RoutingView
from smg.workers import Worker
from tests.doubles.gateway import Gateway

RECORDER = "tests.doubles.recording_policy:Recorder"


class Recorder(Policy):
    """In turn, with a ticket per request; `events` are (what, ticket, worker)."""

    name = "recorder"
    tracks_requests = True
    tracks_first_byte = True

    def __init__(self, context: PolicyContext) -> None:
        self.context = context
        self.events: list[tuple[str, int, Worker]] = []
        self.pending: Counter[Worker] = Counter()
        self.running: Counter[Worker] = Counter()
        self.loads_at_end: list[int] = []
        self.closed = False
        self.fails = ""  # raise in the method of this name ...
        self.fails_from = 1  # ... from this ticket on

    @classmethod
    def create(cls, context: PolicyContext) -> Recorder:
        return cls(context)

    def select(self, workers: Sequence[Worker], view: RoutingView) -> Worker | None:
        ticket = sum(self._tickets("select").values()) + 1
        worker = workers[ticket % len(workers)]
        view.ticket = ticket
        self.pending[worker] += ticket
        self.running[worker] += 1
        self._note("select", ticket, worker)
        return worker

    def first_byte(self, worker: Worker, view: RoutingView) -> None:
        self.pending[worker] -= view.ticket
        self._note("first_byte", view.ticket, worker)

    def ended(self, worker: Worker, view: RoutingView) -> None:
        self.running[worker] -= 1
        self.loads_at_end.append(worker.load)
        self._note("ended", view.ticket, worker)

    def close(self) -> None:
        self.closed = True

    def _note(self, what: str, ticket: int, worker: Worker) -> None:
        self.events.append((what, ticket, worker))
        if self.fails == what and ticket >= self.fails_from:
            raise RuntimeError(f"the policy fails in {what}")

    # For tests

    def _tickets(self, event: str) -> Counter[int]:
        return Counter(ticket for what, ticket, _ in self.events if what == event)

    def story(self, ticket: int) -> list[str]:
        """What was heard of one request, in order."""
        return [what for what, number, _ in self.events if number == ticket]

    def check(self, requests: int) -> None:
        """Of each of so many requests everything was heard once and in order, of its own worker;
        nothing is left.
        """
        assert len(self._tickets("select")) == requests
        for ticket in range(1, requests + 1):
            assert self.story(ticket) == ["select", "first_byte", "ended"], (ticket, self.events)
            assert len({worker for _, number, worker in self.events if number == ticket}) == 1
        assert len(self.events) == 3 * requests  # nothing of anybody else
        assert not any(self.pending.values())
        assert not any(self.running.values())
        assert all(worker.load == 0 for worker in self.running)


def heard(gateway: Gateway, model: str = "test-model") -> Recorder:
    """The recorder that decides for a model."""
    policy: Any = gateway.product.backend.policies.for_model(model)
    policy = getattr(policy, "_inner", policy)
    assert isinstance(policy, Recorder)
    return policy
