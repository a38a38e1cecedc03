"""The span of each request, while `--enable-trace` is on: this server takes the place of the plain
one, which knows nothing of it.

A request that is not sampled costs a look at its headers and, where it begins a trace, the header
that tells workers not to sample it either. Whatever is sent on from `exchange.headers` carries the
context, so what reaches workers needs no code of its own. Rules: operations 1.10.
"""

from __future__ import annotations

from collections.abc import Callable
from random import getrandbits
from struct import Struct
from time import perf_counter
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from smg.server.exchange import Exchange, Permit
    from smg.server.routes import Endpoint

# Ids are drawn for many requests at once, and cut in C: what every request pays for is one join.
_BATCH = 64
_DRAWN = 24 * _BATCH
_SPLIT = Struct("32s16s" * _BATCH)
GONE = "client_gone"


class TracedServer(HttpServer):
    """Tells `tracer` of every request but probes."""

    def __init__(self, *args: Any, tracer: RequestTracer, **named: Any) -> None:
        super().__init__(*args, **named)
        self._tracer = tracer

    def request_arrived(self, exchange: Exchange, endpoint: Endpoint, method: bytes) -> None:
        """A head was read and matched to `endpoint` (or not)."""
        HttpServer.request_arrived(self, exchange, endpoint, method)  # at half the cost of super()
        if not endpoint.probe:
            self._tracer.arrived(exchange)


class RequestTracer:
    """Decides which requests have a span. A caller's decision is obeyed; of the traces that begin
    here the share `ratio` is sampled, by the trace id, as OpenTelemetry's TraceIdRatioBased does.
    """

    def __init__(self, ratio: float, emit: Callable[[Span], None]) -> None:
        bound = round(ratio * (1 << 64))
        #: sampled are trace ids whose last 16 digits come before these; None: all
        self._bound = None if bound >> 64 else b"%016x" % bound
        self._emit = emit
        self._ids: list[bytes] = []
        #: of the requests in flight that are sampled
        self.spans: dict[Exchange, RequestSpan] = {}

    def arrived(self, exchange: Exchange) -> None:
        """Read the trace context, decide, and leave in the headers what workers shall see."""
        headers = exchange.headers
        for name, _ in headers:
            if name == TRACEPARENT:
                self._continue(exchange)
                return
        self._begin(exchange)

    def _begin(self, exchange: Exchange) -> None:
        """A trace begins here."""
        ids = self._ids
        if not ids:
            drawn = getrandbits(8 * _DRAWN).to_bytes(_DRAWN, "big")
            ids.extend(_SPLIT.unpack(drawn.hex().encode()))
        span_id, trace_id = ids.pop(), ids.pop()
        if self._bound is None or trace_id[16:] < self._bound:
            parent = b"".join((b"00-", trace_id, b"-", span_id, b"-01"))
            started = exchange.started
            self._open(exchange, Span("http_request", int(trace_id, 16), int(span_id, 16), started))
        else:
            parent = b"".join((b"00-", trace_id, b"-", span_id, b"-00"))
        headers = exchange.headers
        headers.append((TRACEPARENT, parent))

    def _continue(self, exchange: Exchange) -> None:
        """The caller names its span."""
        headers = exchange.headers
        values = [value for name, value in headers if name == TRACEPARENT]
        remote = parse(values[0]) if len(values) == 1 else None
        if remote is None:
            # A context that names no span says nothing at all, and its state is of another trace.
            headers[:] = [pair for pair in headers if pair[0] not in (TRACEPARENT, TRACESTATE)]
            self._begin(exchange)
        elif remote.flags & SAMPLED:
            trace_id, caller, flags = remote
            span_id = getrandbits(64) or 1
            span = Span("http_request", trace_id, span_id, exchange.started, caller)
            span.trace_state = b",".join(value for name, value in headers if name == TRACESTATE)
            headers[headers.index((TRACEPARENT, values[0]))] = (
                TRACEPARENT,
                traceparent(trace_id, span_id, flags),
            )
            self._open(exchange, span)

    def _open(self, exchange: Exchange, span: Span) -> None:
        opened = self.spans[exchange] = RequestSpan(self, exchange, span)
        exchange.permit = opened

    def ended(self, exchange: Exchange, span: Span) -> None:
        """A span is complete."""
        del self.spans[exchange]
        self._emit(span)


class RequestSpan:
    """The span of one exchange, which holds it as its permit, and so ends it whatever happens."""

    __slots__ = ("_before", "_exchange", "_tracer", "error", "head_at", "relaying", "span")

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
        span.attributes.update(
            method=exchange.method,
            uri=without_secrets(exchange.target),
            version=exchange.version,
            request_id=exchange.request_id,
            module="smg",
            route=exchange.route.path,
            status_code=status or None,
            latency=int(((self.head_at or span.ended) - span.started) * 1e6) if status else None,
            error=error or None,
        )
        self._tracer.ended(exchange, span)
