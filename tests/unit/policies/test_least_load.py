"""`least_load`: the formula as the policy applies it, and what reports change."""

from __future__ import annotations

import gc
import random
import weakref
from collections import Counter
from typing import Any

import pytest

from smg.config.settings import RouterConfig
from smg.policies.base import PolicyContext
from smg.policies.least_load import LeastLoad
from smg.workers import LoadReport, LoadReports, RankLoad, Worker
from tests.doubles.routing import View

NOBODY: frozenset[str] = frozenset()


def fleet(count: int, **options: Any) -> tuple[Worker, ...]:
    return tuple(Worker(f"http://w{number}:1", **options) for number in range(count))


def policy_for(
    workers: tuple[Worker, ...], *, reports: LoadReports | None = None, **flags: Any
) -> tuple[LeastLoad, LoadReports]:
    """The policy, told of all workers; and where reports are published."""
    reports = LoadReports() if reports is None else reports
    context = PolicyContext(RouterConfig(**flags), reports=reports, random=random.Random(11))
    policy = LeastLoad.create(context)
    for worker in workers:
        policy.worker_added(worker)
    return policy, reports


def publish(reports: LoadReports, *told: tuple[Worker, dict[str, Any]], lost: Any = NOBODY) -> None:
    fresh = {worker.url: LoadReport((RankLoad(**figures),)) for worker, figures in told}
    reports.publish(fresh, dropped=frozenset(lost))


def picks(policy: LeastLoad, workers: tuple[Worker, ...], count: int = 1) -> list[int]:
    """Indices of the next picks; -1 is nobody."""
    found = [policy.select(workers, View()) for _ in range(count)]
    return [-1 if worker is None else workers.index(worker) for worker in found]


# Nobody reports


def test_requests_in_flight_decide_without_reports() -> None:
    workers = fleet(3)
    policy, _ = policy_for(workers)
    workers[0].acquire()
    workers[1].acquire()
    assert picks(policy, workers, 5) == [2] * 5
    workers[1].release()
    assert set(picks(policy, workers, 50)) == {1, 2}


def test_ties_are_even_and_repeat_under_a_seed() -> None:
    workers = fleet(4)
    counts = Counter(picks(policy_for(workers)[0], workers, 4000))
    assert all(900 < count < 1100 for count in counts.values())
    assert counts == Counter(picks(policy_for(workers)[0], workers, 4000))


def test_costs_share_requests_in_flight_three_to_one() -> None:
    """Edge case 42b: costs 1 and 3, equal service times."""
    workers = (Worker("http://cheap:1"), Worker("http://dear:1", cost=3.0))
    policy, _ = policy_for(workers)
    running: list[Worker] = []
    shares = Counter[str]()
    for turn in range(4000):
        if len(running) == 40:
            running.pop(0).release()
        worker = policy.select(workers, View())
        assert worker is not None
        worker.acquire()
        running.append(worker)
        if turn >= 100:
            shares.update({w.url: w.load for w in workers})
    assert 2.8 < shares[workers[0].url] / shares[workers[1].url] < 3.2


def test_costs_count_in_seconds_too() -> None:
    workers = (Worker("http://cheap:1"), Worker("http://dear:1", cost=3.0))
    policy, reports = policy_for(workers)
    told = ((workers[0], {"waiting_requests": 2}), (workers[1], {"waiting_requests": 1}))
    publish(reports, *told)
    assert picks(policy, workers) == [0]


# Reports


def test_uncached_tokens_come_before_requests_times_the_mean() -> None:
    workers = fleet(2)
    policy, reports = policy_for(workers)
    publish(
        reports,
        (workers[0], {"waiting_requests": 9, "waiting_uncached_tokens": 500}),
        (workers[1], {"waiting_requests": 1, "waiting_uncached_tokens": 0}),
    )
    assert picks(policy, workers) == [0]


