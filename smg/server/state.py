"""What connections and exchanges read of their server on every request; `listener.HttpServer`
fills it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from smg.core.deadlines import DeadlineQueue, Ticker
from smg.observability.recent_errors import RecentErrors
from smg.server.cors import Cors
from smg.server.routes import Endpoint, RouteTable
from smg.server.settings import ServerSettings

if TYPE_CHECKING:
    from smg.core.errors import GatewayError
    from smg.server.exchange import Exchange
    from smg.server.protocol import ClientConnection


class AccessLog(Protocol):
    """Who writes the access log."""

    def request(self, exchange: Exchange) -> None:
        """A request head came."""

    def response(self, exchange: Exchange) -> None:
        """The answer's head is out."""

    def unanswered(self, exchange: Exchange) -> None:
        """It ended before the head of an answer: the client left, or we gave up."""

    def broken(
        self, exchange: Exchange, error: str, worker: str, cause: BaseException | str | None
    ) -> None:
        """The body broke after its head, by a fault of `worker` (a URL) or of the time limits."""


class NoLog:
    """Writes nothing."""

    def request(self, exchange: Exchange) -> None:
        """Nothing."""

    def response(self, exchange: Exchange) -> None:
        """Nothing."""

    def unanswered(self, exchange: Exchange) -> None:
        """Nothing."""

    def broken(
        self, exchange: Exchange, error: str, worker: str, cause: BaseException | str | None
    ) -> None:
        """Nothing."""


Authorize = Callable[["Exchange"], "GatewayError | None"]
Expired = Callable[[Any], None]


class ServerState:
    """State shared by all connections of a listener."""

    def __init__(
        self,
        table: RouteTable,
        settings: ServerSettings,
        ticker: Ticker,
        authorize: Authorize | None,
        special_headers: dict[bytes, int],
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.settings = settings
        # Copies of limits that every request is held against: C integers to read.
        self.max_head_bytes = settings.max_head_bytes
        self.max_headers = settings.max_headers
        self.max_target_bytes = settings.max_target_bytes
        self.max_payload_size = settings.max_payload_size
        self.table = table
        self.ticker = ticker
        #: called for routes that are not public; None while no keys are configured
        self.authorize = authorize
        self.special_headers = special_headers
        #: who writes the access log, whether it wants request heads, and from which status on
        #: answers
        self.access_log: AccessLog = NoLog()
        self.log_requests = False
        self.log_from_status = 1000
        #: what clients were told lately
        self.recent_errors = RecentErrors()
        self.connections: set[ClientConnection] = set()
        #: requests from their head to the last byte of their answer
        self.exchanges: dict[Exchange, None] = {}
        self.handler_tasks: set[asyncio.Task[Any]] = set()
        self.draining = False
        origins = settings.cors_allowed_origins
        self.cors = Cors(origins) if origins else None

    def set_deadlines(self, head: Expired, body: Expired, idle: Expired, linger: Expired) -> None:
        """The inbound limits, and what to call on a connection that broke one."""
        s, ticker = self.settings, self.ticker
        self.head_deadlines = DeadlineQueue(ticker, s.header_read_timeout, head)
        self.body_deadlines = DeadlineQueue(ticker, s.body_stall_timeout, body)
        self.idle_deadlines = DeadlineQueue(ticker, s.idle_timeout, idle)
        self.linger_deadlines = DeadlineQueue(ticker, s.linger, linger)

    def request_arrived(self, exchange: Exchange, endpoint: Endpoint, method: bytes) -> None:
        """A head was read and matched to `endpoint` (or not)."""
        self.exchanges[exchange] = None
        series = endpoint.series
        if series is not None:
            series.arrived(method)
        if self.log_requests:
            self.access_log.request(exchange)
