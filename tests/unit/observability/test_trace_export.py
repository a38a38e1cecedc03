"""The way of spans to the exporter, and what becomes of those that cannot leave. What they are on
the wire is in `test_otlp.py`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace.export import SpanExportResult

from smg.observability.tracing import export
from smg.observability.tracing.export import SpanExport
from smg.observability.tracing.span import Span


class Scripted:
    """Keeps what it is given; answers and waits as told."""

    def __init__(self, *results: SpanExportResult) -> None:
        self.results = list(results)
        self.spans: list[Span] = []
        self.batches: list[int] = []
        self.go_on = threading.Event()
        self.go_on.set()
        self.asked = threading.Event()
        self.closed = 0

    def export(self, spans: Sequence[Span], /) -> SpanExportResult:
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
    assert inner.closed == 1
    assert [done.span_id for done in inner.spans] == [*range(1, 65), *range(965, 1065)]
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
