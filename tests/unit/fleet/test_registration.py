"""Start-up of static workers on a stepped clock: waiting, learning, registering, giving reasons."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from smg.core.errors import BadReply, UpstreamTimeout
from smg.fleet.jobs import JobQueue
from smg.fleet.registration import Registration
from smg.fleet.service import WorkerService
from smg.fleet.settings import FleetSettings
from smg.workers import WorkerRegistry, WorkerStatus
from tests.doubles.clock import SteppedClock
from tests.doubles.fetcher import FakeFetcher

URL = "http://w:1"


class World:
    """Everything a registration needs."""

    def __init__(self, settings: FleetSettings) -> None:
        self.clock = SteppedClock()
        self.fetcher = FakeFetcher()
        self.registry = WorkerRegistry()
        self.registration = Registration(self.registry, self.fetcher, settings, self.clock)
        self.jobs = JobQueue(self.clock)
        self.service = WorkerService(
            self.registry, self.registration, self.jobs, settings, self.clock
        )

    def up(self, url: str = URL, model: str = "m") -> None:
        self.fetcher.set(url, "/health", 200)
        self.serve(url, model)

    def serve(self, url: str, model: str) -> None:
        data = {"data": [{"id": model, "owned_by": "vllm"}]}
        self.fetcher.set(url, "/v1/models", 200, data)

    def seconds(self, path: str) -> list[float]:
        return [at for asked, at in self.times if asked == path]

    @property
    def times(self) -> list[tuple[str, float]]:
        return self._times

    _times: list[tuple[str, float]]


@asynccontextmanager
async def world(**settings: object) -> AsyncIterator[World]:
    made = World(FleetSettings(**settings))  # type: ignore[arg-type]
    made._times = times = []
    fetch = made.fetcher.fetch

    async def noting(base_url: str, method: str, path: str, **rest: object) -> object:
        times.append((path, made.clock.time() - 1000.0))
        return await fetch(base_url, method, path, **rest)  # type: ignore[arg-type]

    made.fetcher.fetch = noting  # type: ignore[assignment,method-assign]
    try:
        yield made
    finally:
        await made.jobs.close()


async def test_a_worker_that_is_up_is_ready_at_once() -> None:
    async with world(api_key="k") as w:
        w.up()
        w.service.start([URL])
        await w.clock.settle()
        (worker,) = w.registry.all()
        assert worker.status is WorkerStatus.READY
        assert worker.model_ids == ("m",)
        assert (worker.runtime, worker.api_key) == ("vllm", "k")
        assert {a.headers.get(b"authorization") for a in w.fetcher.asked} == {b"Bearer k"}


async def test_tries_after_1_2_4_seconds_up_to_the_interval() -> None:
    async with world(startup_interval=10) as w:
        w.service.start([URL])
        await w.clock.advance(45)
        assert w.seconds("/health") == [0, 1, 3, 7, 15, 25, 35, 45]
        assert len(w.registry) == 0
        w.up()
        await w.clock.advance(10)
        assert len(w.registry) == 1


async def test_after_the_limit_one_try_a_minute_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    async with world(startup_timeout=20, startup_interval=8) as w:
        with caplog.at_level(logging.WARNING):
            w.service.start([URL])
            await w.clock.advance(150)
        assert w.seconds("/health") == [0, 1, 3, 7, 15, 20, 80, 140]
        assert "did not come up within 20 s" in caplog.text
        assert len(caplog.records) == 2
        w.up()
        await w.clock.advance(60)
        assert w.registry.all()[0].status is WorkerStatus.READY


async def test_delay_before_the_first_probe() -> None:
    async with world(startup_delay=30) as w:
        w.up()
        w.service.start([URL])
        await w.clock.advance(29)
        assert w.times == []
        await w.clock.advance(1)
        assert len(w.registry) == 1


async def test_each_reason_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    async with world(startup_interval=1) as w:
        w.service.start([URL])
        await w.clock.settle()
        for answer in (
            302,
            404,
            BadReply("The worker's answer is not HTTP"),
            UpstreamTimeout("slow"),
        ):
            if isinstance(answer, int):
                w.fetcher.set(URL, "/health", answer)
            else:
                w.fetcher.fail(URL, "/health", answer)
            await w.clock.advance(3)
        text = caplog.text
        for reason in ("refused", "answered 302", "answered 404", "not HTTP", "slow"):
            assert text.count(reason) == 1, reason
        assert len(w.registry) == 0


async def test_a_worker_without_models_serves_the_wildcard(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with world() as w:
        w.fetcher.set(URL, "/health", 200)
        w.fetcher.set(URL, "/v1/models", 200, {"data": []})
        w.service.start([URL])
        await w.clock.settle()
        (worker,) = w.registry.all()
        assert worker.model_ids == ("unknown",)
        assert w.registry.models() == []
        assert "names no model" in caplog.text


async def test_own_health_route_and_no_redirects() -> None:
    async with world(health_endpoint="/ping") as w:
        w.serve(URL, "m")
        w.fetcher.set(URL, "/ping", 204)
        w.service.start([URL])
        await w.clock.settle()
        assert len(w.registry) == 1
        assert "/health" not in w.fetcher.paths()


async def test_two_spellings_are_one_worker(caplog: pytest.LogCaptureFixture) -> None:
    async with world() as w:
        w.up()
        w.service.start([URL, "http://W:1/v1/"])
        await w.clock.settle()
        assert len(w.registry) == 1
        assert "given twice" in caplog.text


async def test_an_address_that_is_none(caplog: pytest.LogCaptureFixture) -> None:
    async with world() as w:
        w.up()
        w.service.start(["http://", URL])
        await w.clock.settle()
        assert len(w.registry) == 1
        assert "has no host" in caplog.text


async def test_without_health_checks_a_worker_is_ready_before_it_answers() -> None:
    async with world(check_health=False) as w:
        w.service.start([URL])
        await w.clock.advance(2)
        (worker,) = w.registry.all()
        assert worker.status is WorkerStatus.READY
        assert worker.model_ids == ("unknown",)
        await w.clock.advance(60)
        w.serve(URL, "m")
        await w.clock.advance(60)
        assert worker.model_ids == ("m",)
        assert "/health" not in w.fetcher.paths()


async def test_models_are_learnt_anew() -> None:
    async with world() as w:
        w.up()
        w.service.start([URL])
        await w.clock.settle()
        (worker,) = w.registry.all()
        w.serve(URL, "other")
        await w.registration.refresh_models(worker)
        assert worker.model_ids == ("other",)
        w.fetcher.set(URL, "/v1/models", 404)
        await w.registration.refresh_models(worker)
        assert worker.model_ids == ("other",)


async def test_a_slow_worker_delays_nobody_and_close_leaves_nothing() -> None:
    async with world() as w:
        w.up("http://b:1")
        w.service.start(["http://a:1", "http://b:1"])
        await w.clock.settle()
        assert [worker.url for worker in w.registry.all()] == ["http://b:1"]
    assert w.clock.planned == 0
