"""Which policy a model gets, and when it is forgotten."""

from __future__ import annotations

from typing import Any

import pytest

from smg.config.settings import RouterConfig
from smg.core.errors import ConfigError
from smg.policies.base import Policy, PolicyContext
from smg.policies.registry import PolicyRegistry, canonical_name, create
from smg.workers import ModelCard, Worker, WorkerRegistry
from tests.contracts.test_policies import View

CONTEXT = PolicyContext()


class Watched(Policy):
    """Remembers who it was told to forget."""

    name = "watched"

    def __init__(self) -> None:
        self.removed: list[Worker] = []

    def select(self, workers: object, view: object) -> Worker | None:
        return None

    def worker_removed(self, worker: Worker) -> None:
        self.removed.append(worker)


def add(workers: WorkerRegistry, number: int, *models: str, policy: str = "") -> Worker:
    labels = {"policy": policy} if policy else {}
    cards = [ModelCard(name) for name in models]
    worker = Worker(f"http://w{number}:1", models=cards, labels=labels)
    workers.add(worker)
    return worker


def test_names() -> None:
    assert canonical_name("RoundRobin") == "round_robin"
    assert canonical_name("round-robin") == "round_robin"
    assert canonical_name("nonsense") is None
    with pytest.raises(ConfigError, match="nonsense"):
        create("nonsense", CONTEXT)
    with pytest.raises(ConfigError):
        PolicyRegistry(WorkerRegistry(), CONTEXT, default="nonsense")


def test_each_model_has_its_own_turn() -> None:
    workers = WorkerRegistry()
    fleet = (add(workers, 1, "a", "b"), add(workers, 2, "a", "b"))
    policies = PolicyRegistry(workers, CONTEXT, default="round_robin")
    assert policies.for_model("a") is policies.for_model("a")
    assert policies.for_model("a").select(fleet, View()) is fleet[0]
    assert policies.for_model("b").select(fleet, View()) is fleet[0]
    assert policies.for_model("unknown") is policies.for_model("unknown")


def test_names_nobody_serves_are_not_kept() -> None:
    policies = PolicyRegistry(WorkerRegistry(), CONTEXT, default="random")
    assert policies.for_model("made-up") is not policies.for_model("made-up")


def test_the_first_hint_decides(caplog: pytest.LogCaptureFixture) -> None:
    workers = WorkerRegistry()
    first = add(workers, 1, "m")
    policies = PolicyRegistry(workers, CONTEXT, default="random")
    assert policies.for_model("m").name == "random"
    add(workers, 2, "m", policy="made_up")
    assert policies.for_model("m").name == "random"
    assert "made_up" in caplog.text
    add(workers, 3, "m", "n", policy="RoundRobin")
    add(workers, 4, "m", policy="passthrough")
    assert policies.for_model("m").name == "round_robin"
    assert policies.for_model("n").name == "round_robin"
    workers.remove(first.id)
    assert policies.for_model("m").name == "round_robin"


def test_hints_of_workers_that_were_there_before() -> None:
    workers = WorkerRegistry()
    add(workers, 1, "m", policy="passthrough")
    policies = PolicyRegistry(workers, CONTEXT, default="random")
    assert policies.for_model("m").name == "passthrough"


def test_a_model_without_workers_loses_its_policy() -> None:
    workers = WorkerRegistry()
    first, second = add(workers, 1, "m", policy="passthrough"), add(workers, 2, "m")
    policies = PolicyRegistry(workers, CONTEXT, default="random")
    workers.remove(first.id)
    assert policies.for_model("m").name == "passthrough"
    workers.remove(second.id)
    add(workers, 3, "m")
    assert policies.for_model("m").name == "random"


