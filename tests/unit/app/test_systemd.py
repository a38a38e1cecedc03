"""What systemd is told, and when. The other end is a socket of the test."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterator

import pytest

from smg.app.systemd import EXTEND_EVERY_SECS, Notifier, Service, watchdog_secs
from smg.fleet.readiness import Readiness
from smg.workers import Worker, WorkerRegistry, WorkerStatus
from tests.doubles.clock import SteppedClock
from tests.doubles.service_manager import ServiceManager


@pytest.fixture(params=[False, True], ids=["path", "abstract"])
def systemd(request: pytest.FixtureRequest) -> Iterator[ServiceManager]:
    with ServiceManager(abstract=request.param) as manager:
        yield manager


class Stage:
    """A service with a fleet and a clock of the test."""

    def __init__(self, systemd: ServiceManager, **environ: object) -> None:
        self.clock = SteppedClock()
        self.registry = WorkerRegistry()
        self.readiness = Readiness(self.registry)
        self.service = Service(self.clock, systemd.env(**environ))

    def ready(self) -> None:
        self.service.ready(self.readiness, self.registry)

    def add(self, number: int, status: WorkerStatus = WorkerStatus.READY) -> Worker:
        worker = Worker(f"http://w{number}:1")
        self.registry.add(worker)
        self.registry.set_status(worker, status)
        return worker


def test_a_message_reaches_both_kinds_of_sockets(systemd: ServiceManager) -> None:
    notifier = Notifier.from_environment(systemd.env())
    assert notifier is not None
    notifier.send("READY=1", "STATUS=1 of 1", must=True)
    notifier.send("WATCHDOG=1")
    notifier.close()
    assert systemd.drain() == ["READY=1", "STATUS=1 of 1", "WATCHDOG=1"]


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:3"}])
def test_without_a_socket_there_is_nobody_to_tell(environ: dict[str, str]) -> None:
    assert Notifier.from_environment(environ) is None
    clock = SteppedClock()
    service = Service(clock, {**environ, "WATCHDOG_USEC": "1000000"})
    registry = WorkerRegistry()
    service.ready(Readiness(registry), registry)
    service.reloading()
    service.reloaded()
    service.stopping(lambda: 0)
    assert clock.planned == 0
    service.close()


def test_nobody_listening_is_said_once(
    systemd: ServiceManager, caplog: pytest.LogCaptureFixture
) -> None:
    notifier = Notifier(systemd.address + ".gone")
    for _ in range(3):
        notifier.send("WATCHDOG=1")
    notifier.close()
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_a_busy_systemd_does_not_hold_the_loop_up(systemd: ServiceManager) -> None:
    notifier = Notifier(systemd.address)
    began = time.monotonic()
    for _ in range(10_000):  # more than the socket's queue holds
        notifier.send("WATCHDOG=1")
    assert time.monotonic() - began < 5
    notifier.close()


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, 0.0),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
        ({"WATCHDOG_USEC": "-1"}, 0.0),
    ],
)
def test_the_watchdog_interval(environ: dict[str, str], seconds: float) -> None:
    assert watchdog_secs(environ, os.getpid()) == seconds


def test_ready_tells_of_the_workers(systemd: ServiceManager) -> None:
    stage = Stage(systemd)
    stage.add(1)
    stage.add(2, WorkerStatus.NOT_READY)
    stage.ready()
    assert systemd.drain() == ["READY=1", "STATUS=1 of 2 workers healthy"]
    stage.service.close()


async def test_the_status_follows_at_most_once_a_second(systemd: ServiceManager) -> None:
    stage = Stage(systemd)
    stage.ready()
    assert systemd.drain() == ["READY=1", "STATUS=0 of 0 workers healthy"]
    for number in range(50):
        stage.add(number)
    assert systemd.drain() == ["STATUS=0 of 1 workers healthy"]  # at once, then it waits
    await stage.clock.advance(1.0)
    assert systemd.drain() == ["STATUS=50 of 50 workers healthy"]
    await stage.clock.advance(100.0)
    assert systemd.drain() == []
    assert stage.clock.planned == 0
    stage.service.close()
    stage.add(51)
    assert systemd.drain() == []


async def test_signs_of_life(systemd: ServiceManager) -> None:
    stage = Stage(systemd, WATCHDOG_USEC=30_000_000)
    assert systemd.drain() == []
    stage.ready()
    assert systemd.drain()[-1] == "WATCHDOG=1"
    await stage.clock.advance(60.0)
    assert systemd.drain() == ["WATCHDOG=1"] * 4
    stage.service.stopping(lambda: 0)
    await stage.clock.advance(30.0)
    assert systemd.drain().count("WATCHDOG=1") == 2
    stage.service.close()
    await stage.clock.advance(60.0)
    assert systemd.drain() == []


def test_reloading(systemd: ServiceManager) -> None:
    stage = Stage(systemd)
    stage.ready()
    systemd.drain()
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    stage.service.reloading()
    state, at = systemd.drain()
    after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert state == "RELOADING=1"
    assert re.fullmatch(r"MONOTONIC_USEC=\d+", at)
    assert before <= int(at.partition("=")[2]) <= after
    stage.service.reloaded()
    assert systemd.drain() == ["READY=1"]
    stage.service.close()


async def test_draining_asks_for_time_as_long_as_it_lasts(systemd: ServiceManager) -> None:
    stage = Stage(systemd)
    stage.ready()
    systemd.drain()
    left = [3]
    stage.service.stopping(lambda: left[0])
    more = "EXTEND_TIMEOUT_USEC=20000000"
    assert systemd.drain() == ["STOPPING=1", more, "STATUS=draining, requests in flight: 3"]
    await stage.clock.advance(EXTEND_EVERY_SECS)
    assert systemd.drain() == [more]
    left[0] = 1
    await stage.clock.advance(EXTEND_EVERY_SECS)
    assert systemd.drain() == [more, "STATUS=draining, requests in flight: 1"]
    stage.service.close()
    assert stage.clock.planned == 0
