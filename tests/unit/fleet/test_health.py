"""The health loop on a stepped clock: when it asks, what it concludes, how much at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from smg.fleet.health import MAX_PROBES, HealthMonitor
from smg.fleet.settings import FleetSettings
from smg.workers import ModelCard, Worker, WorkerRegistry, WorkerStatus
from tests.doubles.clock import SteppedClock
from tests.doubles.fetcher import FakeFetcher

URL = "http://w:1"


def status(worker: Worker) -> str:
    return worker.status.value


class World:
    """A monitor over one registry."""

    def __init__(self, settings: FleetSettings) -> None:
        self.clock = SteppedClock()
        self.fetcher = FakeFetcher()
        self.registry = WorkerRegistry()
        self.recovered: list[Worker] = []
        self.results: list[bool] = []
        self.monitor = HealthMonitor(
            self.registry,
            self.fetcher,
            settings,
            self.clock,
            recovered=self.on_recovered,
            checked=lambda worker, healthy: self.results.append(healthy),
        )

    async def on_recovered(self, worker: Worker) -> None:
        self.recovered.append(worker)

    def add(self, url: str = URL, status: WorkerStatus = WorkerStatus.READY) -> Worker:
        worker = Worker(url, models=[ModelCard("m")], api_key="k")
        self.registry.add(worker)
        self.registry.set_status(worker, status)
        self.fetcher.set(url, "/health", 200)
        return worker

    @property
    def probes(self) -> int:
        return len(self.fetcher.asked)


@asynccontextmanager
async def world(**settings: object) -> AsyncIterator[World]:
    made = World(FleetSettings(**settings))  # type: ignore[arg-type]
    made.monitor.start()
    try:
        yield made
    finally:
        await made.monitor.close()
    assert made.clock.planned == 0
    assert made.fetcher.in_flight == 0


async def test_immediately_and_then_every_interval() -> None:
    async with world(health_interval=60) as w:
        w.add()
        await w.clock.settle()
        assert w.probes == 0  # the timer is planned, not yet fired
        await w.clock.advance(0)
        assert w.probes == 1
        await w.clock.advance(59)
        assert w.probes == 1
        await w.clock.advance(1)
        assert w.probes == 2
        assert w.fetcher.asked[0].headers == {b"authorization": b"Bearer k"}
        assert w.fetcher.asked[0].timeout == 5


async def test_out_after_three_failures_in_ten_seconds_and_back_after_two_successes() -> None:
    async with world(health_interval=60) as w:
        worker = w.add()
        await w.clock.advance(1)
        w.fetcher.set(URL, "/health", 503)
        await w.clock.advance(59)
        assert status(worker) == "ready"
        await w.clock.advance(5)
        assert status(worker) == "ready"
        await w.clock.advance(5)
        assert status(worker) == "not_ready"
        assert w.registry.group("m").available == ()  # type: ignore[union-attr]
        w.fetcher.set(URL, "/health", 200)
        await w.clock.advance(5)
        assert status(worker) == "not_ready"
        assert w.recovered == []
        await w.clock.advance(5)
        assert status(worker) == "ready"
        assert w.recovered == [worker]
        assert w.results == [True, False, False, False, True, True]
        probes = w.probes
        await w.clock.advance(59)
        assert w.probes == probes
        await w.clock.advance(1)
        assert w.probes == probes + 1
        assert w.recovered == [worker]


async def test_a_short_interval_is_not_stretched() -> None:
    async with world(health_interval=1) as w:
        worker = w.add()
        w.fetcher.set(URL, "/health", 500)
        await w.clock.advance(2)
        assert (w.probes, status(worker)) == (3, "not_ready")


async def test_a_failed_worker_is_asked_every_minute_for_ever() -> None:
    async with world(health_interval=10, failure_threshold=1) as w:
        worker = w.add()
        w.fetcher.down(URL)
        await w.clock.advance(15)
        assert status(worker) == "failed"
        probes = w.probes
        await w.clock.advance(600)
        assert w.probes == probes + 10
        w.fetcher.set(URL, "/health", 200)
        await w.clock.advance(65)
        assert status(worker) == "ready"
        assert w.recovered == [worker]


async def test_a_restart_that_nobody_noticed_is_looked_at_too() -> None:
    async with world() as w:
        worker = w.add()
        w.fetcher.set(URL, "/health", 503)
        await w.clock.advance(0)
        w.fetcher.set(URL, "/health", 200)
        await w.clock.advance(5)
        assert status(worker) == "ready"
        assert w.recovered == [worker]


async def test_traffic_pulls_the_next_probe_forward() -> None:
    async with world() as w:
        worker = w.add()
        await w.clock.advance(1)
        for _ in range(100):
            w.monitor.note_traffic_failure(worker)
        await w.clock.advance(4.9)
        assert w.probes == 1
        # More of it must not push the probe away again.
        w.monitor.note_traffic_failure(worker)
        await w.clock.advance(0.1)
        assert w.probes == 2
        await w.clock.advance(54)
        assert w.probes == 2


async def test_traffic_that_fails_during_a_probe() -> None:
    async with world() as w:
        worker = w.add()
        w.fetcher.gate = asyncio.Event()
        await w.clock.advance(0)
        w.monitor.note_traffic_failure(worker)
        w.fetcher.gate.set()
        await w.clock.advance(5)
        assert w.probes == 2


async def test_unknown_workers_are_no_problem() -> None:
    async with world() as w:
        w.monitor.note_traffic_failure(Worker("http://other:1"))


async def test_at_most_128_at_once() -> None:
    async with world() as w:
        w.fetcher.gate = asyncio.Event()
        for number in range(300):
            w.add(f"http://w{number}:1")
        await w.clock.advance(0)
        assert w.fetcher.in_flight == MAX_PROBES
        w.fetcher.gate.set()
        await w.clock.settle()
        assert w.probes == 300
        assert w.fetcher.most_in_flight == MAX_PROBES


async def test_the_answer_of_a_removed_worker_is_dropped() -> None:
    async with world(failure_threshold=1) as w:
        worker = w.add()
        w.fetcher.set(URL, "/health", 503)
        w.fetcher.gate = asyncio.Event()
        await w.clock.advance(0)
        w.registry.remove(worker.id)
        w.fetcher.gate.set()
        await w.clock.advance(120)
        assert status(worker) == "ready"
        assert w.probes == 1


async def test_a_draining_worker_is_left_alone() -> None:
    async with world(failure_threshold=1) as w:
        worker = w.add()
        w.fetcher.set(URL, "/health", 503)
        w.fetcher.gate = asyncio.Event()
        await w.clock.advance(0)
        w.registry.set_status(worker, WorkerStatus.DRAINING)
        w.fetcher.gate.set()
        await w.clock.advance(300)
        assert status(worker) == "draining"
        assert w.probes == 1


async def test_a_bug_in_a_probe_does_not_end_the_loop(caplog: pytest.LogCaptureFixture) -> None:
    async with world() as w:
        w.add()
        w.fetcher.fail(URL, "/health", RuntimeError("bug"))
        await w.clock.advance(0)
        assert "background task" in caplog.text
        w.fetcher.set(URL, "/health", 200)
        await w.clock.advance(5)
        assert w.probes == 2


async def test_pending_becomes_ready_by_probes() -> None:
    async with world() as w:
        worker = w.add(status=WorkerStatus.PENDING)
        await w.clock.advance(5)
        assert status(worker) == "ready"


async def test_closing_with_probes_under_way() -> None:
    async with world() as w:
        worker = w.add()
        w.fetcher.gate = asyncio.Event()
        await w.clock.advance(0)
        assert w.fetcher.in_flight == 1
    assert status(worker) == "ready"


async def test_switched_off() -> None:
    async with world(check_health=False) as w:
        worker = w.add()
        await w.clock.advance(600)
        w.monitor.note_traffic_failure(worker)
        assert w.probes == 0
