"""Lengths to workers, and how the cuts follow the traffic."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smg.config.settings import RouterConfig
from smg.core.errors import ConfigError
from smg.policies.base import PolicyContext
from smg.policies.bucket import Bucket, Sums
from smg.policies.candidates import CandidateCache
from smg.policies.registry import create
from smg.workers import Worker
from tests.doubles.routing import View

WORKERS = tuple(Worker(f"http://w{number}:1") for number in range(4))
NEVER = 10**9  # a threshold that is not reached


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def make(slack: int = NEVER, **config: Any) -> tuple[Bucket, Clock]:
    clock = Clock()
    policy = Bucket(
        PolicyContext(
            config=RouterConfig(balance_abs_threshold=slack, **config),
            leg="prefill",
            clock=clock,
            random=random.Random(9),
        )
    )
    for worker in WORKERS:
        policy.worker_added(worker)
    return policy, clock


def sized(length: int) -> View:
    return View("x" * length)


@pytest.mark.parametrize("leg", ["single", "decode"])
def test_only_as_prefill_policy(leg: str) -> None:
    with pytest.raises(ConfigError, match="--policy bucket: only as prefill policy"):
        create("bucket", PolicyContext(leg=leg))
    assert create("bucket", PolicyContext(leg="prefill")).name == "bucket"


def test_at_first_equal_gaps_up_to_4096() -> None:
    policy, _ = make()
    for length, number in (
        (1, 0),
        (1000, 0),
        (1025, 1),
        (2000, 1),
        (2049, 2),
        (3073, 3),
        (10**6, 3),
    ):
        assert policy.select(WORKERS, sized(length)) is WORKERS[number], length


def test_tokens_win_over_characters() -> None:
    policy, _ = make()
    assert policy.select(WORKERS, View("x" * 4000, tokens=[1] * 10)) is WORKERS[0]


def test_ranges_are_those_of_available_workers() -> None:
    policy, _ = make()
    available = (WORKERS[1], WORKERS[3])
    assert policy.select(available, sized(2000)) is WORKERS[1]
    assert policy.select(available, sized(2100)) is WORKERS[3]
    assert policy.select(WORKERS, sized(2100)) is WORKERS[2]


def test_without_a_prompt_by_chance() -> None:
    policy, _ = make()
    counts = Counter(policy.select(WORKERS, View()) for _ in range(2000))
    assert min(counts.values()) > 400


def test_out_of_balance_the_one_with_the_least() -> None:
    policy, _ = make(slack=64)
    assert policy.select(WORKERS[:2], sized(100)) is WORKERS[0]
    # 100 against 0: above 64, and above 1.5 times 0.
    assert policy.select(WORKERS[:2], sized(100)) is WORKERS[1]
    assert policy.select(WORKERS[:2], sized(10)) is WORKERS[0]
    assert policy.select(WORKERS[:2], sized(10)) is WORKERS[0]


def test_what_is_older_than_the_interval_does_not_count() -> None:
    policy, clock = make(slack=64, bucket_adjust_interval_secs=5)
    policy.select(WORKERS[:2], sized(100))
    clock.now += 5
    assert policy.select(WORKERS[:2], sized(10)) is WORKERS[0]


def test_cost_weighs() -> None:
    policy, _ = make(slack=64)
    WORKERS[0].cost = 3.0
    try:
        assert policy.select(WORKERS[:2], sized(30)) is WORKERS[0]
        assert policy.select(WORKERS[:2], sized(10)) is WORKERS[1]
    finally:
        WORKERS[0].cost = 1.0


def test_cut_anew_for_equal_work() -> None:
    policy, clock = make(bucket_adjust_interval_secs=5)
    for length in range(1, 101):
        assert policy.select(WORKERS, sized(length)) is WORKERS[0]
    clock.now += 4.9
    assert policy.select(WORKERS, sized(100)) is WORKERS[0]
    clock.now += 0.09
    policy.select(WORKERS, sized(1))
    # The first hundred are one interval old at 1005; ask for the cut just before they go.
    policy._adjust(clock.now)
    given_out: Counter[Worker | None] = Counter()
    for length in range(1, 101):
        given_out[policy.select(WORKERS, sized(length))] += length
    assert set(given_out) == set(WORKERS)
    assert max(given_out.values()) < 1.2 * min(given_out.values())


def test_little_change_leaves_the_cuts_alone() -> None:
    policy, clock = make(bucket_adjust_interval_secs=5)

    def interval(lengths: list[int]) -> None:
        for length in lengths:
            clock.now += 5 / len(lengths)
            policy.select(WORKERS[:2], sized(length))

    interval([10, 20, 30, 40] * 10)
    interval([10, 20, 30, 40] * 10)
    assert policy.select(WORKERS[:2], sized(41)) is WORKERS[1]
    interval([110, 120, 130, 140] * 3)  # 1,500 after 1,000: not twice as much
    assert policy.select(WORKERS[:2], sized(60)) is WORKERS[1]
    interval([110, 120, 130, 140] * 30)
    interval([110, 120, 130, 140] * 30)
    assert policy.select(WORKERS[:2], sized(60)) is WORKERS[0]
    assert policy.select(WORKERS[:2], sized(10**6)) is WORKERS[1]


def test_equal_lengths_are_shared_by_all() -> None:
    policy, clock = make(bucket_adjust_interval_secs=5)
    for _ in range(50):
        clock.now += 0.2
        policy.select(WORKERS, sized(100))
    counts = Counter(policy.select(WORKERS, sized(100)) for _ in range(1000))
    assert set(counts) == set(WORKERS)
    assert min(counts.values()) > 150


def test_a_removed_worker_is_let_go() -> None:
    policy, _ = make(slack=64)
    policy.select(WORKERS[:1], sized(1000))
    policy.worker_removed(WORKERS[0])
    policy.worker_removed(WORKERS[0])
    # Nothing of it is left to be out of balance with.
    assert policy.select(WORKERS[:2], sized(10)) is WORKERS[0]


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smg.policies.bucket.MAX_REMEMBERED", 10)
    policy, _ = make()
    for _ in range(100):
        policy.select(WORKERS, sized(7))
    assert len(policy._recent) == 10
    assert policy._volume == 70


@given(
    changes=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), max_size=30),
    gone=st.sets(st.integers(0, 3)),
    available=st.sets(st.integers(0, 3)),
)
def test_sums_as_in_a_plain_dictionary(
    changes: list[tuple[int, int]], gone: set[int], available: set[int]
) -> None:
    sums = Sums()
    plain: dict[int, int] = {}
    for number, amount in changes:
        sums.add(WORKERS[number], amount)
        plain[number] = plain.get(number, 0) + amount
    for number in gone:
        sums.remove(WORKERS[number])
        plain.pop(number, None)
    candidates = CandidateCache().of(tuple(WORKERS[number] for number in sorted(available)))
    held = {number: amount for number, amount in plain.items() if number in available}
    worker, lowest = sums.lowest(candidates)
    assert lowest == min(held.values(), default=0)
    assert worker is None if not held else held[WORKERS.index(worker)] == lowest
    assert sums.highest(candidates) == max(held.values(), default=0)
