"""Jobs: bounded, visible, in order per key, and nothing left of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from smg.fleet.jobs import KEEP_FAILED_SECS, Job, JobFailed, JobQueue, QueueFull
from tests.doubles.clock import SteppedClock


class World:
    def __init__(self, **limits: int) -> None:
        self.clock = SteppedClock()
        self.queue = JobQueue(self.clock, wall=lambda: 5000.0, **limits)
        self.log: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.queue.on_forgotten(lambda key: self.log.append(f"forgot {key}"))

    def submit(self, key: str, name: str = "", **more: object) -> None:
        name = name or key

        async def run(job: Job) -> None:
            self.log.append(f"start {name}")
            await self.gates.setdefault(name, asyncio.Event()).wait()
            self.log.append(f"end {name}")

        self.queue.submit("AddWorker", key, run, **{"limit": None, **more})  # type: ignore[arg-type]

    async def finish(self, name: str) -> None:
        self.gates.setdefault(name, asyncio.Event()).set()
        await self.clock.settle()


@asynccontextmanager
async def world(**limits: int) -> AsyncIterator[World]:
    made = World(**limits)
    try:
        yield made
    finally:
        await made.queue.close()
        assert made.clock.planned == 0


async def test_a_job_is_pending_then_processing_then_gone() -> None:
    async with world() as w:
        w.submit("a")
        status = w.queue.status("a")
        assert status is not None
        assert (status.status, status.message, status.timestamp) == ("pending", None, 5000)
        await w.clock.settle()
        assert status.status == "processing"
        await w.finish("a")
        assert w.queue.status("a") is None
        assert w.log == ["start a", "end a", "forgot a"]
        assert len(w.queue) == 0


async def test_jobs_of_one_key_run_in_order() -> None:
    async with world() as w:
        w.submit("a", "first")
        w.submit("a", "second")
        w.submit("b")
        await w.clock.settle()
        assert w.log == ["start first", "start b"]
        await w.finish("first")
        assert w.log[2:] == ["end first", "start second"]


async def fails(job: Job) -> None:
    raise JobFailed("no answer")


async def test_a_failed_job_stays_visible_for_five_minutes() -> None:
    async with world() as w:
        w.queue.submit("UpdateWorker", "a", fails, limit=None)
        await w.clock.settle()
        status = w.queue.status("a")
        assert status is not None
        assert (status.job_type, status.status, status.message) == (
            "UpdateWorker",
            "failed",
            "no answer",
        )
        await w.clock.advance(KEEP_FAILED_SECS - 1)
        assert w.queue.status("a") is status
        assert w.log == []
        await w.clock.advance(1)
        assert w.log == ["forgot a"]
        assert w.queue.status("a") is None


async def test_a_later_job_takes_the_place_of_a_failed_one() -> None:
    async with world() as w:
        w.queue.submit("AddWorker", "a", fails, limit=None)
        await w.clock.settle()
        w.submit("a")
        await w.clock.settle()
        status = w.queue.status("a")
        assert status is not None
        assert status.status == "processing"
        await w.finish("a")
        assert w.log[-1] == "forgot a"


async def test_an_unexpected_error_is_logged_and_shown_without_its_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def breaks(job: Job) -> None:
        raise RuntimeError("key=secret")

    async with world() as w:
        w.queue.submit("AddWorker", "a", breaks, limit=None)
        await w.clock.settle()
        status = w.queue.status("a")
        assert status is not None
        assert status.message == "internal error (RuntimeError)"
        assert "RuntimeError" in caplog.text


async def test_a_job_that_takes_too_long_fails() -> None:
    async with world() as w:
        w.submit("a", limit=30.0)
        await w.clock.advance(30)
        status = w.queue.status("a")
        assert status is not None
        assert (status.status, status.message) == ("failed", "not done within 30 s")


async def test_the_queue_is_bounded() -> None:
    async with world(capacity=2, concurrency=1) as w:
        for key in "abc":
            w.submit(key)
            await w.clock.settle()
        with pytest.raises(QueueFull):
            w.submit("d")
        w.submit("e", always=True)
        await w.finish("a")
        await w.finish("b")
        w.submit("d")


async def test_only_so_many_work_at_once_and_waiting_ones_lend_their_place() -> None:
    async with world(concurrency=1) as w:

        async def waits(job: Job) -> None:
            w.log.append("asleep")
            await job.sleep(10)
            w.log.append("awake")

        w.queue.submit("AddWorker", "a", waits, limit=None)
        w.submit("b")
        await w.clock.settle()
        assert w.log == ["asleep", "start b"]
        await w.clock.advance(20)
        assert w.log == ["asleep", "start b"]  # its place is taken
        await w.finish("b")
        assert w.log[2] == "end b"
        assert sorted(w.log[3:]) == ["awake", "forgot a", "forgot b"]


@pytest.mark.parametrize("when", ["before it starts", "while it waits", "while it works"])
async def test_a_cancelled_job_leaves_nothing(when: str) -> None:
    async with world(concurrency=1) as w:
        if when == "while it waits":
            w.submit("b")
        w.submit("a", "first")
        w.submit("a", "second")
        if when != "before it starts":
            await w.clock.settle()
        w.queue.cancel("a")
        await w.clock.settle()
        await w.finish("b")
        assert w.queue.status("a") is None
        assert "forgot a" in w.log
        assert "start second" not in w.log
        assert len(w.queue) == 0
        for _ in range(3):  # its place is free again
            w.submit("c")
            await w.finish("c")
        assert w.log[-1] == "forgot c"


async def test_a_sleeping_job_can_be_cancelled() -> None:
    async with world(concurrency=1) as w:

        async def waits(job: Job) -> None:
            await job.sleep(1000)

        w.queue.submit("AddWorker", "a", waits, limit=None)
        await w.clock.settle()
        w.queue.cancel("a")
        w.submit("b")
        await w.clock.settle()
        assert sorted(w.log) == ["forgot a", "start b"]


async def test_a_job_after_a_cancelled_one_runs() -> None:
    async with world() as w:
        w.submit("a", "first")
        await w.clock.settle()
        w.queue.cancel("a")
        w.submit("a", "second")
        await w.clock.settle()
        assert w.log == ["start first", "start second"]
