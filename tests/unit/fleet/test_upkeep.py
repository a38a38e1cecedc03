"""Policies are swept every so often."""

from __future__ import annotations

import pytest

from smg.fleet.upkeep import Upkeep
from tests.doubles.clock import SteppedClock


async def test_sweeps_go_on_after_a_fault(caplog: pytest.LogCaptureFixture) -> None:
    clock = SteppedClock()
    times: list[float] = []

    def sweep() -> None:
        times.append(clock.time())
        if len(times) == 1:
            raise RuntimeError("a bug")

    upkeep = Upkeep(sweep, clock, 120)
    upkeep.start()
    await clock.advance(119)
    assert times == []
    await clock.advance(1)
    await clock.advance(240)
    assert len(times) >= 2
    assert "a policy failed to sweep" in caplog.text
    await upkeep.close()
    seen = len(times)
    await clock.advance(500)
    assert len(times) == seen
