"""Which pairs a model's requests may go to."""

from __future__ import annotations

from smg.backends.http.lane import Lane
from smg.backends.http.pd.lanes import PairLane
from smg.policies.base import PolicyContext
from smg.policies.registry import create
from smg.reliability.breaker import NEVER
from smg.workers import Worker, WorkerStatus
from smg.workers.group import ModelGroup


def lane(prefills: list[Worker], decodes: list[Worker]) -> PairLane:
    groups = []
    for workers in (prefills, decodes):
        for worker in workers:
            worker.status = WorkerStatus.READY
        group = ModelGroup("m")
        group.replace(tuple(workers))
        groups.append(group)
    policy = create("round_robin", PolicyContext())
    prefill = Lane(groups[0], policy, None)
    return PairLane(groups[1], policy, None, prefill=prefill, pairs=None)


def worker(name: str, runtime: str = "sglang") -> Worker:
    return Worker(f"http://{name}:1", runtime=runtime)


def test_the_first_prefill_worker_decides_the_flow() -> None:
    a, b, c = worker("a"), worker("b", "vllm"), worker("c", "generic")
    both_ways = lane([a, b, c], [worker("d")])
    assert not both_ways.sequential
    assert both_ways.prefills() == (a, c)
    other = lane([b, a], [worker("d")])
    assert other.sequential
    assert other.prefills() == (b,)


def test_the_prepared_tuple_is_handed_on() -> None:
    """Policies keep what they made of it."""
    one = lane([worker("a"), worker("b")], [worker("d")])
    assert one.prefills() is one.prefill.group.available


def test_others_are_a_whole_pair() -> None:
    p, q, d, e = (worker(name) for name in "pqde")
    two = lane([p, q], [d, e])
    assert two.has_others(())
    assert two.has_others((p, d))
    assert not two.has_others((p, q))
    assert not two.has_others((d, e))


def test_a_pair_is_available_with_its_second_half() -> None:
    p, d = worker("p"), worker("d")
    one = lane([p], [d])
    assert one.available_at() == 0
    for half in (p, d):
        half.status = WorkerStatus.NOT_READY
        one.group.refresh()
        one.prefill.group.refresh()
        assert one.available_at() == NEVER
        half.status = WorkerStatus.READY
        one.group.refresh()
        one.prefill.group.refresh()
