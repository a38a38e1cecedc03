"""Ticker and DeadlineQueue, with a loop moved by hand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smg.core.deadlines import DeadlineQueue, Ticker


class Handle:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Loop:
    """`time`, `call_later` and the exception handler of a loop."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.timers: list[tuple[float, Any, Handle]] = []
        self.problems: list[dict[str, Any]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Any) -> Handle:
        handle = Handle()
        self.timers.append((self.now + delay, callback, handle))
        return handle

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.problems.append(context)

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while due := [timer for timer in self.timers if timer[0] <= end]:
            timer = min(due, key=lambda one: one[0])
            self.timers.remove(timer)
            self.now = timer[0]
            if not timer[2].cancelled:
                timer[1]()
        self.now = end


@pytest.fixture
def loop() -> Loop:
    return Loop()


# -- ticker ----------------------------------------------------------------------------------------


def test_a_tick_per_interval(loop):
    ticker = Ticker(loop, 0.5)
    seen: list[float] = []
    ticker.subscribe(seen.append)
    loop.advance(2)
    assert seen == []  # not started
    ticker.start()
    ticker.start()
    loop.advance(1.5)
    assert seen == [1002.5, 1003.0, 1003.5]
    assert ticker.now == 1003.5
    ticker.stop()
    ticker.stop()
    loop.advance(5)
    assert len(seen) == 3
    ticker.start()
    loop.advance(0.5)
    assert len(seen) == 4


def test_now_is_there_before_the_first_tick(loop):
    assert Ticker(loop).now == 1000.0


def test_subscribers_may_come_and_go_in_a_tick(loop):
    ticker = Ticker(loop, 1)
    seen: list[str] = []

    def once(now: float) -> None:
        seen.append("once")
        ticker.unsubscribe(once)
        ticker.subscribe(lambda now: seen.append("late"))

    ticker.subscribe(once)
    ticker.subscribe(lambda now: seen.append("always"))
    ticker.start()
    loop.advance(2)
    assert seen == ["once", "always", "always", "late"]
    ticker.unsubscribe(once)  # unknown by now: ignored


def test_a_subscriber_that_fails_stops_nobody(loop):
    ticker = Ticker(loop, 1)
    seen: list[float] = []
    ticker.subscribe(lambda now: 1 / 0)
    ticker.subscribe(seen.append)
    ticker.start()
    loop.advance(2)
    assert len(seen) == 2
    assert [type(problem["exception"]) for problem in loop.problems] == [ZeroDivisionError] * 2


def test_a_late_loop_does_not_tick_twice_at_once(loop):
    ticker = Ticker(loop, 1)
    seen: list[float] = []
    ticker.subscribe(seen.append)
    ticker.start()
    loop.now += 10  # blocked
    loop.timers[0][1]()
    assert seen == [1010.0]
    assert loop.timers[-1][0] == 1011.0


# -- queue -----------------------------------------------------------------------------------------


def queue(loop: Any, seconds: float, interval: float = 0.25):
    ticker = Ticker(loop, interval)
    ticker.start()
    gone: list[str] = []
    return DeadlineQueue(ticker, seconds, gone.append), gone


def test_expiry(loop):
    items, gone = queue(loop, 2)
    items.add("a")
    loop.advance(1)
    items.add("b")
    items.add("c")
    items.discard("c")
    items.discard("unknown")
    assert len(items) == 2
    loop.advance(0.75)
    assert gone == []
    loop.advance(0.25)
    assert gone == ["a"]
    loop.advance(10)
    assert gone == ["a", "b"]
    assert len(items) == 0


def test_adding_again_starts_the_clock_again(loop):
    items, gone = queue(loop, 2)
    items.add("a")
    items.add("b")
    loop.advance(1.5)
    items.add("a")
    loop.advance(1)
    assert gone == ["b"]
    assert len(items) == 1
    loop.advance(1)
    assert gone == ["b", "a"]


def test_zero_is_off(loop):
    items, gone = queue(loop, 0)
    items.add("a")
    items.discard("a")
    assert len(items) == 0
    loop.advance(1000)
    assert gone == []


def test_what_expires_may_add_and_discard(loop):
    ticker = Ticker(loop, 1)
    ticker.start()
    gone: list[str] = []

    def expired(item: str) -> None:
        gone.append(item)
        items.discard("b")
        items.add("again")

    items = DeadlineQueue(ticker, 3, expired)
    for item in ("a", "b", "c"):
        items.add(item)
    loop.advance(3)
    assert gone == ["a", "c"]
    loop.advance(3)
    assert gone == ["a", "c", "again"]


def test_one_that_fails_does_not_keep_the_others_for_ever(loop):
    ticker = Ticker(loop, 1)
    ticker.start()
    gone: list[str] = []

    def expired(item: str) -> None:
        gone.append(item)
        if item == "a":
            raise ValueError(item)

    items = DeadlineQueue(ticker, 3, expired)
    items.add("a")
    items.add("b")
    loop.advance(4)
    assert gone == ["a", "b"]
    assert len(loop.problems) == 1


OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["add", "discard", "wait"]), st.integers(0, 4)), max_size=40
)


@given(OPERATIONS, st.integers(1, 5))
def test_as_a_timer_per_item(operations, seconds):
    """Ticks of one second, all times whole: then every item ends exactly at its time."""
    loop = Loop()
    items, gone = queue(loop, seconds, 1)
    due: dict[str, float] = {}
    expected: list[str] = []
    for operation, number in operations:
        item = str(number)
        if operation == "add":
            items.add(item)
            due.pop(item, None)
            due[item] = loop.now + seconds
        elif operation == "discard":
            items.discard(item)
            due.pop(item, None)
        else:
            loop.advance(number)
            over = [one for one, when in due.items() if when <= loop.now]
            expected += over
            for one in over:
                del due[one]
        assert gone == expected
        assert len(items) == len(due)
