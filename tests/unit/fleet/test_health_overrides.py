"""The health loop under workers' own settings, and when these change while the worker lives."""

from __future__ import annotations

import asyncio

from smg.workers import WorkerStatus
from tests.doubles.health import URL, status, world

OTHER = "http://other:1"


async def test_each_worker_has_its_own_interval_time_out_and_thresholds() -> None:
    async with world(health_interval=60) as w:
        own = w.add(
            timeout_secs=1.5, check_interval_secs=3, failure_threshold=1, success_threshold=1
        )
        other = w.add(OTHER)
        await w.clock.advance(0)
        assert {asked.url: asked.timeout for asked in w.fetcher.asked} == {URL: 1.5, OTHER: 5}
        await w.clock.advance(30)
        assert len(w.fetcher.paths(URL)) == 11
        assert len(w.fetcher.paths(OTHER)) == 1
        for url in (URL, OTHER):
            w.fetcher.set(url, "/health", 503)
        await w.clock.advance(3)
        assert (status(own), status(other)) == ("not_ready", "ready")
        w.fetcher.set(URL, "/health", 200)
        await w.clock.advance(3)
        assert status(own) == "ready"


async def test_a_router_without_checks_and_a_worker_with() -> None:
    async with world(check_health=False) as w:
        checked = w.add(disable_health_check=False, failure_threshold=1)
        unchecked = w.add(OTHER)
        for url in (URL, OTHER):
            w.fetcher.down(url)
        await w.clock.advance(0)
        assert (status(checked), status(unchecked)) == ("not_ready", "ready")
        assert w.fetcher.paths(OTHER) == []


async def test_a_router_with_checks_and_a_worker_without() -> None:
    async with world(failure_threshold=1) as w:
        unchecked = w.add(status=WorkerStatus.PENDING, disable_health_check=True)
        w.fetcher.down(URL)
        w.monitor.note_traffic_failure(unchecked)
        await w.clock.advance(0)
        assert status(unchecked) == "ready"
        w.monitor.note_traffic_failure(unchecked)
        await w.clock.advance(600)
        assert (w.probes, status(unchecked)) == (0, "ready")


async def test_a_shorter_interval_applies_at_once() -> None:
    async with world(health_interval=60) as w:
        worker = w.add()
        await w.clock.advance(20)
        assert w.probes == 1
        w.change(worker, check_interval_secs=30)
        await w.clock.advance(9)
        assert w.probes == 1
        await w.clock.advance(1)
        assert w.probes == 2
        await w.clock.advance(15)
        w.change(worker, check_interval_secs=2)  # its time has passed already
        await w.clock.advance(0)
        assert w.probes == 3
        await w.clock.advance(10)
        assert w.probes == 8


async def test_a_longer_interval_applies_at_once() -> None:
    async with world(health_interval=10) as w:
        worker = w.add()
        await w.clock.advance(1)
        w.change(worker, check_interval_secs=100)
        await w.clock.advance(98)
        assert w.probes == 1
        await w.clock.advance(1)
        assert w.probes == 2


async def test_a_change_of_other_things_moves_no_probe() -> None:
    async with world(health_interval=60) as w:
        worker = w.add()
        await w.clock.advance(1)
        for _ in range(58):
            w.change(worker)
            await w.clock.advance(1)
        assert w.probes == 1
        await w.clock.advance(1)
        assert w.probes == 2


async def test_many_changes_leave_little_behind() -> None:
    async with world() as w:
        workers = [w.add(url, check_interval_secs=86_400) for url in (URL, OTHER)]
        await w.clock.advance(0)
        for number in range(1000):
            w.change(workers[number % 2], check_interval_secs=86_400 + number)
        assert len(w.monitor._plan) < 100
        await w.clock.advance(86_400 + 1000)
        assert w.probes == 4


async def test_a_change_does_not_put_off_a_worker_in_doubt() -> None:
    async with world(health_interval=60) as w:
        worker = w.add()
        w.fetcher.down(URL)
        await w.clock.advance(0)
        for _ in range(5):
            await w.clock.advance(1)
            w.change(worker)
        assert w.probes == 2
        await w.clock.advance(5)
        assert (w.probes, status(worker)) == (3, "not_ready")  # no failure was forgotten
        w.fetcher.set(URL, "/health", 200)
        await w.clock.advance(5)
        w.change(worker)
        await w.clock.advance(5)
        assert status(worker) == "ready"
        assert w.recovered == [worker]


async def test_traffic_that_failed_is_remembered_over_a_change() -> None:
    async with world(health_interval=60) as w:
        worker = w.add()
        await w.clock.advance(10)
        w.monitor.note_traffic_failure(worker)
        w.change(worker, check_interval_secs=120)
        await w.clock.advance(0)  # the last probe was long enough ago for one in doubt
        assert w.probes == 2
        await w.clock.advance(119)
        assert w.probes == 2


