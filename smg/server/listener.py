"""The listening side: sockets, the set of open connections, the deadlines they share, and draining."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

from smg.core.deadlines import DeadlineQueue, Ticker
from smg.core.errors import GatewayError
from smg.server.cors import Cors
from smg.server.metrics import attach
from smg.server.protocol import ClientConnection, special_headers
from smg.server.routes import Route, RouteTable
from smg.server.settings import ServerSettings

if TYPE_CHECKING:
    from smg.observability.families import GatewayMetrics
    from smg.server.exchange import Exchange


class AccessLog(Protocol):
    """Who writes the access log."""

    def request(self, exchange: Exchange) -> None:
        """A request head came."""

    def response(self, exchange: Exchange) -> None:
        """The answer's head is out."""


class _NoLog:
    def request(self, exchange: Exchange) -> None:
        """Nothing."""

    def response(self, exchange: Exchange) -> None:
        """Nothing."""


Authorize = Callable[["Exchange"], "GatewayError | None"]

#: A burst larger than this many pending connections is refused by the kernel.
BACKLOG = 4096
#: Starting receive buffer of accepted sockets, bytes. The kernel's default makes a large body on a new connection
#: wait for window growth (about 200 ms for 1 MB).
RECEIVE_BUFFER = 1_048_576


class HttpServer:
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
        self.loop = asyncio.get_running_loop()
        self.settings = settings or ServerSettings()
        self.table = RouteTable(routes)
        #: who writes the access log, whether it wants request heads, and from which status on answers
        self.access_log: AccessLog = _NoLog()
        self.log_requests = False
        self.log_from_status = 1000
        #: called for routes that are not public; None while no keys are configured
        self.authorize = authorize
        self.connections: set[ClientConnection] = set()
        #: requests from their head to the last byte of their answer
        self.exchanges: dict[Exchange, None] = {}
        self.handler_tasks: set[asyncio.Task[Any]] = set()
        self.draining = False
        self.special_headers = special_headers(self.settings.request_id_headers)
        origins = self.settings.cors_allowed_origins
        self.cors = Cors(origins) if origins else None
        if metrics is not None:
            attach(self.table, metrics, *([self.cors.preflight] if self.cors else []))
        self._own_ticker = ticker is None
        self.ticker = ticker or Ticker(self.loop)
        self.ticker.start()
        new = DeadlineQueue[ClientConnection]
        s = self.settings
        self.head_deadlines = new(
            self.ticker, s.header_read_timeout, ClientConnection.head_timed_out
        )
        self.body_deadlines = new(
            self.ticker, s.body_stall_timeout, ClientConnection.body_timed_out
        )
        self.idle_deadlines = new(self.ticker, s.idle_timeout, ClientConnection.idle_timed_out)
        self.linger_deadlines = new(self.ticker, s.linger, ClientConnection.linger_timed_out)
        self._listeners: list[asyncio.Server] = []
        self.port = 0

    # -- life ---------------------------------------------------------------------------------------------------

    async def listen(
        self,
        host: str | None = None,
        port: int = 0,
        *,
        sockets: Sequence[socket.socket] = (),
        backlog: int = BACKLOG,
    ) -> None:
        """Accept on `host:port` (port 0 = chosen by the system) or on sockets bound earlier. Raises OSError."""
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

    # -- told by connections ------------------------------------------------------------------------------------

    def request_arrived(self, exchange: Exchange) -> None:
        """A head was read and matched (or not)."""
        self.exchanges[exchange] = None
        series = exchange.endpoint.series
        if series is not None:
            series.arrived(exchange.method)
        if self.log_requests:
            self.access_log.request(exchange)

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
    """Bound, not yet listening sockets for every address of `host`. Raises OSError naming the address."""
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
