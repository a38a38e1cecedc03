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
        try:
            await asyncio.wait_for(
                asyncio.get_running_loop().create_connection(
                    lambda: cast(asyncio.Protocol, conn),
                    origin.host,
                    origin.port,
                    ssl=self._ssl,
                    server_hostname=origin.host if self._ssl else None,
                ),
                self.settings.connect_timeout or None,
            )
        except (OSError, asyncio.TimeoutError, ssl.SSLError) as cause:
            error = ConnectFailed("Could not connect to the worker.", cause=repr(cause))
        finally:
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