def test_a_faster_engine_takes_a_longer_queue() -> None:
    workers = fleet(2)
    policy, reports = policy_for(workers)
    publish(
        reports,
        (workers[0], {"waiting_requests": 3, "gen_throughput": 9000.0}),
        (workers[1], {"waiting_requests": 1}),  # at 2000 tokens a second
    )
    assert picks(policy, workers) == [0]


def test_a_full_cache_is_as_bad_as_a_queue() -> None:
    workers = fleet(2)
    policy, reports = policy_for(workers)
    told = (workers[0], {"waiting_requests": 1}), (workers[1], {"token_usage": 0.9})
    publish(reports, *told)
    # 1024 / 2000 = 0.51 s of queue against 0.15 · 0.9 / 0.1 = 1.35 s of pressure
    assert picks(policy, workers) == [0]
    policy, reports = policy_for(workers, least_load_kv_pressure_weight=0.0)
    publish(reports, *told)
    assert picks(policy, workers) == [1]
    publish(reports, (workers[0], {"waiting_requests": 1}), (workers[1], {"token_usage": 1.0}))
    assert picks(policy, workers) == [1]  # full: large, and still a number


def test_ranks_add_up() -> None:
    workers = fleet(2)
    policy, reports = policy_for(workers)
    two = LoadReport(tuple(RankLoad(rank, waiting_requests=1) for rank in range(2)))
    one = LoadReport((RankLoad(waiting_requests=1), RankLoad(1)))
    reports.publish({workers[0].url: two, workers[1].url: one}, dropped=NOBODY)
    assert picks(policy, workers) == [1]


def test_who_is_silent_is_judged_by_requests_in_flight_beside_others_who_are_not() -> None:
    workers = fleet(3)
    policy, reports = policy_for(workers)
    publish(
        reports,
        (workers[0], {"waiting_requests": 4, "gen_throughput": 1000.0}),  # 4.1 s
        (workers[1], {"waiting_requests": 9, "gen_throughput": 3000.0}),  # 3.1 s
    )
    # A request in flight counts 1024 / mean(1000, 3000) = 0.51 s.
    workers[2].load = 5
    assert picks(policy, workers) == [2]
    workers[2].load = 7
    assert picks(policy, workers) == [1]


def test_requests_sent_count_until_the_next_report() -> None:
    workers = fleet(2)
    policy, reports = policy_for(workers)
    publish(reports, (workers[0], {"waiting_requests": 0}), (workers[1], {"waiting_requests": 2}))
    # Two of mean length and they are even; then by turns.
    assert picks(policy, workers, 2) == [0, 0]
    counts = Counter(picks(policy, workers, 100))
    assert counts == {0: 50, 1: 50}
    # A fresh report of one knows of its requests; the credits of the other stay.
    publish(reports, (workers[0], {"waiting_requests": 0}))
    assert picks(policy, workers, 20) == [0] * 20


def test_requests_sent_count_with_their_tokens() -> None:
    workers = fleet(2)
    policy, reports = policy_for(workers)
    publish(reports, *((worker, {"waiting_requests": 0}) for worker in workers))
    long = View(tokens=range(5 * 1024))
    first = policy.select(workers, long)
    assert first is not None
    others = {1 - workers.index(first)}
    assert set(picks(policy, workers, 5)) == others


def test_a_request_without_tokens_counts_as_one_of_mean_length() -> None:
    workers = fleet(2)
    policy, reports = policy_for(workers)
    publish(reports, *((worker, {"waiting_requests": 0}) for worker in workers))
    counts = Counter(
        worker.url for _ in range(10) if (worker := policy.select(workers, View(tokens=[])))
    )
    assert set(counts.values()) == {5}


def test_a_lost_report_is_not_used() -> None:
    workers = fleet(2)
    policy, reports = policy_for(workers)
    publish(reports, (workers[0], {"waiting_requests": 9}), (workers[1], {"waiting_requests": 1}))
    assert picks(policy, workers) == [1]
    publish(reports, lost={workers[0].url})
    assert picks(policy, workers) == [0]
    publish(reports, lost={workers[1].url})
    workers[0].acquire()
    assert picks(policy, workers, 5) == [1] * 5


