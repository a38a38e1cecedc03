"""Pauses of a working thread, on a clock by hand."""

from __future__ import annotations

import time

import pytest

from smg.observability import turns
from smg.observability.turns import Turns


def test_it_sleeps_when_its_time_is_up_and_no_sooner(monkeypatch: pytest.MonkeyPatch):
    now = 0.0
    slept: list[tuple[float, float]] = []

    def sleep(seconds: float) -> None:
        nonlocal now
        slept.append((now, seconds))
        now += seconds

    monkeypatch.setattr(turns, "perf_counter", lambda: now)
    monkeypatch.setattr(time, "sleep", sleep)
    turn = Turns(budget=1.0, pause=0.25)
    for _ in range(9):
        now += 0.25
        turn()
    assert slept == [(1.0, 0.25), (2.25, 0.25)]
