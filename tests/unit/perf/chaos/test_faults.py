from __future__ import annotations

import asyncio
import itertools

import pytest

from perf.chaos.faults import CALM, CALM_SECS, FAULTS, Event, Fault, Injector, schedule
from smg.sim.faults import parse


def test_one_worker_at_a_time_and_calm_between() -> None:
    events = list(schedule(1, 300))
    assert events == list(schedule(1, 300)) != list(schedule(2, 300))
    assert events[0].at >= CALM_SECS
    assert events[-1].until + CALM_SECS <= 300
    for one, two in itertools.pairwise(events):
        assert two.at == pytest.approx(one.until + CALM_SECS)
    assert {event.worker for event in events} == {0, 1, 2}


def test_every_fault_comes_before_one_comes_again() -> None:
    events = list(itertools.islice(schedule(1, 1e6), 2 * len(FAULTS)))
    for half in (events[: len(FAULTS)], events[len(FAULTS) :]):
        assert {event.fault for event in half} == set(FAULTS)


def test_pace_divides_all_times() -> None:
    slow, fast = list(schedule(1, 300)), list(schedule(1, 30, pace=10))
    assert [event.fault for event in slow] == [event.fault for event in fast]
    assert [event.at for event in slow] == pytest.approx([10 * event.at for event in fast])


def test_the_simulated_engine_knows_the_faults() -> None:
    for fault in FAULTS:
        if fault.deed == "arm":
            assert parse(fault.name)


class Noted:
    """A victim that writes down what is done to it."""

    def __init__(self) -> None:
        self.deeds: list[str] = []

    async def arm(self, spec: str) -> None:
        self.deeds.append(f"arm {spec}")

    async def kill(self) -> None:
        self.deeds.append("kill")

    async def restart(self) -> None:
        self.deeds.append("restart")

    async def freeze(self) -> None:
        self.deeds.append("freeze")

    async def heal(self) -> None:
        self.deeds.append("heal")


async def test_the_injector_strikes_and_heals() -> None:
    victims = [Noted(), Noted()]
    injector = Injector(victims)
    assert injector.label == CALM
    events = [
        Event(0.0, 0.001, 1, Fault("kill -9", "kill")),
        Event(0.002, 0.003, 0, Fault("garbage")),
        Event(0.004, 0.005, 1, Fault("cut=3")),
    ]
    await injector.run(iter(events))
    assert victims[0].deeds == ["arm garbage", "heal"]
    assert victims[1].deeds == ["kill", "heal", "arm cut=3", "heal"]
    assert (injector.label, injector.done) == ("cut=3", events)


async def test_a_cancelled_injector_heals() -> None:
    victim = Noted()
    injector = Injector([victim])
    run = asyncio.ensure_future(
        injector.run(iter([Event(0.0, 1000.0, 0, Fault("SIGSTOP", "freeze"))]))
    )
    while not victim.deeds:
        await asyncio.sleep(0)
    run.cancel()
    await asyncio.wait({run})
    assert victim.deeds == ["freeze", "heal"]
