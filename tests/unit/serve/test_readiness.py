from __future__ import annotations

import threading
import time

import pytest

from smg.serve.readiness import Readiness, StartupError


def yes(limit: float) -> bool:
    return True


def no(limit: float) -> bool:
    return False


def test_waits_for_all():
    asked: list[str] = []
    late = threading.Event()

    def second(limit: float) -> bool:
        asked.append("b")
        return len(asked) >= 3

    Readiness().wait([("a", yes), ("b", second)], 10)
    assert asked == ["b", "b", "b"]
    assert not late.is_set()


def test_one_deadline_for_all():
    began = time.monotonic()
    with pytest.raises(StartupError, match=r"0\.2 s: b, c"):
        Readiness().wait([("a", yes), ("b", no), ("c", no)], 0.2)
    assert time.monotonic() - began < 2


def test_the_first_death_ends_it_at_once():
    readiness = Readiness()
    threading.Timer(0.05, readiness.ended, ("b", 3)).start()
    began = time.monotonic()
    with pytest.raises(StartupError, match="worker b ended with exit code 3"):
        readiness.wait([("a", no), ("b", no)], 30)
    assert time.monotonic() - began < 5


def test_a_death_before_the_waiting_counts():
    readiness = Readiness()
    readiness.ended("a", -9)
    with pytest.raises(StartupError, match="signal 9"):
        readiness.wait([("a", no)], 30)
