"""cache_aware around its trees: text or tokens, engine-fed index, KV pressure, metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from smg.config.settings import RouterConfig
from smg.observability.exposition import render
from smg.observability.families import GatewayMetrics
from smg.observability.metrics import Registry
from smg.policies.base import PolicyContext
from smg.policies.cache_aware import CacheAware
from smg.workers import LoadReport, RankLoad, Worker
from tests.doubles.routing import View


def fleet(count: int) -> tuple[Worker, ...]:
    return tuple(Worker(f"http://w{number}:1") for number in range(count))


def test_text_and_tokens_have_trees_of_their_own() -> None:
    policy, workers = CacheAware.create(PolicyContext()), fleet(2)
    assert policy.select(workers, View("a prompt")) is workers[0]
    assert (policy.reason, policy.score) == ("miss", 0.0)
    tokens = View("a prompt", tokens=list(range(32)))
    first = policy.select(workers, tokens)
    assert policy.select(workers, View("another", tokens=list(range(32)))) is first
    assert (policy.reason, policy.score) == ("hit", 1.0)
    assert policy.select(workers, View("a prompt and more")) is workers[0]


def test_first_bytes_find_their_tree() -> None:
    policy, workers = CacheAware.create(PolicyContext()), fleet(2)
    text = View("x" * 500)
    tokens = View(tokens=list(range(160)))
    assert policy.select(workers, text) is workers[0]
    assert text.ticket == 500
    assert policy.select(workers, tokens) is workers[0]
    assert tokens.ticket == ~160
    # 500 characters wait at the first worker until it answers.
    assert policy.select(workers, View("y" * 10)) is workers[1]
    assert policy.select(workers, View("z" * 10)) is workers[1]
    policy.first_byte(workers[0], text)
    policy.first_byte(workers[0], tokens)
    assert policy.select(workers, View("q" * 10)) is workers[0]


def test_a_removed_workers_slot_is_clean() -> None:
    policy, workers = CacheAware.create(PolicyContext()), fleet(2)
    policy.select(workers, View("a prompt"))
    policy.select(workers, View(tokens=list(range(32))))
    policy.worker_removed(workers[0])
    assert policy.select(workers[1:], View("a prompt")) is workers[1]
    assert policy.reason == "miss"


def test_candidates_may_change_between_two_picks() -> None:
    policy, workers = CacheAware.create(PolicyContext()), fleet(3)
    policy.select(workers, View("a prompt"))
    assert policy.select(workers[1:], View("a prompt")) in workers[1:]
    assert policy.reason == "no_eligible_holder"
    assert policy.select(workers, View("a prompt")) in workers


@pytest.mark.parametrize(
    ("usages", "pressed"),
    [((0.5, 0.6), False), ((0.5, 0.97), True), ((0.1, 0.75), True), ((None, 0.5), False)],
)
def test_kv_pressure(usages: Sequence[float | None], pressed: bool) -> None:
    config = RouterConfig(overload_token_usage_threshold=0.9, balance_token_usage_threshold=0.6)
    context = PolicyContext(config)
    policy, workers = CacheAware.create(context), fleet(2)
    assert policy.needs_loads
    policy.select(workers, View("a prompt"))
    workers[0].load = 1
    reports = {
        worker.url: LoadReport((RankLoad(token_usage=usage),))
        for worker, usage in zip(workers, usages, strict=True)
    }
    context.reports.publish(reports, dropped=frozenset())
    worker = policy.select(workers, View("a prompt"))
    assert (worker is workers[1], policy.reason == "kv_pressure") == (pressed, pressed)
    context.reports.publish({}, dropped=frozenset(reports))
    workers[1].load = 5
    assert policy.select(workers, View("a prompt")) is workers[0]
    assert policy.reason == "hit"


def test_thresholds_of_one_are_off() -> None:
    assert not CacheAware.create(PolicyContext()).needs_loads


class Index:
    """What engines would have told."""

    block_size = 16

    def __init__(self, known: Mapping[int, int]) -> None:
        self.known = known

    def __bool__(self) -> bool:
        return bool(self.known)

    def scores(self, tokens: Sequence[int]) -> Mapping[int, int]:
        most = len(tokens) // self.block_size
        return {slot: min(most, blocks) for slot, blocks in self.known.items() if most}


def test_an_index_that_engines_feed_goes_first() -> None:
    workers = fleet(3)
    index = Index({workers[1].slot: 2, workers[2].slot: 1})
    policy = CacheAware(PolicyContext(RouterConfig(balance_abs_threshold=4)), index)
    view = View(tokens=list(range(64)))
    assert policy.select(workers, view) is workers[1]
    assert (policy.reason, policy.score, view.ticket) == ("hit", 0.5, 0)
    workers[1].load = 20
    assert policy.select(workers, view) in (workers[0], workers[2])
    assert policy.reason == "spill"
    index.known = {12345: 2}
    workers[0].load = 1
    assert policy.select(workers, view) is workers[2]
    assert policy.reason == "no_eligible_holder"
    index.known = {}  # nothing known yet: the tree decides
    policy.select(workers, view)
    assert policy.reason == "miss"
    policy.select(workers, view)
    assert policy.reason == "hit"
    assert policy.select(workers, View("text")) in workers


def test_what_is_counted() -> None:
    metrics = GatewayMetrics(Registry())
    policy = CacheAware.create(PolicyContext(model="m", metrics=metrics))
    workers = fleet(2)
    for text in ("prompt", "prompt", "else"):
        policy.select(workers, View(text))
    policy.select(workers, View(tokens=list(range(16))))
    policy.tick()
    text = render(metrics.registry).decode()
    assert 'smg_cache_aware_policy_branch_total{branch="hit"} 1' in text
    assert 'smg_cache_aware_policy_branch_total{branch="miss"} 3' in text
    assert "smg_cache_aware_matched_ratio_count 4" in text
    assert 'smg_cache_tree_chars{model="m"} 10' in text
    assert 'smg_cache_tree_tokens{model="m"} 16' in text
    assert 'smg_cache_tree_tenants{model="m",tree="string"} 2' in text
    policy.close()
    assert "smg_cache_tree" not in render(metrics.registry).decode()


def test_the_tree_is_bounded() -> None:
    policy = CacheAware.create(PolicyContext(RouterConfig(max_tree_size=100)))
    workers = fleet(2)
    for number in range(50):
        policy.select(workers, View(f"{number:03d}" * 10))
    assert policy._text.tree.total <= 100
