"""The quick look at a caller's `traceparent` never says what the rules do not."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from smg._speedups.trace_context import is_unsampled
from smg.observability.tracing.context import SAMPLED, parse

USUAL = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"


@st.composite
def near_misses(draw: st.DrawFn) -> bytes:
    """The usual form with a few bytes changed."""
    value = bytearray(USUAL)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(value) - 1))
        value[at] = draw(st.one_of(st.sampled_from(b"0123456789abcdefgAF- "), st.integers(0, 255)))
    return bytes(value)


@given(near_misses())
@example(b"00-" + b"0" * 31 + b"1-" + b"0" * 15 + b"1-00")
def test_unsampled_is_what_the_rules_call_so(value: bytes):
    remote = parse(value)
    usual = remote is not None and value.startswith(b"00") and value == value.strip()
    assert is_unsampled(value) == (usual and not remote.flags & SAMPLED)  # type: ignore[union-attr]


@given(st.binary(max_size=80))
def test_anything_else_is_not_the_usual_form(value: bytes):
    assert not is_unsampled(value) or parse(value) is not None
