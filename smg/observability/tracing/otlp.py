"""Spans as OTLP has them: protobuf messages made of our own spans. The SDK's objects in between
would cost several times what the messages do.

Runs on the SDK's thread with the interpreter lock held, which the event loop waits for. Tests hold
the messages against the SDK's. Needs the extra `tracing`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, TraceState

from smg._speedups.span_message import SpanMessages, member
from smg.observability.tracing.span import Span

Redact = Callable[[str], str]


class Encoder:
    """Makes the requests that export spans. `version` is the service's; its name, and more about
    it, come from OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES. `redact` blots secrets out of
    texts.
    """

    def __init__(self, version: str, redact: Redact) -> None:
        name = os.environ.get("OTEL_SERVICE_NAME") or "smg"
        # Adds what OTEL_RESOURCE_ATTRIBUTES says.
        resource = Resource.create({"service.name": name, "service.version": version})
        scope = InstrumentationScope("smg", version)
        # What all requests have in common, as the SDK writes it.
        any_span = ReadableSpan(
            "", SpanContext(1, 1, is_remote=False), resource=resource, instrumentation_scope=scope
        )
        common = encode_spans([any_span]).resource_spans[0]
        common.scope_spans[0].ClearField("spans")
        self._scope = common.scope_spans[0].SerializeToString()
        common.ClearField("scope_spans")
        self._resource = common.SerializeToString()
        self._redact = redact

    def __call__(self, spans: Sequence[Span]) -> ExportTraceServiceRequest:
        """One request with all of `spans`."""
        request = ExportTraceServiceRequest()
        request.ParseFromString(self._serialized(spans))
        return request

    def _serialized(self, spans: Sequence[Span]) -> bytes:
        """The same as it goes over the wire; nothing but bytes are touched."""
        made = _messages(spans, None)
        # Nearly no span holds a secret: one search in all texts instead of one in each.
        texts = made.texts().decode()
        if self._redact(texts) != texts:
            made = _messages(spans, self._redact)
        # From the inside out: each is a member of the next, `scope_spans` and `resource_spans`.
        scope = self._scope + made.messages()
        resource = self._resource + member(2, scope)
        return member(1, resource)


def _messages(spans: Sequence[Span], redact: Redact | None) -> SpanMessages:
    made = SpanMessages(redact)
    for span in spans:
        made.add(
            span.name,
            span.trace_id,
            span.span_id,
            span.parent_id,
            _state(span.trace_state) if span.trace_state else "",
            span.started,
            span.ended,
            span.wall_ns,
            span.attributes,
            span.events,
            span.failed,
        )
    return made


def _state(value: bytes) -> str:
    """The members of `tracestate` that are well-formed."""
    members = TraceState.from_header([value.decode("utf-8", "backslashreplace")])
    return ",".join(f"{key}={member}" for key, member in members.items())
