from __future__ import annotations

from typing import Any

from smg.sim.wheel import Wheel
from tests.doubles.clock import SteppedClock


class Recorder:
    def __init__(self, clock: SteppedClock) -> None:
        self.clock = clock
        self.times: list[float] = []

    def fire(self, now: float) -> None:
        self.times.append(round(now, 6))


def make(tick: float = 0.01) -> tuple[SteppedClock, Wheel, Recorder]:
    clock = SteppedClock()
    loop: Any = clock
    return clock, Wheel(loop, tick), Recorder(clock)


async def test_an_entry_fires_once_at_the_first_tick_after_its_time():
    clock, wheel, entry = make()
    wheel.at(clock.time() + 0.025, entry)
    await clock.advance(0.02)
    assert entry.times == []
    await clock.advance(1)
    assert entry.times == [1000.03]


async def test_one_timer_for_all_entries():
    clock, wheel, entry = make()
    for place in range(100):
        wheel.at(clock.time() + 0.5 + place / 1000, entry)
    assert clock.planned == 1
    wheel.at(clock.time() + 0.1, entry)
    assert clock.planned == 1, "an earlier entry moves the timer"
    await clock.advance(0.2)
    assert len(entry.times) == 1
    await clock.advance(1)
    assert len(entry.times) == 101
    assert clock.planned == 0


async def test_an_entry_that_fires_again_at_once_does_not_starve_the_loop():
    clock, wheel, _ = make()

    class Again:
        count = 0

        def fire(self, now: float) -> None:
            self.count += 1
            wheel.at(now, self)

    again = Again()
    wheel.at(clock.time(), again)
    await clock.advance(0.1)
    assert 9 <= again.count <= 11, "once per tick"
    wheel.close()


async def test_a_failing_entry_does_not_stop_the_others():
    clock, wheel, entry = make()

    class Broken:
        def fire(self, now: float) -> None:
            raise RuntimeError("broken on purpose")

    wheel.at(clock.time(), Broken())
    wheel.at(clock.time(), entry)
    await clock.advance(0.1)
    assert len(entry.times) == 1


async def test_close_drops_everything():
    clock, wheel, entry = make()
    wheel.at(clock.time() + 0.1, entry)
    wheel.close()
    await clock.advance(1)
    assert entry.times == []
    assert clock.planned == 0
