"""A pool without a network: transports that record, a clock that stands, connects that wait."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from smg.core.deadlines import Ticker
from smg.core.errors import UpstreamError
from smg.upstream.connection import UpstreamConnection
from smg.upstream.origin import Origin
from smg.upstream.pool import UpstreamPool
from smg.upstream.settings import UpstreamSettings


class Clock(Ticker):
    """A ticker that stands still; `now` is set by tests."""

    def __init__(self) -> None:
        loop: Any = self
        super().__init__(loop)

    def time(self) -> float:
        """As a loop."""
        return 1000.0


class Starter:
    """Takes connects like a TaskGroupOwner, and never runs them."""

    def __init__(self) -> None:
        self.count = 0

    def start(self, coroutine: Coroutine[Any, Any, Any], name: str) -> None:
        self.count += 1
        coroutine.close()


class Transport:
    """One connection's transport."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False
        self.aborted = False
        self.reading = True
        self.buffered = 0

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def get_write_buffer_size(self) -> int:
        return self.buffered


class User:
    """An UpstreamUser that keeps a diary. `on_head` may drop the connection."""

    def __init__(self, *, decode: bool = False) -> None:
        self.decode = decode
        self.events: list[tuple[Any, ...]] = []
        self.on_head: Callable[[UpstreamConnection], None] | None = None

    def connected(self, conn: UpstreamConnection) -> None:
        self.events.append(("connected",))

    def upstream_head(self, conn: UpstreamConnection, head: Any) -> None:
        self.events.append(("head", head.status))
        conn.decode = self.decode
        conn.sink = lambda data: self.events.append(("piece", data))
        if self.on_head is not None:
            self.on_head(conn)

    def upstream_first(self, piece: bytes) -> None:
        self.events.append(("first", piece))

    def upstream_done(self, tail: bytes) -> None:
        self.events.append(("done", tail))

    def upstream_failed(self, error: UpstreamError, *, reused: bool) -> None:
        self.events.append(("failed", error.code, reused))

    @property
    def body(self) -> bytes:
        """All body bytes in order."""
        return b"".join(event[1] for event in self.events if event[0] in ("first", "piece", "done"))


def pool(**settings: Any) -> UpstreamPool:
    fakes: Any = (Starter(), Clock())
    return UpstreamPool(Origin.parse("http://w:1"), UpstreamSettings(**settings), *fakes)


def connection(to: UpstreamPool) -> UpstreamConnection:
    """A connection that was just made."""
    conn = UpstreamConnection(to)
    transport: Any = Transport()
    conn.connection_made(transport)
    return conn


def sent(to: UpstreamPool, user: User, *, uses: int = 1, **options: Any) -> UpstreamConnection:
    """A connection on which `user` has just sent a request; `uses` in all."""
    conn = connection(to)
    conn.uses = uses - 1
    conn.send(user, b"GET / HTTP/1.1\r\n\r\n", b"", **options)
    return conn
