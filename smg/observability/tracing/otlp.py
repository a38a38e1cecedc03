"""Spans as OTLP has them: protobuf messages made of our own spans. The SDK's objects in between
would cost several times what the messages do.

Runs on the SDK's thread with the interpreter lock held, which the event loop waits for. Tests hold
the messages against the SDK's. Needs the extra `tracing`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1 import trace_pb2
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, TraceState

from smg.observability.tracing.span import Span

_SERVER = trace_pb2.Span.SPAN_KIND_SERVER
_UNSET = {"code": trace_pb2.Status.STATUS_CODE_UNSET}
_ERROR = {"code": trace_pb2.Status.STATUS_CODE_ERROR}
#: whether the parent is of another process is known; it is
_KNOWN = trace_pb2.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK
_REMOTE = _KNOWN | trace_pb2.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK

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
        self._empty = encode_spans([any_span])
        self._empty.resource_spans[0].scope_spans[0].ClearField("spans")
        self._redact = redact

    def __call__(self, spans: Sequence[Span]) -> ExportTraceServiceRequest:
        """One request with all of `spans`."""
        request = self._request(spans, None)
        # Nearly no span holds a secret: one search in all that is sent instead of one in each text.
        # Texts stand in it as they are, and no byte before them is taken for a part of them.
        sent = request.SerializeToString().decode("utf-8", "replace")
        if self._redact(sent) != sent:
            request = self._request(spans, self._redact)
        return request

    def _request(self, spans: Sequence[Span], redact: Redact | None) -> ExportTraceServiceRequest:
        request = ExportTraceServiceRequest()
        request.CopyFrom(self._empty)
        made = request.resource_spans[0].scope_spans[0].spans
        for span in spans:
            # Dictionaries become messages in place; messages would be copied.
            made.add(
                trace_id=span.trace_id.to_bytes(16, "big"),
                span_id=span.span_id.to_bytes(8, "big"),
                parent_span_id=span.parent_id.to_bytes(8, "big") if span.parent_id else None,
                trace_state=_state(span.trace_state),
                flags=_REMOTE if span.parent_id else _KNOWN,
                name=span.name,
                kind=_SERVER,
                start_time_unix_nano=span.unix_ns(span.started),
                end_time_unix_nano=span.unix_ns(span.ended),
                attributes=_pairs(span.attributes, redact),
                events=[
                    {
                        "name": name,
                        "time_unix_nano": span.unix_ns(moment),
                        "attributes": _pairs(attributes, redact),
                    }
                    for moment, name, attributes in span.events
                ],
                status=_ERROR if span.failed else _UNSET,
            )
        return request


def _pairs(attributes: Mapping[str, Any], redact: Redact | None) -> list[dict[str, Any]]:
    pairs: list[dict[str, Any]] = []
    for name, value in attributes.items():
        # The usual kinds first, without a call: this loop is most of what a span costs here.
        kind = type(value)
        if kind is int:
            made = {"int_value": value}
        elif kind is bytes or kind is str:
            text = _text(value)
            made = {"string_value": text if redact is None else redact(text)}
        elif value is None:
            continue
        else:
            made = {"bool_value" if kind is bool else "double_value": value}
        pairs.append({"key": name, "value": made})
    return pairs


def _text(value: str | bytes) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if value.isascii():
        return value
    # A lone surrogate is text to Python and none to protobuf, which would refuse the whole request.
    return value.encode("utf-8", "backslashreplace").decode()


def _state(value: bytes) -> str:
    """The members of `tracestate` that are well-formed."""
    if not value:
        return ""
    members = TraceState.from_header([_text(value)])
    return ",".join(f"{key}={member}" for key, member in members.items())
