"""The listening side: sockets, the set of open connections, the deadlines they share, and
draining.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from smg.core.deadlines import Ticker
from smg.core.errors import GatewayError
from smg.server.cors import Cors
from smg.server.head import special_headers
from smg.server.metrics import RouteSeries, attach
from smg.server.protocol import ClientConnection
from smg.server.routes import Route, RouteTable
from smg.server.settings import ServerSettings
from smg.server.state import Authorize as Authorize
from smg.server.state import ServerState

if TYPE_CHECKING:
    from smg.observability.families import GatewayMetrics


#: A burst larger than this many pending connections is refused by the kernel.
BACKLOG = 4096
#: Starting receive buffer of accepted sockets, bytes. The kernel's default makes a large body on a
#: new connection wait for window growth (about 200 ms for 1 MB).
RECEIVE_BUFFER = 1_048_576


class HttpServer(ServerState):
    """One or more listening sockets over one route table."""

    def __init__(
        self,
        routes: Sequence[Route],
        settings: ServerSettings | None = None,
        *,
        ticker: Ticker | None = None,
        metrics: GatewayMetrics | None = None,
        authorize: Authorize | None = None,
    ) -> None:
        settings = settings or ServerSettings()
        self._own_ticker = ticker is None
        ticker = ticker or Ticker(asyncio.get_running_loop())
        ticker.start()
        super().__init__(
            RouteTable(routes),
            settings,
            ticker,
            authorize,
            special_headers(settings.request_id_headers),
        )
        connection = ClientConnection
        self.set_deadlines(
            connection.head_timed_out,
            connection.body_timed_out,
            connection.idle_timed_out,
            connection.linger_timed_out,
        )
        self._metrics = metrics
        if metrics is not None:
            attach(self.table, metrics, *([self.cors.preflight] if self.cors else []))
        self._listeners: list[asyncio.Server] = []
        self.port = 0

    # -- life -------------------------------------------------------------------------------------

    async def listen(
        self,
        host: str | None = None,
        port: int = 0,
        *,
        sockets: Sequence[socket.socket] = (),
        backlog: int = BACKLOG,
    ) -> None:
        """Accept on `host:port` (port 0 = chosen by the system) or on sockets bound earlier.
        Raises OSError.
        """
        bound = list(sockets)
        if not bound:
            bound = bind(host or "127.0.0.1", port)
        for sock in bound:
            listener = await self.loop.create_server(
                lambda: cast(asyncio.Protocol, ClientConnection(self)), sock=sock, backlog=backlog
            )
            self._listeners.append(listener)
        self.port = bound[0].getsockname()[1]

    def stop_accepting(self) -> None:
        """Close the listening sockets; connections go on, idle ones are closed."""
        self.draining = True
        for listener in self._listeners:
            listener.close()
        for connection in list(self.connections):
            connection.close_if_idle()

    def allow_origins(self, origins: tuple[bytes, ...]) -> None:
        """Replace whose pages may read our answers, from the next answer on; as
        `ServerSettings.cors_allowed_origins`.
        """
        self.cors = Cors(origins) if origins else None
        if self.cors is not None and self._metrics is not None:
            preflight = self.cors.preflight
            preflight.series = RouteSeries(self._metrics, preflight.route.path)

    async def wait_idle(self, seconds: float) -> bool:
        """Wait until no request is in flight, at most `seconds`. True when idle."""
        deadline = self.loop.time() + seconds
        while self.exchanges:
            left = deadline - self.loop.time()
            if left <= 0:
                return False
            await asyncio.sleep(min(left, 0.05))
        return True

    async def close(self, grace: float = 0) -> None:
        """Stop accepting, wait up to `grace` seconds for requests, then cut what is left."""
        self.stop_accepting()
        await self.wait_idle(grace)
        for task in list(self.handler_tasks):
            task.cancel()
        if self.handler_tasks:
            await asyncio.gather(*self.handler_tasks, return_exceptions=True)
        for connection in list(self.connections):
            connection.transport.close()
        for _ in range(50):
            if not self.connections:
                break
            await asyncio.sleep(0.01)
        for connection in list(self.connections):
            connection.transport.abort()
        await asyncio.sleep(0)
        for listener in self._listeners:
            listener.close()
        if self._own_ticker:
            self.ticker.stop()

    # -- told by connections ----------------------------------------------------------------------

    def refused(self, error: GatewayError) -> None:
        """Bytes that never became a request were answered with `error`."""
        series = self.table.other.series
        if series is not None:
            series.arrived(b"")
            series.head(b"", error.status, str(error.code), 0.0)

    def reset(self, transport: asyncio.Transport) -> None:
        """Close with a TCP reset."""
        sock = transport.get_extra_info("socket")
        if sock is not None:
            try:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            except OSError:
                pass
        transport.abort()


def bind(host: str, port: int) -> list[socket.socket]:
    """Bound, not yet listening sockets for every address of `host`. Raises OSError naming the
    address.
    """
    host = host.strip("[]")
    infos = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_ADDRCONFIG
    )
    sockets: list[socket.socket] = []
    try:
        for family, kind, proto, _, address in dict.fromkeys(infos):
            sock = socket.socket(family, kind, proto)
            sockets.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if port == 0 and len(sockets) > 1:
                # All families share the port the system chose for the first.
                address = (address[0], sockets[0].getsockname()[1], *address[2:])
            sock.bind(address)
            sock.setblocking(False)
    except OSError:
        for sock in sockets:
            sock.close()
        raise
    return sockets
