"""The health loop on a stepped clock: when it asks, what it concludes, how much at once."""

from __future__ import annotations

import asyncio

import pytest

from smg.fleet.health import MAX_PROBES
from smg.workers import Worker, WorkerStatus
from tests.doubles.health import URL, status, world


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


async def test_switched_off_workers_are_made_ready_and_never_asked() -> None:
    async with world(check_health=False) as w:
        worker = w.add()
        pending = w.add("http://p:1", WorkerStatus.PENDING)
        leaving = w.add("http://l:1", WorkerStatus.DRAINING)
        await w.clock.advance(600)
        w.monitor.note_traffic_failure(worker)
        await w.clock.advance(600)
        assert w.probes == 0
        assert [status(x) for x in (worker, pending, leaving)] == ["ready", "ready", "draining"]


async def test_pending_that_flaps_is_given_up_after_thirty_probes() -> None:
    async with world() as w:
        worker = w.add(status=WorkerStatus.PENDING)
        for number in range(30):
            assert status(worker) == "pending"
            w.fetcher.set(URL, "/health", 503 if number % 2 else 200)
            await w.clock.advance(5 if number else 0)
        assert (w.probes, status(worker)) == (30, "failed")


async def test_a_change_of_status_by_others_starts_the_count_anew() -> None:
    async with world() as w:
        worker = w.add(status=WorkerStatus.NOT_READY)
        w.fetcher.down(URL)
        await w.clock.advance(5)
        w.registry.set_status(worker, WorkerStatus.READY)  # by its registration
        await w.clock.advance(10)
        assert (w.probes, status(worker)) == (4, "ready")
        await w.clock.advance(5)
        assert (w.probes, status(worker)) == (5, "not_ready")


async def test_a_failed_worker_is_handed_over_once(caplog: pytest.LogCaptureFixture) -> None:
    async with world(removes=True, failure_threshold=1) as w:
        worker = w.add()
        w.fetcher.set(URL, "/health", 503)
        await w.clock.advance(10)
        assert (status(worker), w.given_up) == ("not_ready", [])
        await w.clock.advance(5)
        assert (status(worker), w.given_up) == ("failed", [worker])
        (line,) = [text for text in caplog.messages if "removed" in text]
        assert line.startswith(f"worker {URL} failed its health check: /health answered 503")
        await w.clock.advance(600)
        assert w.given_up == [worker]


async def test_whoever_removes_may_do_it_at_once() -> None:
    async with world(removes=True, failure_threshold=1) as w:
        w.removes_at_once = True
        worker = w.add()
        w.fetcher.down(URL)
        await w.clock.advance(15)
        assert w.given_up == [worker]
        assert w.registry.all() == ()
        await w.clock.advance(600)
        assert w.probes == 4
