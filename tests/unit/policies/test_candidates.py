"""Workers prepared once per tuple."""

from __future__ import annotations

from smg._speedups.loads import LoadTable
from smg.policies.candidates import CandidateCache
from smg.workers import Worker

WORKERS = tuple(Worker(f"http://w{number}:1") for number in range(4))


def test_the_same_tuple_is_prepared_once() -> None:
    cache = CandidateCache()
    shared = WORKERS[:3]
    prepared = cache.of(shared)
    assert cache.of(shared) is prepared
    # A repeated attempt brings a tuple of its own, again and again.
    for _ in range(5):
        retry = (WORKERS[0], WORKERS[2])
        assert cache.of(retry).count == 2
        assert cache.of(retry) is cache.of(retry)
        assert cache.of(shared) is prepared


def test_places_are_those_of_the_tuple() -> None:
    candidates = CandidateCache().of(WORKERS[::-1])
    assert [candidates.place(worker.slot) for worker in WORKERS] == [3, 2, 1, 0]


def test_a_list_may_change() -> None:
    cache = CandidateCache()
    workers = list(WORKERS[:1])
    assert cache.of(workers).count == 1
    workers.append(WORKERS[1])
    assert cache.of(workers).count == 2


def test_nothing_is_held_after_clear() -> None:
    cache = CandidateCache()
    shared = WORKERS[:2]
    prepared = cache.of(shared)
    cache.clear()
    assert cache.of(shared) is not prepared


def test_a_table_of_its_own_grows_to_the_workers() -> None:
    table = LoadTable()
    candidates = CandidateCache(table).of(WORKERS)
    table.acquire(WORKERS[0].slot)
    assert candidates.total() == 1.0
