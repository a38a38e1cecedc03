"""What spans are on the wire: the same as the SDK makes of them."""

from __future__ import annotations

from typing import Any

import pytest

from perf.micro.sdk_spans import SdkEncoder
from smg.observability.log_format import Redactor
from smg.observability.tracing.otlp import Encoder
from smg.observability.tracing.span import Span


def span(number: int = 1, parent_id: int = 0, **attributes: Any) -> Span:
    made = Span("http_request", number << 64 | 7, number, started=10.0, parent_id=parent_id)
    made.attributes = attributes
    made.ended = 10.5
    return made


def on_the_wire(request: Any) -> list[Any]:
    return [
        one
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for one in scope.spans
    ]


def test_plain_spans():
    spans = [span(1), span((1 << 64) - 1, parent_id=5, text="é", raw=b"\xff/", none=None)]
    assert Encoder("1.0", str)(spans) == SdkEncoder("1.0", str)(spans)


def test_kinds_of_values():
    made = span(text="a", raw=b"b", yes=True, no=False, zero=0, below=-7, share=0.5, none=None)
    request = Encoder("1.0", str)([made])
    assert request == SdkEncoder("1.0", str)([made])
    (found,) = on_the_wire(request)
    kinds = {pair.key: pair.value.WhichOneof("value") for pair in found.attributes}
    assert kinds == {
        "text": "string_value",
        "raw": "string_value",
        "yes": "bool_value",
        "no": "bool_value",
        "zero": "int_value",
        "below": "int_value",
        "share": "double_value",
    }


def test_events_and_failure():
    made = span(status_code=502)
    made.failed = True
    made.events = [
        (10.25, "request sent", {"url": "http://w", "nothing": None}),
        (10.5, "attempt failed", {}),
    ]
    request = Encoder("1.0", str)([made])
    assert request == SdkEncoder("1.0", str)([made])
    (found,) = on_the_wire(request)
    start = found.start_time_unix_nano
    assert found.end_time_unix_nano - start == 500_000_000
    assert [event.time_unix_nano - start for event in found.events] == [250_000_000, 500_000_000]


@pytest.mark.parametrize(
    "state", [b"", b"a=b", b"a=b,c=d", b" a=b , c=d ", b"no member", b"a=b,,x", b"a=b,a=c", b"\xff"]
)
def test_trace_state(state: bytes):
    made = span()
    made.trace_state = state
    assert Encoder("1.0", str)([made]) == SdkEncoder("1.0", str)([made])


def test_secrets():
    redact = Redactor()
    redact.add("hush", "two\nlines")
    plain = span(1, uri=b"/a", text="b")
    secret = span(2, uri=b"/?x=hush", text="a hush b", both="two\nlines")
    secret.events = [(10.25, "request sent", {"url": "http://hush"})]
    for spans in ([plain], [plain, secret], [secret, plain]):
        request = Encoder("1.0", redact)(spans)
        assert request == SdkEncoder("1.0", redact)(spans)
        assert b"hush" not in request.SerializeToString()
        assert (b"[redacted]" in request.SerializeToString()) == (secret in spans)


def test_a_secret_that_is_told_later():
    redact = Redactor()
    encode = Encoder("1.0", redact)
    assert b"hush" in encode([span(text="hush")]).SerializeToString()
    redact.add("hush")
    assert b"hush" not in encode([span(text="hush")]).SerializeToString()


def test_text_that_is_none():
    """The SDK leaves the attribute out; a request with it could not be sent at all."""
    (found,) = on_the_wire(Encoder("1.0", str)([span(model="\ud800", next="x")]))
    values = {pair.key: pair.value.string_value for pair in found.attributes}
    assert values == {"model": "\\ud800", "next": "x"}


def test_requests_share_nothing():
    encode = Encoder("1.0", str)
    first = encode([span(1)])
    encode([span(2), span(3)])
    assert len(on_the_wire(first)) == 1
    assert on_the_wire(encode([])) == []


def test_the_service_can_be_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "smg-eu")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
    made = span()
    request = Encoder("1.0", str)([made])
    assert request == SdkEncoder("1.0", str)([made])
    pairs = request.resource_spans[0].resource.attributes
    resource = {pair.key: pair.value.string_value for pair in pairs}
    assert resource["service.name"] == "smg-eu"
    assert resource["service.version"] == "1.0"
    assert resource["deployment.environment"] == "test"