async def test_new_thresholds_hold_from_the_next_result_on() -> None:
    async with world(health_interval=60) as w:
        worker = w.add()
        w.fetcher.down(URL)
        await w.clock.advance(5)
        w.change(worker, failure_threshold=10)
        await w.clock.advance(10)
        assert (w.probes, status(worker)) == (4, "ready")
        w.change(worker, failure_threshold=5)
        await w.clock.advance(5)
        assert (w.probes, status(worker)) == (5, "not_ready")


async def test_who_is_asked_with_another_key_or_time_out_is_asked_at_once() -> None:
    async with world(health_interval=60) as w:
        worker = w.add()
        await w.clock.advance(1)
        w.change(worker, api_key="new")
        await w.clock.advance(0)
        assert w.fetcher.asked[-1].headers == {b"authorization": b"Bearer new"}
        w.change(worker, api_key="new", timeout_secs=2)
        await w.clock.advance(0)
        assert (w.probes, w.fetcher.asked[-1].timeout) == (3, 2)


async def test_turning_checks_off_forces_ready() -> None:
    for before in (WorkerStatus.PENDING, WorkerStatus.NOT_READY, WorkerStatus.FAILED):
        async with world() as w:
            worker = w.add(status=before)
            w.fetcher.down(URL)
            await w.clock.advance(0)
            probes = w.probes
            w.change(worker, disable_health_check=True)
            await w.clock.advance(0)
            assert status(worker) == "ready"
            await w.clock.advance(600)
            assert (w.probes, status(worker)) == (probes, "ready")


async def test_turning_checks_off_during_a_probe() -> None:
    async with world(failure_threshold=1) as w:
        worker = w.add(status=WorkerStatus.NOT_READY)
        w.fetcher.set(URL, "/health", 503)
        w.fetcher.gate = asyncio.Event()
        await w.clock.advance(0)
        w.change(worker, disable_health_check=True)
        await w.clock.advance(0)
        assert status(worker) == "ready"  # without waiting for the answer
        w.fetcher.gate.set()
        await w.clock.advance(600)
        assert (w.probes, status(worker)) == (1, "ready")


async def test_turning_checks_off_leaves_a_draining_worker_alone() -> None:
    async with world() as w:
        worker = w.add(status=WorkerStatus.DRAINING)
        w.change(worker, disable_health_check=True)
        await w.clock.advance(600)
        assert (w.probes, status(worker)) == (0, "draining")


async def test_turning_checks_on_starts_probing_at_once() -> None:
    async with world(check_health=False) as w:
        worker = w.add()
        w.fetcher.down(URL)
        await w.clock.advance(60)
        w.change(worker, disable_health_check=False)
        await w.clock.advance(10)
        assert (w.probes, status(worker)) == (3, "not_ready")


async def test_a_result_for_an_outdated_revision_is_discarded() -> None:
    async with world(failure_threshold=1) as w:
        worker = w.add()
        w.fetcher.set(URL, "/health", 503)
        w.fetcher.gate = asyncio.Event()
        await w.clock.advance(0)
        w.change(worker)
        w.fetcher.set(URL, "/health", 200)
        await w.clock.advance(0)
        assert w.probes == 2  # asked again at once
        w.fetcher.gate.set()
        await w.clock.advance(1)
        assert status(worker) == "ready"


async def test_a_revision_that_nobody_told_of_counts_too() -> None:
    async with world(failure_threshold=1) as w:
        worker = w.add()
        w.fetcher.set(URL, "/health", 503)
        w.fetcher.gate = asyncio.Event()
        await w.clock.advance(0)
        worker.revision += 1
        w.fetcher.gate.set()
        await w.clock.advance(0)
        assert status(worker) == "ready"


async def test_ranks_of_one_address_are_asked_with_one_request() -> None:
    async with world(health_interval=60) as w:
        ranks = [w.add(dp_rank=rank) for rank in range(8)]
        await w.clock.advance(0)
        assert (w.probes, w.results) == (1, [True] * 8)
        assert w.fetcher.asked[0].url == URL
        w.fetcher.down(URL)
        await w.clock.advance(70)
        assert w.probes == 4
        assert {status(rank) for rank in ranks} == {"not_ready"}
        w.fetcher.set(URL, "/health", 200)
        await w.clock.advance(10)
        assert w.probes == 6
        assert {status(rank) for rank in ranks} == {"ready"}
        assert w.recovered == ranks


async def test_ranks_have_a_verdict_each() -> None:
    async with world(failure_threshold=1) as w:
        first = w.add(dp_rank=0)
        patient = w.add(dp_rank=1, failure_threshold=2)
        leaving = w.add(dp_rank=2, status=WorkerStatus.DRAINING)
        w.fetcher.down(URL)
        await w.clock.advance(0)
        assert w.probes == 1
        assert [status(x) for x in (first, patient, leaving)] == ["not_ready", "ready", "draining"]
        await w.clock.advance(5)
        assert w.probes == 2
        assert [status(x) for x in (first, patient, leaving)] == [
            "not_ready",
            "not_ready",
            "draining",
        ]
