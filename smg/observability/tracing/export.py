"""Sends finished spans to a collector, OTLP over gRPC, from the SDK's own thread.

The event loop only appends to a bounded queue, and the oldest spans go when it is full: a collector
that is slow, absent or wrong never holds a request up. Needs the extra `tracing`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanContext, TraceFlags

from smg.observability.logging import log_fields
from smg.observability.tracing.otlp import Encoder
from smg.observability.tracing.span import Span

log = logging.getLogger(__name__)

#: spans that wait; about 2 kB each
QUEUE = 4096
DELAY_MS = 500
BATCH = 64
#: spans encoded at once, with the interpreter lock held, which the event loop must wait for;
#: between two slices the network is waited for, without the lock. A span takes about
#: 4 us (`perf/micro/bench_spans.py`).
SLICE = 32


class Exporter(Protocol):
    """Hands spans to a collector; used by one thread at a time."""

    def export(self, spans: Sequence[Any], /) -> SpanExportResult:
        """Send `Span`s; blocks until they are taken or given up."""

    def shutdown(self) -> None:
        """Give up what is being sent, and whatever comes later; from any thread."""


class SpanExport:
    """Takes spans on the loop, until `close`. `endpoint` is a URL. `redact` blots secrets out of
    texts. `exporter` stands in for the one that speaks OTLP.
    """

    def __init__(
        self,
        endpoint: str,
        version: str,
        redact: Callable[[str], str] = str,
        exporter: Exporter | None = None,
    ) -> None:
        _quiet_sdk()
        self._exporter = _Reporting(exporter or _Otlp(endpoint, Encoder(version, redact)), endpoint)
        self._processor = BatchSpanProcessor(
            self._exporter,
            max_queue_size=QUEUE,
            schedule_delay_millis=DELAY_MS,
            max_export_batch_size=BATCH,
        )

    def emit(self, span: Span) -> None:
        """Take a span that has ended. Never waits, never fails."""
        self._processor.on_end(_Queued(span))  # type: ignore[arg-type]

    def close(self) -> None:
        """Send what is queued and stop; blocks for as long as the collector takes, or until
        `abandon`.
        """
        self._processor.shutdown()  # type: ignore[no-untyped-call]

    def abandon(self) -> None:
        """Give up what is not sent yet; from any thread."""
        self._exporter.shutdown()


class _Queued:
    """As much of an SDK's span as its queue looks at."""

    __slots__ = ("span",)
    context = SpanContext(1, 1, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))

    def __init__(self, span: Span) -> None:
        self.span = span


class _Otlp(OTLPSpanExporter):
    """Channel, retries, headers, certificates and compression are the SDK's, set by
    OTEL_EXPORTER_OTLP_* as everywhere; what is sent is made by `encode`.
    """

    def __init__(self, endpoint: str, encode: Encoder) -> None:
        super().__init__(endpoint=endpoint, insecure=not endpoint.startswith("https://"))
        self._encode = encode

    def _translate_data(self, data: Sequence[Any]) -> Any:
        return self._encode(data)


class _Reporting(SpanExporter):
    """Exports slice by slice, and tells the log when exporting stops working and when it works
    again, once each. Used by the SDK's thread.
    """

    def __init__(self, inner: Exporter, endpoint: str) -> None:
        self._inner = inner
        self._endpoint = endpoint
        self._lost = 0
        self._down = False
        self._over = False

    def export(self, spans: Sequence[Any]) -> SpanExportResult:
        queued = [span.span for span in spans]
        sent = 0
        result = SpanExportResult.SUCCESS
        while sent < len(queued) and result is SpanExportResult.SUCCESS:
            result = self._inner.export(queued[sent : sent + SLICE])
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
