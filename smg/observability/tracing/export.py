"""Sends finished spans to a collector, OTLP over gRPC, from the SDK's own thread.

The event loop only appends to a bounded queue, and the oldest spans go when it is full: a collector
that is slow, absent or wrong never holds a request up. Needs the extra `tracing`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from typing import Any

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags, TraceState
from opentelemetry.trace.status import Status, StatusCode

from smg.observability.logging import log_fields
from smg.observability.tracing.span import Span

log = logging.getLogger(__name__)

#: spans that wait; about 2 kB each
QUEUE = 4096
DELAY_MS = 500
BATCH = 64
#: spans encoded at once. Encoding takes 0.1 ms a span with the interpreter lock held, which the
#: event loop must wait for; between two slices the network is waited for, without the lock.
SLICE = 8

_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_ANY = SpanContext(1, 1, is_remote=False, trace_flags=_SAMPLED)
_OK, _ERROR = Status(), Status(StatusCode.ERROR)


class SpanExport:
    """Takes spans on the loop, until `close`. `endpoint` is a URL. `redact` blots secrets out of
    texts. `exporter` stands in for the one that speaks OTLP.
    """

    def __init__(
        self,
        endpoint: str,
        version: str,
        redact: Callable[[str], str] = str,
        exporter: SpanExporter | None = None,
    ) -> None:
        _quiet_sdk()
        if exporter is None:
            # Headers, certificates and compression come from OTEL_EXPORTER_OTLP_* as everywhere.
            exporter = OTLPSpanExporter(
                endpoint=endpoint, insecure=not endpoint.startswith("https://")
            )
        self._exporter = _Reporting(exporter, endpoint, _Converter(version, redact))
        self._processor = BatchSpanProcessor(
            self._exporter,
            max_queue_size=QUEUE,
            schedule_delay_millis=DELAY_MS,
            max_export_batch_size=BATCH,
        )

    def emit(self, span: Span) -> None:
        """Take a span that has ended. Never waits, never fails."""
        self._processor.on_end(_Queued(span))

    def close(self) -> None:
        """Send what is queued and stop; blocks for as long as the collector takes, or until
        `abandon`.
        """
        self._processor.shutdown()  # type: ignore[no-untyped-call]

    def abandon(self) -> None:
        """Give up what is not sent yet; from any thread."""
        self._exporter.shutdown()


class _Queued(ReadableSpan):
    """A span in the SDK's queue; its contents are made on the other side."""

    def __init__(self, span: Span) -> None:
        super().__init__(span.name, _ANY, resource=Resource.get_empty())
        self.span = span


class _Converter:
    """Makes the SDK's objects."""

    def __init__(self, version: str, redact: Callable[[str], str]) -> None:
        name = os.environ.get("OTEL_SERVICE_NAME") or "smg"
        # Adds what OTEL_RESOURCE_ATTRIBUTES says.
        self._resource = Resource.create({"service.name": name, "service.version": version})
        self._scope = InstrumentationScope("smg", version)
        self._redact = redact

    def __call__(self, span: Span) -> ReadableSpan:
        state = TraceState.from_header([self._text(span.trace_state)])
        context = SpanContext(
            span.trace_id, span.span_id, is_remote=False, trace_flags=_SAMPLED, trace_state=state
        )
        parent = None
        if span.parent_id:
            parent = SpanContext(
                span.trace_id, span.parent_id, is_remote=True, trace_flags=_SAMPLED
            )
        events = [
            Event(name, self._plain(attributes), span.unix_ns(moment))
            for moment, name, attributes in span.events
        ]
        return ReadableSpan(
            span.name,
            context,
            parent,
            self._resource,
            self._plain(span.attributes),
            events,
            kind=SpanKind.SERVER,
            status=_ERROR if span.failed else _OK,
            start_time=span.unix_ns(span.started),
            end_time=span.unix_ns(span.ended),
            instrumentation_scope=self._scope,
        )

    def _plain(self, attributes: dict[str, Any]) -> dict[str, Any]:
        return {
            name: self._redact(self._text(value)) if isinstance(value, (str, bytes)) else value
            for name, value in attributes.items()
            if value is not None
        }

    @staticmethod
    def _text(value: str | bytes) -> str:
        return value if isinstance(value, str) else value.decode("utf-8", "backslashreplace")


class _Reporting(SpanExporter):
    """Converts, exports, and tells the log when exporting stops working and when it works again,
    once each. Used by the SDK's thread.
    """

    def __init__(self, inner: SpanExporter, endpoint: str, convert: _Converter) -> None:
        self._inner = inner
        self._endpoint = endpoint
        self._convert = convert
        self._lost = 0
        self._down = False
        self._over = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        queued = [span.span for span in spans if isinstance(span, _Queued)]
        sent = 0
        result = SpanExportResult.SUCCESS
        while sent < len(queued) and result is SpanExportResult.SUCCESS:
            result = self._inner.export(list(map(self._convert, queued[sent : sent + SLICE])))
            if result is SpanExportResult.SUCCESS:
                sent += SLICE
        if self._over:
            return result  # given up, which has been said
        if result is not SpanExportResult.SUCCESS:
            self._lost += len(queued) - sent
            if not self._down:
                self._down = True
                log_fields(
                    log,
                    logging.WARNING,
                    "the trace collector does not take spans, they are dropped until it does",
                    endpoint=self._endpoint,
                )
        elif self._down:
            self._down = False
            log_fields(log, logging.INFO, "traces are exported again", lost=self._lost)
            self._lost = 0
        return result

    def shutdown(self) -> None:
        self._over = True
        self._inner.shutdown()


def _quiet_sdk() -> None:
    # It says every few seconds that a collector is down; we say so once. Who sets a level for it
    # (SMG_LOG=opentelemetry=warn) hears all of it.
    logger = logging.getLogger("opentelemetry")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.CRITICAL)
