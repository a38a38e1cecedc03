"""The watchdog of the event loop. Real stalls are busy loops that end when the test has seen what
it waits for; everything else is told by the hands of a clock.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from time import perf_counter

import pytest

from smg.observability.families import GatewayMetrics
from smg.observability.loop_canary import LoopCanary
from smg.observability.loop_watchdog import LIMIT, MOST_REPORTS, WINDOW, LoopWatchdog
from smg.observability.metrics import Registry

LOGGER = "smg.observability.loop_watchdog"
STILL = "the event loop stands still"
ON = "the event loop goes on"
UNSEEN = "the event loop stood still, over before its stack was seen"
SKIPPED = "more stalls were not logged"
PATIENCE = 20.0


class Lines(logging.Handler):
    """What the watchdog logs, and a way for any thread to wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.still, self.on = threading.Event(), threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        if record.getMessage() == STILL:
            self.still.set()
        elif record.getMessage() == ON:
            self.on.set()

    @property
    def texts(self) -> list[str]:
        return [record.getMessage() for record in self.records]

    def fields(self, text: str) -> dict[str, object]:
        found = next(record for record in self.records if record.getMessage() == text)
        fields: dict[str, object] = found.__dict__["fields"]
        return fields


@pytest.fixture
def lines() -> Iterator[Lines]:
    handler = Lines()
    logger = logging.getLogger(LOGGER)
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


@pytest.fixture
def metrics() -> GatewayMetrics:
    return GatewayMetrics(Registry())


def spin_until(done: Callable[[], bool]) -> None:
    """Holds the loop up, in the way a slow callback does."""
    end = perf_counter() + PATIENCE
    while not done() and perf_counter() < end:
        pass


async def test_a_blocked_loop_is_named(lines: Lines, metrics: GatewayMetrics) -> None:
    watchdog = LoopWatchdog(metrics)
    canary = LoopCanary(metrics, watchdog)
    canary.start()
    watchdog.start()
    asyncio.get_running_loop().call_soon(spin_until, lines.still.is_set)
    await asyncio.sleep(0)
    assert await asyncio.to_thread(lines.on.wait, PATIENCE)
    canary.stop()
    watchdog.stop()
    seen, after = lines.fields(STILL), lines.fields(ON)
    assert f"{__name__}.spin_until:" in str(seen["stack"])
    assert "run_until_complete" not in str(seen["stack"])  # what runs the loop is no news
    assert isinstance(seen["seconds"], float)
    assert isinstance(after["seconds"], float)
    assert LIMIT < seen["seconds"] <= after["seconds"]
    assert lines.texts[:2] == [STILL, ON]  # a busy machine may stand still once more
    assert metrics.loop_stalls.labels().value >= 1
    assert metrics.loop_stall_max.labels().value >= after["seconds"] - 0.001


async def test_a_blocking_task_is_named(lines: Lines, metrics: GatewayMetrics) -> None:
    watchdog = LoopWatchdog(metrics)
    canary = LoopCanary(metrics, watchdog)

    async def slow_job() -> None:
        spin_until(lines.still.is_set)

    canary.start()
    watchdog.start()
    await asyncio.create_task(slow_job(), name="jobs:slow")
    canary.stop()
    watchdog.stop()
    fields = lines.fields(STILL)
    assert fields["task"] == "jobs:slow"
    assert f"{__name__}.spin_until:" in str(fields["stack"])
    assert "slow_job:" in str(fields["stack"])


class Clocked:
    """A watchdog without its thread: the test looks, and says when."""

    def __init__(self, metrics: GatewayMetrics) -> None:
        self.watchdog = LoopWatchdog(metrics)
        self.watchdog._thread_id = threading.get_ident()

    def stall(self, begin: float, *, looks: int = 3, seconds: float = 0.5) -> None:
        """The loop stands still from `begin` on and is looked at meanwhile, and after."""
        self.watchdog.due = begin
        for number in range(looks):
            self.watchdog.look(begin + 0.15 + number * 0.05)
        self.watchdog.due = begin + seconds + 0.01
        self.watchdog.turned(begin, seconds)
        self.watchdog.look(begin + seconds)


