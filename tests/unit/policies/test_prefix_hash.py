"""What is hashed, and when the ring is not followed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from smg.config.settings import RouterConfig
from smg.observability.families import GatewayMetrics
from smg.observability.metrics import Registry
from smg.policies.base import PolicyContext
from smg.policies.prefix_hash import BRANCHES, PrefixHash
from smg.workers import Worker
from tests.doubles.routing import View

WORKERS = tuple(Worker(f"http://w{number}:1") for number in range(6))


@pytest.fixture(autouse=True)
def idle() -> Iterator[None]:
    yield
    for worker in WORKERS:
        worker.load, worker.cost = 0, 1.0


def make(
    *, metrics: GatewayMetrics | None = None, announced: int = len(WORKERS), **config: Any
) -> PrefixHash:
    context = PolicyContext(
        config=RouterConfig(**config), metrics=metrics, random=random.Random(11)
    )
    policy = PrefixHash(context)
    for worker in WORKERS[:announced]:
        policy.worker_added(worker)
    return policy


def test_equal_prompts_on_one_worker_different_ones_on_several() -> None:
    policy = make()
    assert len({policy.select(WORKERS, View("tell me a story" * 10)) for _ in range(6)}) == 1
    assert len({policy.select(WORKERS, View(f"{number} stories")) for number in range(12)}) > 1
    assert policy.reason == "ring_hit"


def test_only_the_beginning_counts() -> None:
    policy = make(prefix_token_count=8)
    start = "x" * 32
    picks = {policy.select(WORKERS, View(start + str(end))) for end in range(30)}
    assert len(picks) == 1
    assert len({policy.select(WORKERS, View(start[1:] + str(end))) for end in range(30)}) > 1
    tokens = list(range(8))
    assert len({policy.select(WORKERS, View(tokens=[*tokens, end])) for end in range(30)}) == 1
    assert len({policy.select(WORKERS, View(tokens=[*tokens[1:], end])) for end in range(30)}) > 1


def test_tokens_win_over_text_and_a_key_over_both() -> None:
    policy = make()
    by_tokens = {policy.select(WORKERS, View(f"{n}", tokens=[1, 2, 3])) for n in range(30)}
    assert len(by_tokens) == 1
    by_key = {policy.select(WORKERS, View(f"{n}", tokens=[n], key=b"k")) for n in range(30)}
    assert len(by_key) == 1


def test_the_longest_boundary_that_is_reached() -> None:
    policy = make(cache_boundaries=[4, 16])
    # 15 tokens reach 4 only: what follows makes no difference.
    assert len({policy.select(WORKERS, View(tokens=[1] * 4 + [n] * 11)) for n in range(30)}) == 1
    assert len({policy.select(WORKERS, View(tokens=[1] * 4 + [n] * 12)) for n in range(30)}) > 1
    assert len({policy.select(WORKERS, View("a" * 16 + f"{n:047}")) for n in range(30)}) == 1
    assert len({policy.select(WORKERS, View("a" * 16 + f"{n:048}")) for n in range(30)}) > 1


def test_characters_are_characters_and_lone_surrogates_are_no_fault() -> None:
    policy = make(prefix_token_count=1)
    assert len({policy.select(WORKERS, View("日本語テスト"[:4] + str(n))) for n in range(20)}) == 1
    assert policy.select(WORKERS, View("\ud800 odd")) in WORKERS


def test_without_a_prompt_the_least_loaded() -> None:
    policy = make()
    for worker in WORKERS[:4]:
        worker.load = 1
    counts = Counter(policy.select(WORKERS, View()) for _ in range(1000))
    assert set(counts) == set(WORKERS[4:])
    assert min(counts.values()) > 400
    assert policy.reason == "no_routing_key"


def pick(policy: PrefixHash, view: View) -> Worker:
    worker = policy.select(WORKERS, view)
    assert worker is not None
    return worker


def test_a_worker_above_its_share_keeps_nothing_more() -> None:
    policy = make()
    view = View("a prompt")
    owner = pick(policy, view)
    # (11 + 1) / 6 = 2; 2 + 10 = 12 and 2 * 1.25 is less.
    owner.load = 11
    assert pick(policy, view) is owner
    owner.load = 13  # average 2.33, bound 12.33
    assert pick(policy, view) is not owner
    assert policy.reason == "load_balance_walk"
    for worker in WORKERS:
        worker.load = 100
    owner.load = 125  # average 104.3, bound 130.4 by the factor
    assert pick(policy, view) is owner
    owner.load = 140  # average 106.8, bound 133.5
    assert pick(policy, view) is not owner


def test_cost_multiplies_the_load() -> None:
    policy = make()
    view = View("a prompt")
    owner = pick(policy, view)
    owner.load = 5
    assert pick(policy, view) is owner
    owner.cost = 3.0  # 15 against (15 + 1) / 6 + 10
    assert pick(policy, view) is not owner


def test_a_shorter_beginning_is_tried_before_the_ring_is_left() -> None:
    policy = make(cache_boundaries=[2, 4])
    for number in range(50):
        long, short = View(tokens=[7, 7, number, 1]), View(tokens=[7, 7, number])
        owner, fallback = pick(policy, long), pick(policy, short)
        if owner is not fallback:
            owner.load = 50
            assert pick(policy, long) is fallback
            assert policy.reason == "ring_hit"
            return
    pytest.fail("all prompts on one worker")


def test_only_available_workers_and_all_come_back() -> None:
    policy = make()
    views = [View(f"prompt {number}") for number in range(60)]
    before = [pick(policy, view) for view in views]
    for view, owner in zip(views, before, strict=True):
        picked = policy.select(WORKERS[1:], view)
        assert picked is not WORKERS[0]
        assert picked is owner or owner is WORKERS[0]
    assert [pick(policy, view) for view in views] == before


def test_branches_are_counted() -> None:
    metrics = GatewayMetrics(Registry())
    policy = make(metrics=metrics)
    view = View("a prompt")
    policy.select((), view)
    policy.select(WORKERS, View())
    pick(policy, view).load = 50
    pick(policy, view)
    make(metrics=metrics, announced=0).select(WORKERS, view)
    family = metrics.prefix_hash_branch
    assert {branch: family.labels(branch).value for branch in BRANCHES} == dict.fromkeys(
        BRANCHES, 1.0
    )
