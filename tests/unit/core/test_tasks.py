"""Background tasks with an owner."""

from __future__ import annotations

import asyncio

from smg.core.tasks import TaskGroupOwner


async def test_a_task_that_ends_is_forgotten():
    owner = TaskGroupOwner("fleet")

    async def work() -> int:
        return 7

    task = owner.start(work(), "probe")
    assert task.get_name() == "fleet:probe"
    assert len(owner) == 1
    assert await task == 7
    await asyncio.sleep(0)
    assert len(owner) == 0
    await owner.close()


async def test_an_error_is_logged_and_hurts_nobody_else(caplog):
    owner = TaskGroupOwner("fleet")
    release = asyncio.Event()

    async def fail() -> None:
        raise ValueError("broken")

    other = owner.start(release.wait(), "other")
    failed = owner.start(fail(), "probe")
    await asyncio.wait({failed})
    await asyncio.sleep(0)
    assert "background task fleet:probe failed" in caplog.text
    assert "ValueError: broken" in caplog.text
    assert len(owner) == 1
    release.set()
    await other
    await owner.close()


async def test_close_cancels_and_waits_for_the_end_of_all(caplog):
    owner = TaskGroupOwner("fleet")
    ended: list[str] = []

    async def work(name: str, fails: bool) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)  # clean-up that takes a turn
            ended.append(name)
            if fails:
                raise ValueError("in clean-up")

    tasks = [owner.start(work(name, name == "b"), name) for name in "abc"]
    await asyncio.sleep(0)
    await owner.close()
    assert sorted(ended) == ["a", "b", "c"]
    assert all(task.done() for task in tasks)
    assert len(owner) == 0
    assert "background task fleet:b failed" in caplog.text
    await owner.close()


async def test_cancelling_is_no_error(caplog):
    owner = TaskGroupOwner("fleet")
    task = owner.start(asyncio.Event().wait(), "wait")
    task.cancel()
    await asyncio.wait({task})
    await asyncio.sleep(0)
    assert len(owner) == 0
    assert not caplog.records


async def test_a_task_not_started_yet_is_closed_too():
    owner = TaskGroupOwner("fleet")
    ran = []

    async def work() -> None:
        ran.append(1)

    owner.start(work(), "work")
    await owner.close()
    assert not ran
    assert len(owner) == 0
