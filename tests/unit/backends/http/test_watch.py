"""StreamWatch: quiet seconds are seconds, however many streams there are."""

from __future__ import annotations

from typing import Any

import pytest

from smg.backends.http.watch import StreamWatch

TICKS = 4  # per second


class Ticker:
    def __init__(self) -> None:
        self.callbacks: list[Any] = []

    def subscribe(self, callback: Any) -> None:
        self.callbacks.append(callback)

    def tick(self, count: int = 1) -> None:
        for _ in range(count):
            for callback in self.callbacks:
                callback(0.0)


class Conn:
    active = False


class Relay:
    def __init__(self) -> None:
        self.conn: Any = Conn()
        self.quiet = 0
        self.looks = 0
        self.pings = 0
        self.ended = 0

    def keep_alive_due(self) -> None:
        self.pings += 1

    def silent_too_long(self) -> None:
        self.ended += 1
        self.conn = None


def watching(count: int, keepalive: int = 0, idle_limit: int = 0):
    ticker: Any = Ticker()
    watch = StreamWatch(ticker, keepalive, idle_limit)
    relays = [Relay() for _ in range(count)]
    for relay in relays:
        watch.add(relay)
    return ticker, watch, relays


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 8, 100])
def test_every_stream_is_looked_at_once_a_second(count):
    ticker, watch, relays = watching(count, keepalive=1000)
    assert len(watch) == count
    for second in range(1, 6):
        ticker.tick(TICKS)
        assert {relay.quiet for relay in relays} == {second}


def test_the_work_is_spread():
    ticker, _, relays = watching(100, keepalive=1000)
    for tick in range(1, 5):
        ticker.tick()
        assert sum(relay.quiet for relay in relays) == 25 * tick


def test_keep_alive_once_per_period():
    ticker, _, (relay,) = watching(1, keepalive=15)
    ticker.tick(TICKS * 14)
    assert relay.pings == 0
    ticker.tick(TICKS)
    assert relay.pings == 1
    ticker.tick(TICKS * 15)
    assert relay.pings == 2
    assert relay.ended == 0


def test_a_byte_starts_the_count_again():
    ticker, _, (relay,) = watching(1, keepalive=3, idle_limit=5)
    for _ in range(10):
        ticker.tick(TICKS * 2)
        relay.conn.active = True
        ticker.tick(TICKS)
        assert relay.quiet == 0
        assert not relay.conn.active
    assert (relay.pings, relay.ended) == (0, 0)


def test_silence_ends_a_stream_once():
    ticker, watch, (relay,) = watching(1, keepalive=2, idle_limit=6)
    ticker.tick(TICKS * 5)
    assert (relay.pings, relay.ended) == (2, 0)
    ticker.tick(TICKS)
    assert (relay.pings, relay.ended) == (2, 1)
    ticker.tick(TICKS * 10)
    assert relay.ended == 1
    watch.discard(relay)
    assert len(watch) == 0


def test_keep_alives_do_not_count_as_life_of_the_worker():
    ticker, _, (relay,) = watching(1, keepalive=1, idle_limit=3)
    ticker.tick(TICKS * 3)
    assert (relay.pings, relay.ended) == (2, 1)


def test_streams_that_come_and_go_within_a_second():
    ticker, watch, relays = watching(8, keepalive=1000)
    ticker.tick()
    gone, late = relays[7], Relay()
    gone.conn = None  # ended in this second
    watch.discard(gone)
    watch.discard(gone)
    watch.add(late)
    ticker.tick(TICKS - 1)
    assert gone.quiet == 0
    assert late.quiet == 0
    ticker.tick(TICKS)
    assert late.quiet == 1
    assert [relay.quiet for relay in relays[:7]] == [2] * 7


def test_off():
    ticker, watch, (relay,) = watching(1)
    assert not watch.enabled
    assert not ticker.callbacks
    assert relay.quiet == 0
