"""The readiness snapshot follows the registry; which workers are enough depends on the mode."""

from __future__ import annotations

import itertools

import pytest

from smg.fleet.readiness import Mode, Readiness, Snapshot, enough
from smg.workers import Worker, WorkerRegistry, WorkerStatus

FEW = "insufficient healthy workers"


def test_follows_events() -> None:
    registry = WorkerRegistry()
    first = Worker("http://a:1")
    registry.add(first)
    readiness = Readiness(registry)
    assert readiness.snapshot == Snapshot(FEW, 0, 1)
    registry.set_status(first, WorkerStatus.READY)
    second = Worker("http://b:1")
    registry.add(second)
    assert readiness.snapshot == Snapshot("", 1, 2)
    registry.set_status(first, WorkerStatus.NOT_READY)
    assert readiness.snapshot == Snapshot(FEW, 0, 2)
    registry.set_status(second, WorkerStatus.READY)
    registry.remove(first.id)
    assert readiness.snapshot == Snapshot("", 1, 1)
    registry.remove(second.id)
    assert readiness.snapshot == Snapshot(FEW, 0, 0)


def test_draining_comes_first() -> None:
    registry = WorkerRegistry()
    readiness = Readiness(registry)
    readiness.drain()
    assert readiness.snapshot.reason == "draining"
    worker = Worker("http://a:1")
    registry.add(worker)
    registry.set_status(worker, WorkerStatus.READY)
    assert readiness.snapshot == Snapshot("draining", 1, 1)


def test_a_snapshot_that_somebody_holds_stays_as_it_was() -> None:
    registry = WorkerRegistry()
    readiness = Readiness(registry)
    held = readiness.snapshot
    registry.add(Worker("http://a:1"))
    assert held == Snapshot(FEW, 0, 0)


def test_a_worker_of_another_type_counts_as_that() -> None:
    registry = WorkerRegistry()
    worker = Worker("http://a:1", worker_type="prefill")
    other = Worker("http://b:1", worker_type="prefill")
    for each in (worker, other):
        registry.add(each)
        registry.set_status(each, WorkerStatus.READY)
    readiness = Readiness(registry, "prefill_decode")
    assert readiness.snapshot == Snapshot(FEW, 2, 2)

    def apply() -> None:
        worker.worker_type = "decode"

    registry.reconfigure(worker, apply)
    assert readiness.snapshot == Snapshot("", 2, 2)
    registry.set_status(worker, WorkerStatus.FAILED)
    assert readiness.snapshot == Snapshot(FEW, 1, 2)


@pytest.mark.parametrize(
    ("mode", "needed"),
    [
        ("prefill_decode", {"prefill", "decode"}),
        ("encode_prefill_decode", {"encode", "prefill", "decode"}),
    ],
)
def test_split_modes_need_every_leg(mode: Mode, needed: set[str]) -> None:
    types = ("regular", "encode", "prefill", "decode")
    for counts in itertools.product((0, 1, 7), repeat=len(types)):
        healthy = dict(zip(types, counts, strict=True))
        legs = {name for name in needed if healthy[name]}
        assert enough(healthy, mode) is (legs == needed)
    assert not enough({}, mode)


def test_one_pool_needs_a_worker_that_it_would_use() -> None:
    assert not enough({})
    assert not enough({"regular": 0, "encode": 1, "prefill": 1, "decode": 1})
    assert enough({"regular": 1})
