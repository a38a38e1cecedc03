"""One timer for all breakers."""

from __future__ import annotations

from smg.reliability.breaker import CLOSED, HALF_OPEN, NEVER, OPEN, Breaker
from smg.reliability.settings import BreakerSettings
from smg.reliability.watch import BreakerWatch


def breakers(watch: BreakerWatch, number: int) -> list[Breaker]:
    settings = BreakerSettings(failure_threshold=1, success_threshold=1, timeout=10)
    return [
        Breaker(settings, on_change=lambda breaker, before: watch.changed(breaker))
        for _ in range(number)
    ]


def test_only_those_that_wait_are_looked_at():
    watch = BreakerWatch()
    a, b, c = breakers(watch, 3)
    watch.tick(1000)
    assert (len(watch), watch.earliest()) == (0, NEVER)
    a.failed(a.dispatched(0), 0)
    b.failed(b.dispatched(5), 5)
    assert (len(watch), watch.earliest()) == (2, 10)
    watch.tick(9.9)
    assert [one.state for one in (a, b, c)] == [OPEN, OPEN, CLOSED]
    watch.tick(10)
    assert [one.state for one in (a, b, c)] == [HALF_OPEN, OPEN, CLOSED]
    assert (len(watch), watch.earliest()) == (1, 15)
    watch.tick(15)
    assert len(watch) == 0


def test_half_open_with_every_place_taken_waits_too():
    watch = BreakerWatch()
    (a,) = breakers(watch, 1)
    a.failed(a.dispatched(0), 0)
    watch.tick(10)
    a.dispatched(11)
    assert (len(watch), watch.earliest()) == (1, 21)
    watch.tick(21)
    assert (len(watch), a.admits) == (0, True)


def test_a_worker_that_is_gone():
    watch = BreakerWatch()
    (a,) = breakers(watch, 1)
    a.failed(a.dispatched(0), 0)
    watch.forget(a)
    watch.forget(a)
    watch.tick(1000)
    assert (len(watch), a.state) == (0, OPEN)
