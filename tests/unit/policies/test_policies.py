"""The simple policies, each by its own rule."""

from __future__ import annotations

from collections import Counter

import pytest

from smg.policies.passthrough import Passthrough
from smg.policies.random_choice import RandomChoice
from smg.policies.round_robin import RoundRobin
from smg.workers import Worker
from tests.contracts.test_policies import View

WORKERS = tuple(Worker(f"http://w{number}:1") for number in range(3))


def test_round_robin_takes_turns() -> None:
    policy = RoundRobin()
    picked = [policy.select(WORKERS, View()) for _ in range(9)]
    assert picked == list(WORKERS) * 3


def test_round_robin_with_a_changing_fleet_stays_even() -> None:
    policy = RoundRobin()
    counts = Counter(policy.select(WORKERS[: 2 + turn % 2], View()) for turn in range(600))
    assert min(counts.values()) >= 100


def test_random_is_uniform_and_repeats_under_a_seed() -> None:
    first = [RandomChoice(7).select(WORKERS, View()) for _ in range(3)]
    assert len(set(first)) == 1
    policy = RandomChoice(7)
    counts = Counter(policy.select(WORKERS, View()) for _ in range(3000))
    assert all(900 < count < 1100 for count in counts.values())


def test_passthrough_warns_once(caplog: pytest.LogCaptureFixture) -> None:
    policy = Passthrough()
    policy.select(WORKERS[:1], View())
    assert caplog.records == []
    for _ in range(3):
        assert policy.select(WORKERS, View()) is WORKERS[0]
    assert len(caplog.records) == 1
