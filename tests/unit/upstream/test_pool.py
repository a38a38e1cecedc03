"""Kept connections: last in first out, expiry, the cap, and what is lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from smg.core.tasks import TaskGroupOwner
from smg.upstream.connection import UpstreamConnection
from smg.upstream.origin import Origin
from smg.upstream.pool import UpstreamPool
from smg.upstream.settings import UpstreamSettings
from tests.doubles.raw_server import RawServer
from tests.doubles.tcp_proxy import full_listener
from tests.unit.upstream.fakes import Clock, User, connection, pool


def starts(to: Any) -> int:
    return int(to._tasks.count)


def test_the_one_used_last_is_taken_first():
    to = pool()
    first, second = connection(to), connection(to)
    to.release(first)
    to.release(second)
    assert to.acquire(User()) is second
    assert to.acquire(User()) is first
    assert to.acquire(User()) is None  # one is being opened
    assert starts(to) == 1
    assert to.connecting == 1
    assert to.connections == {first, second}


def test_closing_connections_are_passed_over():
    to = pool()
    good, bad = connection(to), connection(to)
    to.release(good)
    to.release(bad)
    bad.transport.close()
    assert to.acquire(User()) is good
    assert not to.idle


def test_fresh_takes_no_kept_connection():
    to = pool()
    kept = connection(to)
    to.release(kept)
    assert to.acquire(User(), fresh=True) is None
    assert starts(to) == 1
    assert to.acquire(User()) is kept


def test_no_more_than_the_cap_is_kept():
    to = pool(max_idle_per_worker=2)
    conns = [connection(to) for _ in range(3)]
    for conn in conns:
        to.release(conn)
    assert list(to.idle) == conns[:2]
    assert [conn.transport.is_closing() for conn in conns] == [False, False, True]


def test_expiry():
    to = pool(pool_idle_timeout=3)
    clock: Any = to._ticker
    assert isinstance(clock, Clock)
    old, young = connection(to), connection(to)
    to.release(old)
    clock.now += 2
    to.release(young)
    to.expire(clock.now + 0.9)
    assert list(to.idle) == [old, young]
    to.expire(clock.now + 1)
    assert list(to.idle) == [young]
    assert old.transport.is_closing()
    assert not young.transport.is_closing()
    to.expire(clock.now + 100)
    assert not to.idle


def test_use_starts_the_idle_time_again():
    to = pool(pool_idle_timeout=3)
    clock: Any = to._ticker
    conn = connection(to)
    to.release(conn)
    clock.now += 2
    assert to.acquire(User()) is conn
    to.release(conn)
    to.expire(clock.now + 2)
    assert list(to.idle) == [conn]


def test_zero_keeps_for_ever():
    to = pool(pool_idle_timeout=0)
    conn = connection(to)
    to.release(conn)
    to.expire(1e9)
    assert list(to.idle) == [conn]


def test_a_lost_connection_is_forgotten():
    to = pool()
    idle, busy = connection(to), connection(to)
    to.release(idle)
    idle.connection_lost(None)
    busy.connection_lost(OSError())
    assert not to.idle
    assert not to.connections
    to.lost(idle)  # unknown: ignored


def test_a_closed_pool_keeps_nothing():
    to = pool()
    idle, busy = connection(to), connection(to)
    to.release(idle)
    to.close()
    assert idle.transport.aborted
    assert busy.transport.aborted
    assert not to.idle
    late = connection(to)
    to.release(late)
    assert late.transport.is_closing()
    assert not to.idle


class _Cancelling(UpstreamPool):
    """Cancels the connect so many loop turns after its connection was made."""

    turns = 0
    pending: asyncio.Task[Any] | None = None
    cancelled = False

    def opened(self, conn: UpstreamConnection) -> None:
        super().opened(conn)
        self._cancel_after(self.turns)

    def _cancel_after(self, turns: int) -> None:
        if turns:
            asyncio.get_running_loop().call_soon(self._cancel_after, turns - 1)
        else:
            assert self.pending is not None
            self.cancelled = self.pending.cancel()


@pytest.mark.parametrize("turns", range(6))
async def test_a_close_that_meets_a_connection_just_made_is_not_lost(turns: int):
    async with RawServer(answer_probes=False) as server:
        user, owner = User(), TaskGroupOwner("test")
        clock: Any = Clock()
        to = _Cancelling(Origin.parse(server.url), UpstreamSettings(), owner, clock)
        to.turns = turns
        assert to.acquire(user) is None
        (to.pending,) = owner._tasks
        await asyncio.wait({to.pending})
        # Either it was too late, and the connection is the user's, or nobody has it.
        assert to.pending.cancelled() == to.cancelled
        assert user.events == ([] if to.cancelled else [("connected",)])
        assert to.connecting == 0
        to.close()
        while to.connections:
            await asyncio.sleep(0)


async def test_a_connect_has_its_time_and_no_more():
    with full_listener() as port:
        user, owner = User(), TaskGroupOwner("test")
        clock: Any = Clock()
        settings = UpstreamSettings(connect_timeout=0.05)
        to = UpstreamPool(Origin.parse(f"http://127.0.0.1:{port}"), settings, owner, clock)
        assert to.acquire(user) is None
        (connect,) = owner._tasks
        await connect
        assert user.events == [("failed", "call_upstream_connection_failed", False)]
        assert to.connecting == 0
