"""The span of each request, while `--enable-trace` is on: this server takes the place of the plain
one, which knows nothing of it.

A request that is not sampled costs a look at its headers and, where it begins a trace, the header
that tells workers not to sample it either. Whatever is sent on from `exchange.headers` carries the
context, so what reaches workers needs no code of its own. Rules: operations 1.10.
"""

from __future__ import annotations

from collections.abc import Callable
from random import getrandbits, randbytes
from typing import TYPE_CHECKING, Any

from smg._speedups.clock import perf_counter
from smg._speedups.trace_context import TraceIds, find_traceparent, is_unsampled
from smg.observability.log_format import without_secrets
from smg.observability.tracing.context import (
    SAMPLED,
    TRACEPARENT,
    TRACESTATE,
    parse,
    traceparent,
)
from smg.observability.tracing.span import Span
from smg.server.listener import HttpServer
from smg.server.state import ServerState

if TYPE_CHECKING:
    from smg.server.exchange import Exchange, Permit
    from smg.server.routes import Endpoint

GONE = "client_gone"


class RequestTracer:
    """Decides which requests have a span. A caller's decision is obeyed; of the traces that begin
    here the share `ratio` is sampled, by the trace id, as OpenTelemetry's TraceIdRatioBased does.
    """

    def __init__(self, ratio: float, emit: Callable[[Span], None]) -> None:
        self._ids = TraceIds(randbytes(32), round(ratio * (1 << 64)))
        self._emit = emit
        #: of the requests in flight that are sampled
        self.spans: dict[Exchange, RequestSpan] = {}

    def arrived(self, exchange: Exchange) -> None:
        """Read the trace context, decide, and leave in the headers what workers shall see."""
        self._decide(exchange, exchange.headers)

    def _decide(self, exchange: Exchange, headers: list[tuple[bytes, bytes]]) -> None:
        place = find_traceparent(headers, 0)
        if place < 0:
            self._begin(exchange, headers)
        elif not is_unsampled(headers[place][1]) or find_traceparent(headers, place + 1) >= 0:
            self._continue(exchange, headers)

    def _begin(self, exchange: Exchange, headers: list[tuple[bytes, bytes]]) -> None:
        """A trace begins here."""
        parent = self._ids.traceparent()
        headers.append((TRACEPARENT, parent))
        if self._ids.sampled:
            ids = self._ids
            self._open(exchange, Span("http_request", ids.trace_id, ids.span_id, exchange.started))

    def _continue(self, exchange: Exchange, headers: list[tuple[bytes, bytes]]) -> None:
        """The caller names its span, or tries to."""
        values = [value for name, value in headers if name == TRACEPARENT]
        remote = parse(values[0]) if len(values) == 1 else None
        if remote is None:
            # A context that names no span says nothing at all, and its state is of another trace.
            headers[:] = [pair for pair in headers if pair[0] not in (TRACEPARENT, TRACESTATE)]
            self._begin(exchange, headers)
        elif remote.flags & SAMPLED:
            trace_id, caller, flags = remote
            span_id = getrandbits(64) or 1
            span = Span("http_request", trace_id, span_id, exchange.started, caller)
            span.trace_state = b",".join(value for name, value in headers if name == TRACESTATE)
            place = find_traceparent(headers, 0)
            headers[place] = (TRACEPARENT, traceparent(trace_id, span_id, flags))
            self._open(exchange, span)

    def _open(self, exchange: Exchange, span: Span) -> None:
        opened = self.spans[exchange] = RequestSpan(self, exchange, span)
        exchange.permit = opened

    def ended(self, exchange: Exchange, span: Span) -> None:
        """A span is complete."""
        del self.spans[exchange]
        self._emit(span)


class TracedState(ServerState):
    """What connections tell of arrivals, told on to `tracer`: every request but probes."""

    def __init__(self, *args: Any, tracer: RequestTracer, **named: Any) -> None:
        super().__init__(*args, **named)
        self.tracer = tracer

    def request_arrived(self, exchange: Exchange, endpoint: Endpoint, method: bytes) -> None:
        """A head was read and matched to `endpoint` (or not)."""
        ServerState.request_arrived(self, exchange, endpoint, method)
        if not endpoint.probe:
            typed = exchange
            self.tracer._decide(exchange, typed.headers)


class TracedServer(TracedState, HttpServer):
    """An HttpServer that is told of arrivals by way of `TracedState`. That one is compiled to a C
    type, which a server is not: connections reach it without Python.
    """


class RequestSpan:
    """The span of one exchange, which holds it as its permit, and so ends it whatever happens."""

    def __init__(self, tracer: RequestTracer, exchange: Exchange, span: Span) -> None:
        self._tracer = tracer
        self._exchange = exchange
        self._before: Permit | None = None
        self.span = span
        #: when the head of the answer was ready, if the body came later
        self.head_at = 0.0
        #: why it broke off after its head
        self.error = ""
        #: a worker's answer is due or on its way
        self.relaying = False

    def hold(self) -> None:
        """Get in front of the permit that admission gave the request since."""
        permit = self._exchange.permit
        if permit is not self:
            self._before = permit
            self._exchange.permit = self

    def leave(self) -> None:
        """The request is over."""
        exchange, span = self._exchange, self.span
        try:
            if self._before is not None:
                self._before.leave()
        finally:
            self._finish(exchange, span)

    def _finish(self, exchange: Exchange, span: Span) -> None:
        span.ended = perf_counter()
        error = self.error or exchange.error_code
        if not error and (self.relaying or not exchange.status):
            error = GONE
        status = exchange.status
        span.failed = status >= 500 or bool(self.error)
        attributes = span.attributes
        attributes["method"] = exchange.method
        attributes["uri"] = without_secrets(exchange.target)
        attributes["version"] = exchange.version
        attributes["request_id"] = exchange.request_id
        attributes["module"] = "smg"
        attributes["route"] = exchange.route.path
        if status:
            attributes["status_code"] = status
            attributes["latency"] = int(((self.head_at or span.ended) - span.started) * 1e6)
        if error:
            attributes["error"] = error
        self._tracer.ended(exchange, span)