def test_reports_from_before_the_policy_count() -> None:
    workers = fleet(2)
    reports = LoadReports()
    publish(reports, (workers[0], {"waiting_requests": 1}), (workers[1], {"waiting_requests": 0}))
    policy, _ = policy_for(workers, reports=reports)
    assert picks(policy, workers) == [1]


# The cap


def test_full_workers_get_nothing_and_then_nobody_is_picked() -> None:
    workers = fleet(2)
    policy, reports = policy_for(workers, least_load_max_waiting_requests=4)
    publish(
        reports,
        (workers[0], {"waiting_requests": 4, "gen_throughput": 9e6}),
        (workers[1], {"waiting_requests": 2}),
    )
    assert picks(policy, workers, 4) == [1, 1, -1, -1]
    publish(reports, (workers[0], {"waiting_requests": 3}))
    assert picks(policy, workers, 2) == [0, -1]


def test_the_cap_holds_for_a_single_worker_too() -> None:
    workers = fleet(1)
    policy, reports = policy_for(workers, least_load_max_waiting_requests=1)
    assert picks(policy, workers) == [0]
    publish(reports, (workers[0], {"waiting_requests": 1}))
    assert picks(policy, workers) == [-1]


def test_who_is_silent_is_never_full() -> None:
    workers = fleet(2)
    policy, reports = policy_for(workers, least_load_max_waiting_requests=1)
    publish(reports, (workers[0], {"waiting_requests": 1}))
    workers[1].load = 1000
    assert picks(policy, workers, 3) == [1] * 3


# The fleet


def test_credits_outlive_a_change_of_candidates() -> None:
    workers = fleet(3)
    policy, reports = policy_for(workers)
    publish(reports, *((worker, {"waiting_requests": 0}) for worker in workers))
    assert picks(policy, workers[:1], 3) == [0] * 3
    assert 0 not in picks(policy, workers, 6)


def test_a_removed_worker_leaves_nothing() -> None:
    workers = fleet(2)
    policy, reports = policy_for(workers)
    publish(reports, *((worker, {"waiting_requests": 9}) for worker in workers))
    policy.worker_removed(workers[0])
    reports.publish({}, dropped=frozenset({workers[0].url}))
    again = (Worker(workers[0].url), workers[1])
    policy.worker_added(again[0])
    assert picks(policy, again) == [0]  # no report, nothing in flight


def test_candidates_the_policy_was_not_told_of() -> None:
    workers = fleet(3)
    policy, reports = policy_for(workers[:2])
    publish(reports, *((worker, {"waiting_requests": 1}) for worker in workers))
    assert picks(policy, workers, 3) == [2] * 3  # known by its requests in flight only


def test_a_list_that_changes_is_read_anew() -> None:
    workers = fleet(2)
    policy, _ = policy_for(workers)
    candidates = [workers[0]]
    assert policy.select(candidates, View()) is workers[0]
    candidates[0] = workers[1]
    assert policy.select(candidates, View()) is workers[1]


def test_nothing_is_held_after_the_policy_is_gone() -> None:
    workers = fleet(1)
    policy, reports = policy_for(workers)
    publish(reports, (workers[0], {"waiting_requests": 1}))
    policy.close()
    policy.close()
    gone = weakref.ref(policy._loads)
    del policy
    gc.collect()
    assert gone() is None
    assert reports._listeners == []


def test_a_policy_that_nobody_uses_leaves_nothing_behind() -> None:
    reports = LoadReports()
    context = PolicyContext(reports=reports)
    LeastLoad.create(context).select(fleet(2), View())
    assert reports._listeners == []


def test_tokens_are_asked_for_only_when_they_count() -> None:
    class Costly(View):
        def tokens(self) -> Any:
            pytest.fail("nobody reports")

    workers = fleet(2)
    policy, _ = policy_for(workers)
    assert policy.select(workers, Costly()) in workers
