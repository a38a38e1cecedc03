"""The registry against a model that keeps a plain list and computes every answer from scratch."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from smg.workers import (
    DuplicateWorker,
    ModelCard,
    Worker,
    WorkerEvent,
    WorkerRegistry,
    WorkerStatus,
)

MODELS = ("a", "b", "unknown")
ROLES = ("regular", "decode")
URLS = tuple(f"http://w{number}:1" for number in range(6))


class RegistryMachine(RuleBasedStateMachine):
    """Random changes; after each, every group, list and event is compared."""

    def __init__(self) -> None:
        super().__init__()
        self.registry = WorkerRegistry()
        self.naive: list[Worker] = []
        self.events: list[WorkerEvent] = []
        self.expected_events = 0
        self.registry.subscribe(self.events.append)

    @rule(
        url=st.sampled_from(URLS),
        role=st.sampled_from(ROLES),
        models=st.lists(st.sampled_from(MODELS), max_size=2),
    )
    def add(self, url: str, role: str, models: list[str]) -> None:
        worker = Worker(url, worker_type=role, models=[ModelCard(name) for name in models])
        taken = any(other.url == url for other in self.naive)
        try:
            self.registry.add(worker)
        except DuplicateWorker:
            assert taken
        else:
            assert not taken
            self.naive.append(worker)
            self.expected_events += 1

    @precondition(lambda self: self.naive)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        worker = data.draw(st.sampled_from(self.naive))
        self.naive.remove(worker)
        assert self.registry.remove(worker.id) is worker
        self.expected_events += 1

    @precondition(lambda self: self.naive)
    @rule(data=st.data(), status=st.sampled_from(WorkerStatus))
    def set_status(self, data: st.DataObject, status: WorkerStatus) -> None:
        worker = data.draw(st.sampled_from(self.naive))
        changes = worker.status is not status
        assert self.registry.set_status(worker, status) is changes
        self.expected_events += changes

    @precondition(lambda self: self.naive)
    @rule(data=st.data(), models=st.lists(st.sampled_from(MODELS), max_size=2))
    def set_models(self, data: st.DataObject, models: list[str]) -> None:
        worker = data.draw(st.sampled_from(self.naive))
        cards = tuple(ModelCard(name) for name in models)
        changes = worker.models != cards
        assert self.registry.set_models(worker, cards) is changes
        self.expected_events += changes

    @invariant()
    def groups_agree(self) -> None:
        for role in ROLES:
            for model in MODELS:
                members = tuple(
                    worker
                    for worker in self.naive
                    if worker.worker_type == role
                    and (model == "unknown" or any(card.id == model for card in worker.models))
                )
                group = self.registry.group(model, role)
                assert (group is None) == (not members)
                if group is not None:
                    assert group.workers == members
                    ready = tuple(w for w in members if w.status is WorkerStatus.READY)
                    assert group.available == ready

    @invariant()
    def the_rest_agrees(self) -> None:
        assert self.registry.all() == tuple(self.naive)
        assert len(self.registry) == len(self.naive)
        assert len(self.events) == self.expected_events
        names = [card.id for worker in self.naive for card in worker.models]
        assert [card.id for card in self.registry.models()] == list(dict.fromkeys(names))
        for url in URLS:
            expected = next((worker for worker in self.naive if worker.url == url), None)
            assert self.registry.by_url(url) is expected


RegistryMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestRegistry = RegistryMachine.TestCase
