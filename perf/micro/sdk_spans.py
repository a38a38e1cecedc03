"""Our spans as the SDK's objects, and those encoded by the SDK: what `otlp.py` is measured against
in cost, and held against in content.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags, TraceState
from opentelemetry.trace.status import Status, StatusCode

from smg.observability.tracing.span import Span

_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_OK, _ERROR = Status(), Status(StatusCode.ERROR)


class SdkEncoder:
    """As `smg.observability.tracing.otlp.Encoder`, the long way."""

    def __init__(self, version: str, redact: Callable[[str], str]) -> None:
        name = os.environ.get("OTEL_SERVICE_NAME") or "smg"
        self._resource = Resource.create({"service.name": name, "service.version": version})
        self._scope = InstrumentationScope("smg", version)
        self._redact = redact

    def __call__(self, spans: Sequence[Span]) -> Any:
        """One request with all of `spans`."""
        return encode_spans([self._converted(span) for span in spans])

    def _converted(self, span: Span) -> ReadableSpan:
        state = TraceState.from_header([_text(span.trace_state)])
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
            name: self._redact(_text(value)) if isinstance(value, (str, bytes)) else value
            for name, value in attributes.items()
            if value is not None
        }


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "backslashreplace")
