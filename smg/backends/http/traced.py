"""Relaying while `--enable-trace` is on: a request that has a span tells it what happens on the way
to the worker. Requests without one take the plain relays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from smg.backends.http.relay import Relay

if TYPE_CHECKING:
    from smg._speedups.head import ReplyHead
    from smg.backends.http.context import RelayContext
    from smg.backends.http.metered import Meter
    from smg.core.errors import UpstreamError
    from smg.protocols.body import CheckedBody
    from smg.server.exchange import Exchange
    from smg.server.tracing import RequestSpan
    from smg.upstream.connection import UpstreamConnection

Start = Callable[["Exchange"], None]
Spans = Mapping["Exchange", "RequestSpan"]


class Backend(Protocol):
    """What makes the start functions of inference routes."""

    def route(
        self,
        endpoint: str,
        path: str,
        meter: Meter | None = None,
        wrap: Callable[[type[Any]], type[Any]] | None = None,
    ) -> Start:
        """See `HttpBackend`."""
        ...


def traced_route(
    backend: Backend, spans: Spans, endpoint: str, path: str, meter: Meter | None = None
) -> Start:
    """The start function of an inference route. `spans`: those of the requests in flight."""
    plain = backend.route(endpoint, path, meter)
    traced = backend.route(endpoint, path, meter, lambda relay: traced_class(relay, spans))

    def start(exchange: Exchange) -> None:
        # Most of the time there are none.
        (traced if spans and exchange in spans else plain)(exchange)

    return start


def held(start: Start, spans: Spans) -> Start:
    """`start`, behind whatever gives requests a permit: it lets the span end with them."""

    def starts(exchange: Exchange) -> None:
        if spans and exchange in spans:
            spans[exchange].hold()
        start(exchange)

    return starts


def traced_class(relay: type[Any], spans: Spans) -> type[Any]:
    """A kind of relay whose steps are events of the request's span."""
    bases = (TracedRelay,) if relay is Relay else (TracedRelay, relay)
    return type(f"Traced{relay.__name__}", bases, {"spans": spans})


class TracedRelay(Relay):
    """Stands before another kind of relay, or is a plain one; made by `traced_class`."""

    spans: ClassVar[Spans]

    def __init__(
        self,
        backend: RelayContext,
        exchange: Exchange,
        body: CheckedBody,
        endpoint: str,
        path: str,
        *more: Any,
    ) -> None:
        super().__init__(backend, exchange, body, endpoint, path, *more)
        self._traced = self.spans[exchange]
        self._traced.relaying = True
        self._traced.span.attributes["model"] = self.model

    def _event(self, name: str, **attributes: Any) -> None:
        worker = self._worker
        url = None if worker is None else worker.url
        self._traced.span.event(name, url=url, **attributes)

    def _send(self, conn: UpstreamConnection) -> None:
        super()._send(conn)
        leg = getattr(self, "_leg", None)
        if leg is None or self._worker is None:
            self._event("request sent")
        else:  # to a pair of workers
            urls = {"prefill_url": leg.worker.url, "decode_url": self._worker.url}
            self._traced.span.event("request sent", **urls)

    def upstream_head(self, conn: UpstreamConnection, head: ReplyHead) -> None:
        """Send the head on, or try again."""
        self._event("response received", status_code=head.status)
        super().upstream_head(conn, head)
        if self._head:  # it goes out now, the body follows
            self._traced.head_at = perf_counter()

    def _failed_before_head(self, error: UpstreamError, reused: bool) -> None:
        self._event("attempt failed", error=str(error.code))
        super()._failed_before_head(error, reused)

    def first_byte_late(self) -> None:
        """The worker took the request and says nothing."""
        self._event("attempt failed", error="first_byte_late")
        super().first_byte_late()

    def _break_off(
        self, conn: UpstreamConnection | None, code: str, message: str, error: UpstreamError | None
    ) -> None:
        self._traced.error = code
        super()._break_off(conn, code, message, error)

    def _end(self, evidence: int) -> None:
        self._traced.relaying = False
        super()._end(evidence)
