"""The readiness snapshot follows the registry."""

from __future__ import annotations

from smg.fleet.readiness import Readiness
from smg.workers import Worker, WorkerRegistry, WorkerStatus


def state(readiness: Readiness) -> tuple[bool, str, int, int]:
    return readiness.ready, readiness.reason, readiness.healthy, readiness.total


def test_follows_events() -> None:
    registry = WorkerRegistry()
    first = Worker("http://a:1")
    registry.add(first)
    readiness = Readiness(registry)
    few = "insufficient healthy workers"
    assert state(readiness) == (False, few, 0, 1)
    registry.set_status(first, WorkerStatus.READY)
    second = Worker("http://b:1")
    registry.add(second)
    assert state(readiness) == (True, "", 1, 2)
    registry.set_status(first, WorkerStatus.NOT_READY)
    assert state(readiness) == (False, few, 0, 2)
    registry.set_status(second, WorkerStatus.READY)
    registry.remove(first.id)
    assert state(readiness) == (True, "", 1, 1)
    registry.remove(second.id)
    assert state(readiness) == (False, few, 0, 0)


def test_draining_comes_first() -> None:
    registry = WorkerRegistry()
    readiness = Readiness(registry)
    readiness.drain()
    assert readiness.reason == "draining"
    worker = Worker("http://a:1")
    registry.add(worker)
    registry.set_status(worker, WorkerStatus.READY)
    assert state(readiness) == (False, "draining", 1, 1)