def test_a_quiet_loop_says_nothing(lines: Lines, metrics: GatewayMetrics) -> None:
    watchdog = Clocked(metrics).watchdog
    watchdog.look(1e9)  # nobody watches yet
    for tick in range(1000):
        watchdog.due = tick * 0.01
        watchdog.look(tick * 0.01 + LIMIT * 0.99)
    assert lines.records == []
    assert metrics.loop_stalls.labels().value == 0


def test_one_stall_is_told_once(lines: Lines, metrics: GatewayMetrics) -> None:
    clocked = Clocked(metrics)
    clocked.stall(100.0, looks=50, seconds=3.0)
    assert lines.texts == [STILL, ON]
    assert lines.fields(STILL)["seconds"] == 0.15
    assert lines.fields(ON)["seconds"] == 3.0


def test_a_stall_that_could_not_be_watched(lines: Lines, metrics: GatewayMetrics) -> None:
    """Whoever keeps the interpreter lock keeps the watchdog from running too."""
    Clocked(metrics).stall(100.0, looks=0)
    assert lines.texts == [UNSEEN]
    assert lines.fields(UNSEEN) == {"seconds": 0.5}
    assert metrics.loop_stalls.labels().value == 1


def test_many_stalls_do_not_flood_the_log(lines: Lines, metrics: GatewayMetrics) -> None:
    clocked = Clocked(metrics)
    for number in range(MOST_REPORTS + 5):
        clocked.stall(100.0 + number)
    clocked.stall(150.0, looks=0)
    assert lines.texts == [STILL, ON] * MOST_REPORTS
    assert metrics.loop_stalls.labels().value == MOST_REPORTS + 6
    clocked.watchdog.due = 101.0 + WINDOW
    clocked.watchdog.look(101.0 + WINDOW)
    assert lines.texts[-1] == SKIPPED
    assert lines.fields(SKIPPED) == {"count": 6}
    clocked.watchdog.look(102.0 + WINDOW)
    assert lines.texts.count(SKIPPED) == 1
    clocked.stall(103.0 + WINDOW)
    assert lines.texts[-2:] == [STILL, ON]


def test_the_longest_is_kept(metrics: GatewayMetrics) -> None:
    clocked = Clocked(metrics)
    clocked.stall(100.0, seconds=2.0)
    clocked.stall(110.0, seconds=0.5)
    assert metrics.loop_stall_max.labels().value == 2.0


def test_compiled_code_has_no_frames(lines: Lines, metrics: GatewayMetrics) -> None:
    clocked = Clocked(metrics)
    waiting = threading.Lock()
    waiting.acquire()
    thread = threading.Thread(target=waiting.acquire)  # compiled; below it only what runs it
    thread.start()
    assert thread.ident is not None
    clocked.watchdog._thread_id = thread.ident
    clocked.watchdog._below = sys._current_frames()[thread.ident]
    clocked.stall(100.0)
    waiting.release()
    thread.join()
    assert "compiled code" in str(lines.fields(STILL)["stack"])


async def test_it_stops(metrics: GatewayMetrics) -> None:
    watchdog = LoopWatchdog(metrics)
    canary = LoopCanary(metrics, watchdog)
    canary.start()
    watchdog.start()
    assert watchdog.due < perf_counter() + 1
    before = {thread.name for thread in threading.enumerate()}
    canary.stop()
    watchdog.stop()
    watchdog.stop()
    assert "smg-loop-watchdog" in before
    assert "smg-loop-watchdog" not in {thread.name for thread in threading.enumerate()}
    watchdog.look(perf_counter() + 1e6)  # the canary stopped: nothing is due
    assert metrics.loop_stalls.labels().value == 0


def test_a_watchdog_that_never_started_stops(metrics: GatewayMetrics) -> None:
    LoopWatchdog(metrics).stop()


async def test_a_failure_does_not_end_it(lines: Lines, metrics: GatewayMetrics) -> None:
    watchdog = LoopWatchdog(metrics, period=0.001)
    failed = threading.Event()
    again = threading.Event()

    def look(now: float) -> None:
        if failed.is_set():
            again.set()
        failed.set()
        raise RuntimeError("a fault of ours")

    watchdog.look = look  # type: ignore[method-assign]
    watchdog.start()
    assert await asyncio.to_thread(again.wait, PATIENCE)
    watchdog.stop()
    assert "the watchdog of the event loop failed" in lines.texts
