"""The HTTP backend: what its relays share, and the functions that routes start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from smg.backends.http.headers import ForwardRules
from smg.backends.http.relay import Relay
from smg.backends.http.rerank import RerankRelay
from smg.backends.http.series import BackendSeries
from smg.backends.http.watch import StreamWatch
from smg.core.deadlines import DeadlineQueue, Ticker
from smg.protocols import CHECKERS

if TYPE_CHECKING:
    from smg.observability.families import GatewayMetrics
    from smg.policies.registry import PolicyRegistry
    from smg.server.exchange import Exchange
    from smg.upstream.client import HttpClient
    from smg.workers import Worker, WorkerRegistry


@dataclass(frozen=True)
class RelaySettings:
    """Seconds; 0 = off."""

    request_timeout: float = 1800
    first_byte_timeout: float = 0
    idle_timeout: int = 0
    sse_keepalive: int = 15


class HttpBackend:
    """Reaches workers over HTTP by relaying bytes."""

    def __init__(
        self,
        *,
        registry: WorkerRegistry,
        policies: PolicyRegistry,
        client: HttpClient,
        ticker: Ticker,
        settings: RelaySettings,
        forward: ForwardRules,
        metrics: GatewayMetrics | None = None,
        worker_failed: Callable[[Worker], None] = lambda worker: None,
    ) -> None:
        self.registry = registry
        self.policies = policies
        self.client = client
        self.forward = forward
        self.series = BackendSeries(metrics) if metrics is not None else None
        #: told when a worker could not be used, so that its next probe comes sooner
        self.worker_failed = worker_failed
        self.deadlines: DeadlineQueue[Relay] = DeadlineQueue(
            ticker, settings.request_timeout, Relay.timed_out
        )
        self.first_byte: DeadlineQueue[Relay] = DeadlineQueue(
            ticker, settings.first_byte_timeout, Relay.timed_out
        )
        self.watch = StreamWatch(ticker, settings.sse_keepalive, settings.idle_timeout)

    def route(self, endpoint: str, path: str) -> Callable[[Exchange], None]:
        """The start function of an inference route: check the body, then relay it to `path` of a worker."""
        check = CHECKERS[endpoint]
        relay = RerankRelay if endpoint in ("rerank", "v1_rerank") else Relay
        label = "rerank" if endpoint == "v1_rerank" else endpoint

        def start(exchange: Exchange) -> None:
            body = check(exchange.body, exchange.content_type)
            exchange.body = b""
            relay(self, exchange, body, label, path).start()

        return start
