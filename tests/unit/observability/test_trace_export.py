"""From collected spans to the SDK's, and what becomes of those that cannot leave."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from smg.observability.log_format import Redactor
from smg.observability.tracing import export
from smg.observability.tracing.export import SpanExport
from smg.observability.tracing.span import Span


class Scripted(SpanExporter):
    """Keeps what it is given; answers and waits as told."""

    def __init__(self, *results: SpanExportResult) -> None:
        self.results = list(results)
        self.spans: list[ReadableSpan] = []
        self.batches: list[int] = []
        self.go_on = threading.Event()
        self.go_on.set()
        self.asked = threading.Event()
        self.closed = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.asked.set()
        assert self.go_on.wait(20)
        self.spans += spans
        self.batches.append(len(spans))
        return self.results.pop(0) if self.results else SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self.closed += 1


def span(number: int = 1) -> Span:
    made = Span("http_request", trace_id=number, span_id=number, started=10.0)
    made.ended = 10.5
    return made


def test_texts_and_times():
    inner, redact = Scripted(), Redactor()
    redact.add("hush")
    exporter = SpanExport("http://c:1", "1.0", redact, inner)
    made = span()
    made.trace_state = b"a=b"
    made.attributes = {"uri": b"/\xff?x=hush", "latency": 7, "gone": None, "text": "a hush b"}
    made.events = [(10.25, "request sent", {"url": "http://hush", "nothing": None})]
    exporter.emit(made)
    exporter.close()
    (done,) = inner.spans
    assert done.attributes == {
        "uri": "/\\xff?x=[redacted]",
        "latency": 7,
        "text": "a [redacted] b",
    }
    (event,) = done.events
    assert event.attributes == {"url": "http://[redacted]"}
    assert done.start_time is not None
    assert done.end_time is not None
    assert (done.end_time - done.start_time, event.timestamp - done.start_time) == (
        500_000_000,
        250_000_000,
    )
    assert done.parent is None
    assert done.context is not None
    assert done.context.trace_state.to_header() == "a=b"
    assert inner.closed == 1


def test_the_queue_is_bounded_and_keeps_the_latest(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(export, "QUEUE", 100)
    inner = Scripted()
    inner.go_on.clear()
    exporter = SpanExport("http://c:1", "1.0", str, inner)
    for number in range(1, 65):  # a full batch goes to the exporter, which hangs
        exporter.emit(span(number))
    assert inner.asked.wait(20)
    for number in range(65, 1065):
        exporter.emit(span(number))
    inner.go_on.set()
    exporter.close()
    ids = [done.context.span_id for done in inner.spans if done.context is not None]
    assert ids == [*range(1, 65), *range(965, 1065)]
    assert max(inner.batches) == export.SLICE  # however many wait, the loop is let run


def test_an_outage_is_told_once_and_so_is_its_end(caplog: pytest.LogCaptureFixture):
    failed = SpanExportResult.FAILURE
    # The first batch fails at once, the second one in its middle.
    inner = Scripted(failed, SpanExportResult.SUCCESS, failed)
    with caplog.at_level(logging.INFO, export.__name__):
        exporter = SpanExport("http://collector:1", "1.0", str, inner)
        for number in range(1, 4 * export.BATCH + 1):
            exporter.emit(span(number))
        exporter.close()
    slices = export.BATCH // export.SLICE
    assert inner.batches == [export.SLICE] * (1 + 2 + 2 * slices)
    down, up = caplog.records
    assert (down.levelno, down.fields) == (  # type: ignore[attr-defined]
        logging.WARNING,
        {"endpoint": "http://collector:1"},
    )
    assert (up.levelno, up.fields) == (logging.INFO, {"lost": 2 * export.BATCH - export.SLICE})  # type: ignore[attr-defined]


def test_the_service_can_be_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "smg-eu")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
    inner = Scripted()
    exporter = SpanExport("http://c:1", "1.0", str, inner)
    exporter.emit(span())
    exporter.close()
    resource = inner.spans[0].resource.attributes
    assert resource["service.name"] == "smg-eu"
    assert resource["service.version"] == "1.0"
    assert resource["deployment.environment"] == "test"
