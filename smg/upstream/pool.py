"""Kept connections per worker, and the opening of new ones.

A request takes the connection that was used last (the warmest, and the least likely to be closed
by the worker). There is no cap on connections: the engine queues better than we could.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, cast

from smg.core.errors import ConnectFailed, UpstreamError
from smg.upstream.connection import UpstreamConnection, UpstreamUser
from smg.upstream.origin import Origin
from smg.upstream.settings import UpstreamSettings

if TYPE_CHECKING:
    from smg.core.deadlines import Ticker
    from smg.core.tasks import TaskGroupOwner


class UpstreamPool:
    """All connections to one origin."""

    def __init__(
        self, origin: Origin, settings: UpstreamSettings, tasks: TaskGroupOwner, ticker: Ticker
    ) -> None:
        self.origin = origin
        self.settings = settings
        self.connections: set[UpstreamConnection] = set()
        #: insertion order is the order of becoming idle; the newest is taken first
        self.idle: dict[UpstreamConnection, None] = {}
        self.connecting = 0
        self.closed = False
        self._tasks = tasks
        self._ticker = ticker
        self._ssl = ssl.create_default_context() if origin.tls else None

    def acquire(self, user: UpstreamUser, fresh: bool = False) -> UpstreamConnection | None:
        """A kept connection, or None: then one is being opened and `user.connected` or
        `upstream_failed` follows.

        `fresh` skips kept connections: after one of them turned out dead the others are suspect.
        """
        idle = self.idle
        while idle and not fresh:
            conn, _ = idle.popitem()
            if not conn.transport.is_closing():
                return conn
        self.connecting += 1
        self._tasks.start(self._connect(user), "connect")
        return None

    async def _connect(self, user: UpstreamUser) -> None:
        origin = self.origin
        error: UpstreamError | None = None
        conn = UpstreamConnection(self)
        limit = _ConnectLimit(self.settings.connect_timeout)
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: cast(asyncio.Protocol, conn),
                origin.host,
                origin.port,
                ssl=self._ssl,
                server_hostname=origin.host if self._ssl else None,
            )
        except OSError as cause:  # TLS errors are
            error = ConnectFailed("Could not connect to the worker.", cause=repr(cause))
        except asyncio.CancelledError:
            # The connection may just have been made, and uvloop closes it without telling us.
            self.connections.discard(conn)
            # A close at the very moment of the timer may be taken for it; either way this ends now.
            if not limit.over:
                raise
            cause_text = f"no connection within {self.settings.connect_timeout:g} s"
            error = ConnectFailed("Could not connect to the worker.", cause=cause_text)
        finally:
            limit.cancel()
            self.connecting -= 1
        if error is not None:
            user.upstream_failed(error, reused=False)
        elif conn.transport.is_closing():
            user.upstream_failed(ConnectFailed("The worker closed the connection."), reused=False)
        else:
            user.connected(conn)

    # -- told by connections ----------------------------------------------------------------------

    def opened(self, conn: UpstreamConnection) -> None:
        """A connection was made."""
        self.connections.add(conn)

    def release(self, conn: UpstreamConnection) -> None:
        """A connection is free again."""
        if self.closed or len(self.idle) >= self.settings.max_idle_per_worker:
            conn.transport.close()
            return
        conn.idle_since = self._ticker.now
        self.idle[conn] = None

    def lost(self, conn: UpstreamConnection) -> None:
        """A connection is closed."""
        self.connections.discard(conn)
        self.idle.pop(conn, None)

    # -- upkeep -----------------------------------------------------------------------------------

    def expire(self, now: float) -> None:
        """Close connections idle for too long."""
        limit = self.settings.pool_idle_timeout
        if not limit:
            return
        while self.idle:
            conn = next(iter(self.idle))
            if now - conn.idle_since < limit:
                return
            del self.idle[conn]
            conn.transport.close()

    def close(self) -> None:
        """Close every connection; users in the middle are told."""
        self.closed = True
        for conn in list(self.connections):
            conn.transport.abort()
        self.idle.clear()


class _ConnectLimit:
    """Cancels the running task after `seconds` (0 = never); then `over` is true.

    Not wait_for: before Python 3.12 it loses a cancellation that meets a connection just made, and
    the close that sent it would go on without the task.
    """

    def __init__(self, seconds: float) -> None:
        self.over = False
        self._task = asyncio.current_task()
        self._timer: asyncio.TimerHandle | None = None
        if seconds:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._expire)

    def _expire(self) -> None:
        assert self._task is not None
        self.over = True
        self._task.cancel()

    def cancel(self) -> None:
        """The connect ended by itself."""
        if self._timer is not None:
            self._timer.cancel()