def test_policies_are_told_who_left() -> None:
    workers = WorkerRegistry()
    first, second = add(workers, 1, "m"), add(workers, 2, "m")
    policies = PolicyRegistry(
        workers, CONTEXT, default="watched", make=lambda name, context: Watched()
    )
    policy, wildcard = policies.for_model("m"), policies.for_model("unknown")
    assert isinstance(policy, Watched)
    assert isinstance(wildcard, Watched)
    workers.set_models(first, [ModelCard("other")])
    assert (policy.removed, wildcard.removed) == ([first], [])
    workers.remove(first.id)
    assert (policy.removed, wildcard.removed) == ([first], [first])
    policies.close()
    workers.remove(second.id)
    assert policy.removed == [first]


def test_who_reads_load_reports_is_known_by_model() -> None:
    workers = WorkerRegistry()
    first = add(workers, 1, "m", policy="least_load")
    policies = PolicyRegistry(workers, CONTEXT, default="random")
    policies.for_model("unknown")
    assert (policies.needs_loads, policies.load_aware()) == (True, [("m", "least_load")])
    workers.remove(first.id)
    assert (policies.needs_loads, policies.load_aware()) == (False, [])


def test_settings_that_change_reach_every_policy(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[tuple[str, str | None]] = []

    class Hears(Watched):
        def __init__(self, context: PolicyContext) -> None:
            super().__init__()
            self.model = context.model
            heard.append((self.model, context.config.api_key))

        def reconfigure(self, config: RouterConfig) -> None:
            if self.model == "bad":
                raise RuntimeError("a fault of others")
            heard.append((self.model, config.api_key))

    workers = WorkerRegistry()
    registry = PolicyRegistry(
        workers, CONTEXT, default="x", make=lambda name, context: Hears(context)
    )
    add(workers, 1, "bad", "good", "late")
    registry.for_model("bad")
    registry.for_model("good")
    heard.clear()
    registry.reconfigure(RouterConfig(api_key="new"))
    assert heard == [("good", "new")]
    assert "model bad keeps its settings" in caplog.text
    registry.for_model("late")
    assert heard[-1] == ("late", "new")


ROLES = {"prefill": "round_robin", "decode": "passthrough"}


def test_roles_have_policies_and_workers_of_their_own() -> None:
    workers = WorkerRegistry()
    heard: list[tuple[str, str, str]] = []
    legs: list[str] = []

    def make(name: str, context: PolicyContext) -> Policy:
        policy: Any = create(name, context)
        legs.append(context.leg)
        policy.worker_added = lambda w: heard.append((context.leg, "+", w.url))
        policy.worker_removed = lambda w: heard.append((context.leg, "-", w.url))
        made: Policy = policy
        return made

    card = (ModelCard(id="m"),)
    prefill = Worker("http://p:1", models=card, worker_type="prefill")
    decode = Worker("http://d:1", models=card, worker_type="decode")
    workers.add(prefill)
    registry = PolicyRegistry(workers, CONTEXT, default="random", roles=ROLES, make=make)
    assert legs == ["prefill", "decode"]  # both are tried at the start
    assert registry.for_model("m", "prefill").name == "round_robin"
    assert registry.for_model("m", "prefill") is registry.for_model("m", "prefill")
    workers.add(decode)
    assert registry.for_model("m", "decode").name == "passthrough"
    assert heard == [("prefill", "+", prefill.url), ("decode", "+", decode.url)]
    heard.clear()

    def swap() -> None:
        decode.worker_type = "prefill"

    workers.reconfigure(decode, swap)
    assert heard == [("decode", "-", decode.url), ("prefill", "+", decode.url)]
    heard.clear()
    workers.remove(decode.id)
    workers.remove(prefill.id)
    assert heard == [("prefill", "-", decode.url), ("prefill", "-", prefill.url)]


def test_a_hint_is_for_the_role_of_its_worker() -> None:
    workers = WorkerRegistry()
    registry = PolicyRegistry(workers, CONTEXT, default="random", roles=ROLES)
    card = (ModelCard(id="m"),)
    hint = {"policy": "manual"}
    workers.add(Worker("http://p:1", models=card, worker_type="prefill", labels=hint))
    workers.add(Worker("http://d:1", models=card, worker_type="decode"))
    assert registry.for_model("m", "prefill").name == "manual"
    assert registry.for_model("m", "decode").name == "passthrough"
