"""All pools, and `fetch` for the control plane: one whole answer as a value."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from smg._speedups.head import ReplyHead
from smg.core.deadlines import Ticker
from smg.core.errors import ReplyTooLarge, UpstreamError, UpstreamTimeout
from smg.core.tasks import TaskGroupOwner
from smg.upstream.connection import UpstreamConnection
from smg.upstream.origin import Origin
from smg.upstream.pool import UpstreamPool
from smg.upstream.settings import UpstreamSettings

#: Answers of probes and info calls are small; more than this is a fault.
MAX_FETCH_BYTES = 64 * 1024 * 1024


class Reply:
    """A worker's whole answer."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def header(self, name: bytes) -> bytes | None:
        """First value of a header, `name` in lower case."""
        for key, value in self.headers:
            if key == name:
                return value
        return None


class _Fetch:
    """Collects one answer; an UpstreamUser whose end is a future."""

    def __init__(self, request: bytes, body: bytes, head_request: bool, max_bytes: int) -> None:
        self.request = request
        self.body = body
        self.head_request = head_request
        self.max_bytes = max_bytes
        self.future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self.conn: UpstreamConnection | None = None
        self.stale = False
        self._head: ReplyHead | None = None
        self._pieces: list[bytes] = []
        self._size = 0

    def connected(self, conn: UpstreamConnection) -> None:
        if self.future.done():
            conn.transport.close()
            return
        self.conn = conn
        conn.send(self, self.request, self.body, head_request=self.head_request)

    def upstream_head(self, conn: UpstreamConnection, head: ReplyHead) -> None:
        self._head = head
        conn.decode = True
        conn.sink = self._piece

    def upstream_first(self, piece: bytes) -> None:
        if piece:
            self._piece(piece)

    def _piece(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self.max_bytes:
            self.cancel()
            self._fail(ReplyTooLarge("The worker's answer is too large."))
        else:
            self._pieces.append(data)

    def upstream_done(self, tail: bytes) -> None:
        self.conn = None
        self._piece(tail)
        head = self._head
        assert head is not None
        if not self.future.done():
            self.future.set_result(Reply(head.status, head.headers, b"".join(self._pieces)))

    def upstream_failed(self, error: UpstreamError, *, reused: bool) -> None:
        self.conn = None
        self.stale = reused
        self._fail(error)

    def _fail(self, error: UpstreamError) -> None:
        if not self.future.done():
            self.future.set_exception(error)

    def timed_out(self) -> None:
        self._fail(UpstreamTimeout("The worker did not answer in time."))

    def cancel(self) -> None:
        if self.conn is not None:
            self.conn.drop()
            self.conn = None


class HttpClient:
    """Owns one pool per origin."""

    def __init__(
        self, settings: UpstreamSettings | None = None, *, ticker: Ticker | None = None
    ) -> None:
        self.settings = settings or UpstreamSettings()
        self._own_ticker = ticker is None
        self._ticker = ticker or Ticker(asyncio.get_running_loop())
        self._ticker.start()
        self._ticker.subscribe(self._expire)
        self._tasks = TaskGroupOwner("upstream")
        self._pools: dict[tuple[bool, str, int], UpstreamPool] = {}

    def pool(self, base_url: str) -> UpstreamPool:
        """The pool of an origin, made on first use. Raises ValueError for a malformed URL."""
        origin = Origin.parse(base_url)
        key = (origin.tls, origin.host, origin.port)
        pool = self._pools.get(key)
        if pool is None:
            pool = UpstreamPool(origin, self.settings, self._tasks, self._ticker)
            self._pools[key] = pool
        return pool

    def forget(self, base_url: str) -> None:
        """A worker is gone: close its idle connections and drop its pool. Requests in flight go
        on.
        """
        origin = Origin.parse(base_url)
        pool = self._pools.pop((origin.tls, origin.host, origin.port), None)
        if pool is not None:
            pool.closed = True
            for conn in list(pool.idle):
                conn.transport.close()

    @property
    def open_connections(self) -> int:
        """Connections to all workers, idle ones included. From any thread."""
        return sum(len(pool.connections) for pool in tuple(self._pools.values()))

    async def fetch(
        self,
        base_url: str,
        method: str,
        path: str,
        *,
        headers: Sequence[tuple[bytes, bytes]] = (),
        body: bytes = b"",
        timeout: float,
        max_bytes: int = MAX_FETCH_BYTES,
    ) -> Reply:
        """One request, one whole answer, `timeout` seconds for everything. Redirects are not
        followed.

        A kept connection that turns out dead is replaced once. Raises UpstreamError.
        """
        origin = Origin.parse(base_url)
        lines = [
            f"{method} {origin.path_for(path)} HTTP/1.1\r\n".encode("latin-1"),
            b"host: ",
            origin.host_header,
            b"\r\n",
        ]
        for name, value in headers:
            lines += (name, b": ", value, b"\r\n")
        if body or method in ("POST", "PUT", "PATCH"):
            lines.append(b"content-length: %d\r\n" % len(body))
        lines.append(b"\r\n")
        request = b"".join(lines)
        pool = self.pool(base_url)
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        fresh = False
        while True:
            fetch = _Fetch(request, body, method == "HEAD", max_bytes)
            conn = pool.acquire(fetch, fresh=fresh)
            if conn is not None:
                fetch.connected(conn)
            # Not wait_for: before Python 3.12 it loses a cancellation that meets an answer.
            timer = loop.call_at(end, fetch.timed_out)
            try:
                return await fetch.future
            except UpstreamError:
                if not fetch.stale or fresh:
                    raise
                fresh = True
            finally:
                timer.cancel()
                fetch.future.cancel()
                fetch.cancel()

    def _expire(self, now: float) -> None:
        for pool in self._pools.values():
            pool.expire(now)

    async def close(self) -> None:
        """Close every connection and wait for connects in progress."""
        self._ticker.unsubscribe(self._expire)
        if self._own_ticker:
            self._ticker.stop()
        await self._tasks.close()
        for pool in self._pools.values():
            pool.close()
        await asyncio.sleep(0)
