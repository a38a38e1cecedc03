"""`power_of_two`: which pairs it draws, and which of a pair it takes."""

from __future__ import annotations

import random
from collections import Counter
from itertools import combinations
from typing import Any

from smg.config.settings import RouterConfig
from smg.policies.base import PolicyContext
from smg.policies.power_of_two import PowerOfTwo
from smg.workers import LoadReport, LoadReports, RankLoad, Worker
from tests.doubles.routing import View

ROUNDS = 6000


def make(
    count: int, loads: dict[int, int] | None = None, **flags: Any
) -> tuple[PowerOfTwo, tuple[Worker, ...], LoadReports]:
    workers = tuple(Worker(f"http://w{number}:1") for number in range(count))
    for number, load in (loads or {}).items():
        workers[number].load = load
    reports = LoadReports()
    context = PolicyContext(RouterConfig(**flags), reports=reports, random=random.Random(3))
    policy = PowerOfTwo.create(context)
    for worker in workers:
        policy.worker_added(worker)
    return policy, workers, reports


def counted(policy: PowerOfTwo, workers: tuple[Worker, ...], rounds: int = ROUNDS) -> Counter[int]:
    numbers = {worker: number for number, worker in enumerate(workers)}
    return Counter(numbers[policy.select(workers, View())] for _ in range(rounds))  # type: ignore[index]


def test_nobody_and_one() -> None:
    policy, workers, _ = make(1)
    assert policy.select((), View()) is None
    assert policy.select(workers, View()) is workers[0]


def test_equal_workers_get_equal_shares() -> None:
    policy, workers, _ = make(5)
    counts = counted(policy, workers)
    assert all(1050 < counts[number] < 1350 for number in range(5))


def test_the_worst_is_never_taken_and_the_best_whenever_drawn() -> None:
    """Of n workers ranked by load, the k-th best wins the pairs with all that are worse."""
    policy, workers, _ = make(4, {0: 0, 1: 1, 2: 2, 3: 3})
    counts = counted(policy, workers)
    assert counts[3] == 0
    for number, wins in enumerate((3, 2, 1)):
        assert abs(counts[number] - ROUNDS * wins / 6) < 200


def test_every_pair_is_drawn_with_two_different_workers() -> None:
    drawn = Counter[tuple[int, ...]]()

    class Watched:
        """Sees the pairs on their way to the line-up."""

        def __init__(self, lineup: Any) -> None:
            self._lineup = lineup

        def lower(self, first: int, second: int) -> int:
            drawn[tuple(sorted((first, second)))] += 1
            return first

        def reported(self, position: int) -> bool:
            return False

    policy, workers, _ = make(4)
    lineup: Any = Watched(policy._loads.of(workers))
    policy._loads._latest = (workers, lineup)
    counted(policy, workers)
    assert set(drawn) == set(combinations(range(4), 2))
    assert all(850 < count < 1150 for count in drawn.values())


def test_a_tie_goes_to_the_first_drawn() -> None:
    policy, workers, _ = make(2)
    chance = random.Random(3)
    for _ in range(50):
        first = int(chance.random() * 2)
        chance.random()
        assert policy.select(workers, View()) is workers[first]


def test_reports_decide_where_there_are_some() -> None:
    policy, workers, reports = make(2, {0: 50})
    fresh = {
        workers[0].url: LoadReport((RankLoad(waiting_requests=0),)),
        workers[1].url: LoadReport((RankLoad(waiting_requests=8),)),
    }
    reports.publish(fresh, dropped=frozenset())
    assert counted(policy, workers, 8) == {0: 8}
    # Eight requests of mean length were sent: now both are even.
    assert set(counted(policy, workers, 20)) == {0, 1}
    reports.publish({}, dropped=frozenset(fresh))
    assert counted(policy, workers, 8) == {1: 8}


def test_the_cap_of_least_load_is_not_its_own() -> None:
    policy, workers, reports = make(2, least_load_max_waiting_requests=1)
    full = LoadReport((RankLoad(waiting_requests=5),))
    reports.publish({worker.url: full for worker in workers}, dropped=frozenset())
    assert sum(counted(policy, workers, 10).values()) == 10


def test_queues_stay_short_where_one_choice_lets_them_grow() -> None:
    """The point of it: 100 workers, as many requests in flight as fit twice over."""
    policy, workers, _ = make(100)
    chance = random.Random(1)
    running: list[Worker] = []
    longest = 0
    for _ in range(5000):
        if len(running) == 200:
            running.pop(chance.randrange(200)).release()
        worker = policy.select(workers, View())
        assert worker is not None
        worker.acquire()
        running.append(worker)
        longest = max(longest, worker.load)
    assert longest <= 6  # by one choice it is 9 and more
