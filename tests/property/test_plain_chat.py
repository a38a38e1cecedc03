"""The quick acceptance in C never accepts what the full rules would refuse or change."""

from __future__ import annotations

from unittest import mock

import orjson
from hypothesis import given
from hypothesis import strategies as st

from smg._speedups.checks import plain_chat
from smg.core.errors import RequestError
from smg.protocols import chat

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-5, 2**70)
    | st.floats(-5, 5)
    | st.text(max_size=5)
    | st.lists(st.text(max_size=3), max_size=2)
    | st.dictionaries(st.text(max_size=3), st.integers(0, 3), max_size=2)
)
messages = st.lists(
    st.dictionaries(st.sampled_from(["role", "content", "name"]), scalars, max_size=3)
    | st.just({"role": "user", "content": "hi"})
    | scalars,
    max_size=3,
)
fields = st.sampled_from([*chat.RULES, "min_tokens", "regex", "ebnf", "unknown", "user", "model"])
bodies = st.builds(
    lambda extra, model, content: {"model": model, "messages": content, **extra},
    st.dictionaries(fields, scalars, max_size=4),
    st.just("m") | scalars,
    messages | st.just([{"role": "user", "content": "hi"}]),
)


@given(bodies)
def test_agrees_with_the_full_rules(body: dict[str, object]) -> None:
    try:
        raw = orjson.dumps(body)
    except TypeError:  # an integer beyond 64 bits
        return
    with mock.patch.object(chat, "plain_chat", return_value=False):
        try:
            full = chat.check(raw, b"application/json")
        except RequestError:
            full = None
    accepted = plain_chat(orjson.loads(raw))
    if accepted:
        assert full is not None, "refused by the full rules"
        assert full.raw is raw, "changed by the full rules"
        quick = chat.check(raw, b"application/json")
        assert (quick.model, quick.stream, quick.data) == (full.model, full.stream, full.data)


def test_the_usual_body_takes_the_quick_way() -> None:
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "temperature": 0.7,
        "max_tokens": 5,
        "user": "someone",
    }
    assert plain_chat(body)
