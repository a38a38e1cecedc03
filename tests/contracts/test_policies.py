"""What every routing policy guarantees; runs over each entry of the table.

A new policy is covered by its row in `smg.policies.registry.POLICIES`.
"""

from __future__ import annotations

import importlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smg.config.settings import RouterConfig
from smg.policies.base import Policy, PolicyContext
from smg.policies.registry import POLICIES, canonical_name, create
from smg.workers import Worker, WorkerStatus
from tests.doubles import routing

FLEET = tuple(Worker(f"http://w{number}:1") for number in range(8))
for _worker in FLEET:
    _worker.status = WorkerStatus.READY


class View(routing.View):
    """A request without anything a policy could hold on to; text and tokens must not be needed."""

    def __init__(self, text: str = "") -> None:
        super().__init__(text)
        self.asked_for_text = False

    def text(self) -> str:
        self.asked_for_text = True
        return super().text()


def make(name: str) -> Policy:
    """The policy, told of the whole fleet."""
    policy = create(name, PolicyContext(leg="prefill" if name == "bucket" else "single"))
    for worker in FLEET:
        policy.worker_added(worker)
    return policy


@pytest.fixture(params=sorted(POLICIES))
def policy(request: pytest.FixtureRequest) -> Policy:
    return make(request.param)


def test_the_table_names_what_it_loads(policy: Policy) -> None:
    assert policy.name in POLICIES
    module, _, attribute = POLICIES[policy.name].partition(":")
    assert type(policy) is getattr(importlib.import_module(module), attribute)
    assert type(policy).__doc__


def test_names_in_other_spellings(policy: Policy) -> None:
    assert canonical_name(policy.name.upper()) == policy.name
    assert canonical_name(policy.name.replace("_", "")) == policy.name


def test_nobody_is_picked_from_nobody(policy: Policy) -> None:
    assert policy.select((), View()) is None


def test_the_only_worker_is_picked(policy: Policy) -> None:
    for _ in range(3):
        assert policy.select((FLEET[0],), View("text")) is FLEET[0]


@pytest.mark.parametrize("name", sorted(POLICIES))
@given(changes=st.lists(st.tuples(st.sets(st.integers(0, 7)), st.text(max_size=20)), max_size=20))
@settings(max_examples=25, deadline=None)
def test_picks_one_of_the_candidates_however_they_change(
    name: str, changes: list[tuple[set[int], str]]
) -> None:
    policy = make(name)
    for members, text in changes:
        workers = tuple(FLEET[number] for number in sorted(members))
        picked = policy.select(workers, View(text))
        assert picked in workers if workers else picked is None


def test_a_removed_worker_is_forgotten(policy: Policy) -> None:
    for _ in range(4):
        policy.select(FLEET[:2], View("text"))
    policy.worker_removed(FLEET[0])
    policy.worker_removed(FLEET[0])
    for _ in range(4):
        assert policy.select(FLEET[1:2], View("text")) is FLEET[1]


def test_settings_that_change_do_not_disturb_it(policy: Policy) -> None:
    policy.select(FLEET, View("text"))
    policy.reconfigure(RouterConfig(api_key="another-key"))
    assert policy.select(FLEET[1:2], View("text")) is FLEET[1]


def test_candidates_and_workers_are_not_changed(policy: Policy) -> None:
    loads = [worker.load for worker in FLEET]
    policy.select(FLEET, View("text"))
    assert [worker.load for worker in FLEET] == loads


def test_text_is_asked_for_only_by_policies_that_say_so(policy: Policy) -> None:
    view = View("text")
    policy.select(FLEET, view)
    assert policy.needs_text or not view.asked_for_text


def test_instances_share_nothing(policy: Policy) -> None:
    first, second = make("round_robin"), make("round_robin")
    other = make(policy.name)
    before = [first.select(FLEET, View()) for _ in range(3)]
    for _ in range(5):
        other.select(FLEET, View())
    assert [second.select(FLEET, View()) for _ in range(3)] == before
