"""Spans as we write them are what the SDK makes of them, whatever they hold."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from perf.micro.sdk_spans import SdkEncoder
from smg.observability.tracing.otlp import Encoder
from smg.observability.tracing.span import Span

TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.sampled_from(["", "x" * 120, "x" * 130, "é" * 9000]),
)
VALUES = st.one_of(
    TEXTS,
    st.binary(max_size=20),
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.floats(allow_nan=False),
    st.booleans(),
    st.none(),
)
# Attributes and events without a name are left out by the SDK; ours have one.
NAMES = st.text("abcé_", min_size=1, max_size=140)
ATTRIBUTES = st.dictionaries(NAMES, VALUES, max_size=12)


@st.composite
def spans(draw: st.DrawFn) -> Span:
    made = Span(
        draw(NAMES),
        draw(st.integers(1, (1 << 128) - 1)),
        draw(st.integers(1, (1 << 64) - 1)),
        started=10.0,
        parent_id=draw(st.one_of(st.just(0), st.integers(1, (1 << 64) - 1))),
    )
    made.attributes = draw(ATTRIBUTES)
    made.ended = draw(st.floats(10.0, 5000.0))
    made.failed = draw(st.booleans())
    moments = st.floats(10.0, 5000.0)
    events: list[tuple[float, str, dict[str, Any]]] = draw(
        st.lists(st.tuples(moments, NAMES, ATTRIBUTES), max_size=4)
    )
    made.events = events
    return made


def marked(text: str) -> str:
    return text.replace("xx", "<redacted>").replace("é", "")


@settings(max_examples=150, deadline=None)
@given(st.lists(spans(), min_size=1, max_size=4))
def test_the_same_as_the_sdk(given: list[Span]) -> None:
    for redact in (str, marked):
        assert Encoder("1", redact)(given) == SdkEncoder("1", redact)(given)
