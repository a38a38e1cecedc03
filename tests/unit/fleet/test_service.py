"""The worker service on a stepped clock: every operation of the worker API and how they overlap."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from smg.core.errors import AdminError
from smg.fleet.jobs import JobQueue
from smg.fleet.registration import Registration
from smg.fleet.service import WorkerService
from smg.fleet.settings import FleetSettings
from smg.workers import ModelCard, Worker, WorkerPatch, WorkerRegistry, WorkerSpec, WorkerStatus
from smg.workers.spec import HealthSpec
from tests.doubles.clock import SteppedClock
from tests.doubles.fetcher import FakeFetcher

URL = "http://w:1"
SPEC = WorkerSpec(url=URL)


class World:
    def __init__(self, settings: FleetSettings, capacity: int) -> None:
        self.clock = SteppedClock()
        self.fetcher = FakeFetcher()
        self.registry = WorkerRegistry()
        self.jobs = JobQueue(self.clock, capacity=capacity)
        registration = Registration(self.registry, self.fetcher, settings, self.clock)
        self.service = WorkerService(self.registry, registration, self.jobs, settings, self.clock)

    def up(self, url: str = URL, model: str = "m", owner: str = "vllm") -> None:
        self.fetcher.set(url, "/health", 200)
        data = {"data": [{"id": model, "owned_by": owner}]}
        self.fetcher.set(url, "/v1/models", 200, data)

    async def added(self, spec: WorkerSpec = SPEC) -> Worker:
        self.up(spec.url)
        worker_id = self.service.create(spec)
        await self.clock.settle()
        worker = self.registry.get(worker_id)
        assert worker is not None
        return worker

    def job(self, worker_id: str) -> Any:
        return self.service.info(worker_id).get("job_status")

    def failure(self, worker_id: str) -> str:
        job = self.job(worker_id)
        assert job["status"] == "failed"
        return str(job["message"])


@asynccontextmanager
async def world(*, capacity: int = 1000, **settings: object) -> AsyncIterator[World]:
    made = World(FleetSettings(**settings), capacity)  # type: ignore[arg-type]
    try:
        yield made
    finally:
        await made.jobs.close()
        assert made.clock.planned == 0


def refused(status: int, code: str) -> Any:
    return pytest.raises(AdminError, check=lambda e: (e.status, e.code) == (status, code))


# -- adding ---------------------------------------------------------------------------------------


async def test_a_posted_worker_keeps_its_id_from_the_answer_on() -> None:
    async with world() as w:
        worker_id = w.service.create(SPEC)
        await w.clock.settle()
        waiting = w.service.info(worker_id)
        assert (waiting["id"], waiting["status"], waiting["is_healthy"]) == (
            worker_id,
            "pending",
            False,
        )
        assert waiting["job_status"]["status"] == "processing"
        w.up()
        await w.clock.advance(2)
        there = w.service.info(worker_id)
        assert (there["status"], there["model_id"], there["runtime_type"]) == ("ready", "m", "vllm")
        assert "job_status" not in there


async def test_a_worker_that_is_there_already_is_a_conflict() -> None:
    async with world() as w:
        worker = await w.added()
        with pytest.raises(AdminError, match=worker.id) as caught:
            w.service.create(SPEC)
        assert (caught.value.status, caught.value.code) == (409, "WORKER_ALREADY_EXISTS")


async def test_posting_again_while_it_starts_begins_anew_under_the_same_id() -> None:
    async with world() as w:
        first = w.service.create(SPEC)
        await w.clock.advance(5)
        second = w.service.create(msgspec.structs.replace(SPEC, priority=70))
        assert second == first
        w.up()
        await w.clock.settle()
        worker = w.registry.get(first)
        assert worker is not None
        assert worker.priority == 70


async def test_what_was_posted_wins_over_what_the_worker_says() -> None:
    async with world() as w:
        w.up(model="base")
        spec = WorkerSpec(
            url=URL,
            models=(ModelCard("base", aliases=("nice",)),),
            runtime_type="sglang",
            labels={"zone": "a", "served_model_name": "mine"},
            priority=70,
            cost=2.5,
            api_key="k",
        )
        worker_id = w.service.create(spec)
        await w.clock.settle()
        worker = w.registry.get(worker_id)
        assert worker is not None
        assert (worker.runtime, worker.priority, worker.cost) == ("sglang", 70, 2.5)
        assert worker.labels["zone"] == "a"
        assert worker.labels["served_model_name"] == "mine"
        assert worker.models[0].aliases == ("nice",)
        assert {asked.headers.get(b"authorization") for asked in w.fetcher.asked} == {b"Bearer k"}
        assert "api_key" not in w.service.info(worker_id)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "refused"),
        (302, "/health answered 302"),
        (500, "/health answered 500"),
        (401, "/health answered 401"),
    ],
)
async def test_a_worker_that_never_comes_up(answer: int | None, said: str) -> None:
    async with world(startup_timeout=60) as w:
        if answer is not None:
            w.fetcher.set(URL, "/health", answer)
        worker_id = w.service.create(SPEC)
        await w.clock.advance(61)
        message = w.failure(worker_id)
        assert message.startswith("it did not come up within 60 s")
        assert said in message
        info = w.service.info(worker_id)
        assert info["status"] == "failed"
        await w.clock.advance(301)
        with refused(404, "WORKER_NOT_FOUND"):
            w.service.info(worker_id)
        assert len(w.jobs) == 0
        assert w.service.create(SPEC) != worker_id  # the reservation is free again


async def test_a_worker_that_serves_another_model_than_posted() -> None:
    async with world() as w:
        w.up(model="other")
        worker_id = w.service.create(WorkerSpec(url=URL, models=(ModelCard("mine"),)))
        await w.clock.settle()
        assert w.failure(worker_id) == "the worker serves other, not mine"
        assert len(w.registry) == 0


async def test_a_worker_that_lists_no_model_gets_the_posted_one() -> None:
    async with world() as w:
        w.fetcher.set(URL, "/health", 200)
        w.fetcher.set(URL, "/v1/models", 200, b"<html>")
        worker_id = w.service.create(WorkerSpec(url=URL, models=(ModelCard("mine"),)))
        await w.clock.advance(30)
        worker = w.registry.get(worker_id)
        assert worker is not None
        assert worker.model_ids == ("mine",)


@pytest.mark.parametrize(
    ("url", "said"), [("grpc://w:1", "gRPC workers"), ("ipc:///tmp/x", "ZMQ workers")]
)
async def test_kinds_that_do_not_exist_yet_say_so(url: str, said: str) -> None:
    async with world() as w:
        worker_id = w.service.create(WorkerSpec(url=url))
        await w.clock.settle()
        assert said in w.failure(worker_id)


async def test_the_queue_is_bounded() -> None:
    async with world(capacity=2) as w:
        w.service.create(WorkerSpec(url="http://a:1"))
        w.service.create(WorkerSpec(url="http://b:1"))
        with pytest.raises(AdminError) as caught:
            w.service.create(WorkerSpec(url="http://c:1"))
        error = caught.value
        assert (error.status, error.code, error.retry_after) == (503, "JOB_QUEUE_FULL", 1)
        assert w.service.listing(None)["total"] == 0


async def test_health_checks_switched_off_for_one_worker() -> None:
    async with world() as w:
        spec = WorkerSpec(url=URL, health=HealthSpec(disable_health_check=True))
        worker_id = w.service.create(spec)
        await w.clock.advance(3)
        worker = w.registry.get(worker_id)
        assert worker is not None
        assert worker.status is WorkerStatus.READY
        assert "/health" not in w.fetcher.paths()


# -- data-parallel ranks --------------------------------------------------------------------------


async def test_one_worker_per_rank() -> None:
    async with world(dp_aware=True, drain_settle=0) as w:
        w.up(owner="sglang")
        w.fetcher.set(URL, "/server_info", 200, {"dp_size": 3})
        worker_id = w.service.create(SPEC)
        await w.clock.settle()
        workers = w.registry.all()
        assert [worker.url for worker in workers] == [f"{URL}@{rank}" for rank in range(3)]
        assert {worker.base_url for worker in workers} == {URL}
        assert [worker.dp_rank for worker in workers] == [0, 1, 2]
        assert workers[0].id == worker_id
        with refused(409, "WORKER_ALREADY_EXISTS"):
            w.service.create(SPEC)
        with refused(400, "BAD_REQUEST"):
            w.service.replace(worker_id, SPEC)
        w.service.remove(workers[1].id)
        await w.clock.settle()
        assert len(w.registry) == 0


async def test_ranks_of_an_engine_that_does_not_tell() -> None:
    async with world(dp_aware=True) as w:
        w.up()
        worker_id = w.service.create(SPEC)
        await w.clock.advance(5)
        assert "dp_size" in w.failure(worker_id)


# -- changing -------------------------------------------------------------------------------------


async def test_a_patch_keeps_what_it_does_not_name() -> None:
    async with world() as w:
        spec = WorkerSpec(
            url=URL,
            labels={"a": "1"},
            bootstrap_port=8998,
            kv_role="kv_producer",
            health=HealthSpec(timeout_secs=3),
            models=(ModelCard("m"),),
        )
        worker = await w.added(spec)
        asked = len(w.fetcher.asked)
        patch = WorkerPatch(priority=10, labels={"b": "2"}, health=HealthSpec(failure_threshold=7))
        w.service.patch(worker.id, patch)
        await w.clock.settle()
        assert worker.priority == 10
        assert worker.cost == 1.0
        assert worker.labels["a"] == "1"
        assert worker.labels["b"] == "2"
        assert (worker.spec.bootstrap_port, worker.spec.kv_role) == (8998, "kv_producer")
        assert worker.spec.health == HealthSpec(timeout_secs=3, failure_threshold=7)
        assert worker.model_ids == ("m",)
        assert len(w.fetcher.asked) == asked  # it was not looked at again
        assert worker.status is WorkerStatus.READY


async def test_a_new_key_is_used_from_the_patch_on() -> None:
    async with world() as w:
        worker = await w.added()
        worker.transport = object()
        w.service.patch(worker.id, WorkerPatch(api_key="rotated"))
        await w.clock.settle()
        assert worker.api_key == "rotated"
        assert worker.transport is None


async def test_a_patch_of_a_worker_that_is_starting_waits_for_it() -> None:
    async with world() as w:
        worker_id = w.service.create(SPEC)
        await w.clock.settle()
        w.service.patch(worker_id, WorkerPatch(priority=9))
        w.up()
        await w.clock.advance(2)
        worker = w.registry.get(worker_id)
        assert worker is not None
        assert worker.priority == 9


async def test_a_patch_of_a_worker_that_never_came() -> None:
    async with world(startup_timeout=1) as w:
        worker_id = w.service.create(SPEC)
        await w.clock.settle()
        w.service.patch(worker_id, WorkerPatch(priority=9))
        await w.clock.advance(5)
        assert w.failure(worker_id) == "the worker is not registered"


async def test_a_replacement_looks_at_the_worker_anew() -> None:
    async with world() as w:
        worker = await w.added(WorkerSpec(url=URL, labels={"a": "1"}, priority=70))
        w.up(model="next")
        worker.acquire()
        w.service.replace(worker.id, WorkerSpec(url=URL, labels={"b": "2"}))
        await w.clock.settle()
        assert worker.model_ids == ("next",)
        assert w.registry.group("m") is None
        group = w.registry.group("next")
        assert group is not None
        assert group.workers == (worker,)
        assert "a" not in worker.labels
        assert worker.labels["b"] == "2"
        assert worker.priority == 50
        assert worker.load == 1
        worker.release()


async def test_a_replacement_can_move_a_worker_to_another_role() -> None:
    async with world() as w:
        worker = await w.added()
        w.service.replace(worker.id, WorkerSpec(url=URL, worker_type="prefill"))
        await w.clock.settle()
        assert w.registry.group("m") is None
        assert w.registry.group("unknown") is None
        group = w.registry.group("m", "prefill")
        assert group is not None
        assert group.available == (worker,)


async def test_a_replacement_with_another_address() -> None:
    async with world() as w:
        worker = await w.added()
        with refused(400, "BAD_REQUEST"):
            w.service.replace(worker.id, WorkerSpec(url="http://other:1"))


@pytest.mark.parametrize("first", ["patch", "replace", "remove"])
async def test_a_replacement_never_overrules_what_came_after_its_call(first: str) -> None:
    async with world(drain_settle=0) as w:
        worker = await w.added()
        w.fetcher.down(URL)  # so that the replacement waits
        w.service.replace(worker.id, WorkerSpec(url=URL, priority=1))
        await w.clock.settle()
        if first == "remove":
            w.service.remove(worker.id)
            w.up()
            await w.clock.advance(5)
            assert worker not in w.registry
            return
        if first == "replace":
            w.service.replace(worker.id, WorkerSpec(url=URL, priority=2))
        else:
            w.service.patch(worker.id, WorkerPatch(priority=2))
        w.up()
        await w.clock.advance(5)
        assert worker in w.registry
        assert worker.status is WorkerStatus.READY


async def test_unknown_ids() -> None:
    async with world() as w:
        for call in (
            lambda: w.service.info("nobody"),
            lambda: w.service.patch("nobody", WorkerPatch()),
            lambda: w.service.replace("nobody", SPEC),
            lambda: w.service.remove("nobody"),
        ):
            with refused(404, "WORKER_NOT_FOUND"):
                call()


# -- removing -------------------------------------------------------------------------------------


async def test_a_removed_worker_settles_and_goes() -> None:
    async with world() as w:
        worker = await w.added()
        w.service.remove(worker.id)
        assert w.service.info(worker.id)["status"] == "draining"
        await w.clock.advance(4.5)
        assert worker in w.registry
        await w.clock.advance(1)
        assert worker not in w.registry
        with refused(404, "WORKER_NOT_FOUND"):
            w.service.info(worker.id)
        assert w.registry.models() == []


async def test_a_busy_worker_goes_when_its_last_request_is_over() -> None:
    async with world(drain_settle=0) as w:
        worker = await w.added()
        worker.acquire()
        w.service.remove(worker.id)
        await w.clock.advance(300)
        assert worker in w.registry
        worker.release()
        await w.clock.advance(1)
        assert worker not in w.registry


async def test_a_worker_that_stays_busy_goes_after_ten_minutes() -> None:
    async with world() as w:
        worker = await w.added()
        worker.acquire()
        w.service.remove(worker.id)
        await w.clock.advance(599)
        assert worker in w.registry
        await w.clock.advance(2)
        assert worker not in w.registry
        assert worker.load == 1  # the request goes on
        worker.release()


async def test_a_settle_time_of_its_own() -> None:
    async with world() as w:
        worker = await w.added(WorkerSpec(url=URL, health=HealthSpec(drain_settle_secs=60)))
        w.service.remove(worker.id)
        await w.clock.advance(59)
        assert worker in w.registry
        await w.clock.advance(2)
        assert worker not in w.registry


async def test_removing_a_worker_that_is_starting_ends_its_job() -> None:
    async with world() as w:
        worker_id = w.service.create(SPEC)
        await w.clock.advance(3)
        w.service.remove(worker_id)
        await w.clock.settle()
        with refused(404, "WORKER_NOT_FOUND"):
            w.service.info(worker_id)
        w.up()
        await w.clock.advance(120)
        assert len(w.registry) == 0


async def test_a_failed_worker_is_removed() -> None:
    async with world(drain_settle=0) as w:
        worker = await w.added()
        w.service.remove_failed(worker)
        await w.clock.settle()
        assert len(w.registry) == 0
        w.service.remove_failed(worker)  # gone already


async def test_the_listing_by_model() -> None:
    async with world() as w:
        await w.added()
        await w.added(WorkerSpec(url="http://x:1", worker_type="prefill"))
        assert w.service.listing(None)["stats"] == {
            "prefill_count": 1,
            "decode_count": 0,
            "regular_count": 1,
        }
        assert w.service.listing("m")["total"] == 2
        assert w.service.listing("nope")["total"] == 0


async def test_a_thousand_registrations_at_once_stay_responsive() -> None:
    async with world() as w:
        for number in range(1000):
            w.service.create(WorkerSpec(url=f"http://w{number}:1"))
        w.up("http://w999:1")
        w.fetcher.set("http://late:1", "/health", 200)
        await w.clock.advance(1)
        assert [worker.url for worker in w.registry.all()] == ["http://w999:1"]
        assert w.fetcher.most_in_flight <= 200
