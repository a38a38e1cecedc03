"""A key stays with its worker; where new keys go."""

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
from smg.policies.manual import Manual
from smg.workers import Worker
from tests.doubles.routing import View

A, B, C = WORKERS = tuple(Worker(f"http://w{number}:1") for number in range(3))


@pytest.fixture(autouse=True)
def idle() -> Iterator[None]:
    yield
    for worker in WORKERS:
        worker.load, worker.cost = 0, 1.0


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def make(
    mode: str | None = None,
    *,
    metrics: GatewayMetrics | None = None,
    clock: Clock | None = None,
    leg: str = "single",
    **config: Any,
) -> Manual:
    context = PolicyContext(
        config=RouterConfig(assignment_mode=mode, **config),
        metrics=metrics,
        random=random.Random(3),
        clock=clock or Clock(),
        leg=leg,
    )
    policy = Manual(context)
    for worker in WORKERS:
        policy.worker_added(worker)
    return policy


def key(value: bytes = b"k") -> View:
    return View(key=value)


def test_a_key_stays() -> None:
    policy = make()
    first = policy.select(WORKERS, key())
    assert policy.reason == "vacant"
    for _ in range(20):
        assert policy.select(WORKERS, key()) is first
        assert policy.reason == "occupied_hit"


def test_away_and_back_when_the_worker_recovers() -> None:
    policy = make("min_load")
    B.load = C.load = 1
    assert policy.select(WORKERS, key()) is A
    B.load = 0
    assert policy.select((B, C), key()) is B
    assert policy.reason == "occupied_miss"
    assert policy.select((B, C), key()) is B
    assert policy.reason == "occupied_hit"
    assert policy.select(WORKERS, key()) is A
    assert policy.select((B, C), key()) is B


def test_a_removed_worker_takes_its_pins_along() -> None:
    policy = make("min_load")
    B.load = C.load = 1
    assert policy.select(WORKERS, key()) is A
    policy.worker_removed(A)
    picked = policy.select((B, C), key())
    assert policy.reason == "occupied_miss"
    policy.worker_added(A)
    assert policy.select(WORKERS, key()) is picked


def test_new_keys_by_chance() -> None:
    policy = make()
    counts = Counter(policy.select(WORKERS, key(b"%d" % number)) for number in range(3000))
    assert min(counts.values()) > 850


@pytest.mark.parametrize("mode", ["min_load", "delegate"])
def test_new_keys_to_the_least_load_times_cost(mode: str) -> None:
    policy = make(mode)
    A.load, B.load, C.load = 2, 1, 1
    B.cost = 3.0
    assert policy.select(WORKERS, key()) is C
    A.load = 0
    assert policy.select(WORKERS, key()) is C
    assert policy.select(WORKERS, key(b"other")) is A
    A.load, B.load, C.load, B.cost = 0, 0, 1, 1.0
    counts = Counter(policy.select(WORKERS, key(b"%d" % number)) for number in range(1000))
    assert set(counts) == {A, B}
    assert min(counts.values()) > 400


def test_new_keys_to_the_fewest_keys_in_flight() -> None:
    policy = make("min_group")
    views = [key(b"%d" % number) for number in range(4)]
    picks = [policy.select((A, B), view) for view in views]
    assert Counter(picks) == {A: 2, B: 2}
    # Many requests of one key are one key.
    for _ in range(10):
        policy.select((A, B), View(key=b"0"))
    for view, worker in zip(views[1:], picks[1:], strict=True):
        assert worker is not None
        policy.ended(worker, view)
    other = B if picks[0] is A else A
    assert policy.select((A, B), key(b"new")) is other


def test_without_a_key_nothing_is_remembered() -> None:
    policy = make("min_load")
    B.load = C.load = 1
    view = View()
    assert policy.select(WORKERS, view) is A
    assert policy.reason == "no_routing_id"
    policy.ended(A, view)
    A.load = 2
    assert policy.select(WORKERS, View()) is not A


def test_stale_keys_are_forgotten_at_a_tick() -> None:
    clock = Clock()
    policy = make("min_load", clock=clock, max_idle_secs=60)
    B.load = C.load = 1
    assert policy.select(WORKERS, key()) is A
    A.load = 2
    clock.now += 59
    policy.tick()
    assert policy.select(WORKERS, key()) is A
    clock.now += 60
    policy.tick()
    assert policy.select(WORKERS, key()) is not A
    assert policy.reason == "vacant"


def test_what_is_counted() -> None:
    metrics = GatewayMetrics(Registry())
    policy, other = make(metrics=metrics), make(metrics=metrics, leg="decode")
    entries = metrics.manual_cache_entries.labels()
    policy.select((), View())
    policy.select(WORKERS, View())
    first = policy.select(WORKERS, key())
    policy.select(WORKERS, key())
    policy.select(tuple(worker for worker in WORKERS if worker is not first), key())
    branches = {"no_healthy_workers", "no_routing_id", "vacant", "occupied_hit", "occupied_miss"}
    family = metrics.manual_branch
    assert {branch: family.labels(branch).value for branch in branches} == dict.fromkeys(
        branches, 1.0
    )
    assert metrics.routing_key_source.labels("header").value == 3.0
    assert entries.value == 1.0
    views = key(), key(b"l")
    for view in views:
        other.select(WORKERS, view)
    assert entries.value == 3.0
    policy.close()
    assert entries.value == 2.0
    gauges = metrics.worker_routing_keys_active
    assert sum(gauges.labels(worker.url).value for worker in WORKERS) == 2.0
    other.close()
    assert entries.value == 0.0


def test_an_ended_request_is_counted_no_more() -> None:
    metrics = GatewayMetrics(Registry())
    policy = make(metrics=metrics)
    view = key()
    worker = policy.select(WORKERS, view)
    assert worker is not None
    gauge = metrics.worker_routing_keys_active.labels(worker.url)
    assert gauge.value == 1.0
    policy.ended(worker, view)
    assert gauge.value == 0.0
