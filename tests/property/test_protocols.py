"""Any JSON in any spelling: splices say what they should, checkers raise only RequestError."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from smg.core.errors import GatewayError, RequestError
from smg.protocols import CHECKERS, CheckedBody, RerankBody
from smg.protocols.rerank_reply import reshape
from smg.protocols.routing_text import header_tokens, routing_key, text, tokens
from smg.protocols.splice import add_field, edit, replace_model

JSON = b"application/json"


def checked_or_error(
    endpoint: str, raw: bytes, content_type: bytes | None = JSON
) -> CheckedBody | RequestError:
    try:
        return CHECKERS[endpoint](raw, content_type)
    except RequestError as error:
        return error


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    ["model", '"model":', "\\", '\\"', "{", "}", "[", "]", ",", '"', "tools", "\\u006dodel", "é"]
)
FIELDS = st.sampled_from(
    [
        "model",
        "messages",
        "role",
        "content",
        "prompt",
        "text",
        "input",
        "input_ids",
        "query",
        "documents",
        "stream",
        "tools",
        "tool_choice",
        "functions",
        "function_call",
        "function",
        "parameters",
        "name",
        "type",
        "mode",
        "reasoning_effort",
        "max_tokens",
        "temperature",
        "stop",
        "n",
        "best_of",
        "top_k",
        "top_n",
        "rid",
        "return_documents",
        "stream_options",
        "top_logprobs",
        "logprobs",
        "min_tokens",
        "response_format",
        "json_schema",
        "regex",
        "ebnf",
        "system",
        "conversation",
    ]
)
WORDS = st.sampled_from(["function", "allowed_tools", "auto", "none", "user", "json_schema", ""])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
    | WORDS
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(FIELDS | TEXT, inner, max_size=4),
    max_leaves=12,
)
SPACES = st.text(" \t\r\n", max_size=3)


class Pairs(list[tuple[str, Any]]):
    """An object as its members in order, keys may repeat."""


OBJECTS = st.lists(st.tuples(FIELDS | TEXT, VALUES), max_size=6).map(Pairs)


def spell(value: Any, space: Any, ascii_only: bool) -> str:
    """JSON text of `value` with drawn white space; keys of `Pairs` may repeat."""
    if isinstance(value, Pairs):
        members = value
    elif isinstance(value, dict):
        members = Pairs(value.items())
    elif isinstance(value, list):
        inner = ",".join(space() + spell(item, space, ascii_only) + space() for item in value)
        return "[" + (inner or space()) + "]"
    else:
        return json.dumps(value, ensure_ascii=ascii_only)
    inner = ",".join(
        space()
        + json.dumps(key, ensure_ascii=ascii_only)
        + space()
        + ":"
        + space()
        + spell(item, space, ascii_only)
        + space()
        for key, item in members
    )
    return "{" + (inner or space()) + "}"


@st.composite
def documents(draw: st.DrawFn) -> tuple[bytes, dict[str, Any]]:
    """The bytes of an object, and what a reader without limits on integers makes of them."""
    pool = draw(st.lists(SPACES, min_size=1, max_size=3))
    turn = iter(range(10**9))

    def space() -> str:
        return pool[next(turn) % len(pool)]

    pairs = draw(OBJECTS)
    raw = (space() + spell(pairs, space, draw(st.booleans())) + space()).encode()
    return raw, json.loads(raw)


@given(documents(), TEXT, VALUES)
def test_add_field(document: tuple[bytes, dict[str, Any]], key: str, value: Any) -> None:
    raw, data = document
    assert json.loads(add_field(raw, key, json.dumps(value).encode())) == {**data, key: value}


@given(documents(), st.dictionaries(FIELDS | TEXT, st.none() | VALUES, max_size=4))
def test_edit(document: tuple[bytes, dict[str, Any]], changes: dict[str, Any]) -> None:
    raw, data = document
    encoded = {key: None if v is None else json.dumps(v).encode() for key, v in changes.items()}
    expected = {**data, **changes}
    for key, value in changes.items():
        if value is None:
            del expected[key]
    assert json.loads(edit(raw, encoded)) == expected


@given(documents(), TEXT)
def test_replace_model(document: tuple[bytes, dict[str, Any]], model: str) -> None:
    raw, data = document
    result = replace_model(CheckedBody("m", False, orjson.loads(raw), raw), model)
    assert json.loads(result) == ({**data, "model": model} if "model" in data else data)


@settings(max_examples=300)
@given(documents(), st.sampled_from(sorted(CHECKERS)), st.booleans())
def test_any_object(document: tuple[bytes, dict[str, Any]], endpoint: str, completed: bool) -> None:
    raw, data = document
    if completed:  # most random objects lack what is required; look behind that check too
        for key, value in REQUIRED.items():
            if key not in data:
                raw = add_field(raw, key, value)
    checked = checked_or_error(endpoint, raw)
    if isinstance(checked, RequestError):
        assert checked.status in (400, 422)
        assert checked.code in (400, "json_parse_error")
        assert len(checked.message.encode()) < 2000
        return
    assert orjson.loads(checked.raw) == checked.data
    if endpoint != "chat":
        assert checked.raw is raw
    assert isinstance(text(endpoint, checked.data), str)
    tokens(endpoint, checked.data)


REQUIRED = {
    "model": b'"m"',
    "messages": b'[{"role":"user","content":"x"}]',
    "prompt": b'"x"',
    "input": b'"x"',
    "query": b'"x"',
    "documents": b'["x"]',
    "max_tokens": b"3",
}


TOOLS = st.lists(
    st.fixed_dictionaries(
        {"type": st.just("function") | WORDS},
        optional={"function": st.dictionaries(FIELDS, VALUES, max_size=3) | VALUES},
    ),
    max_size=3,
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "tools": st.none() | TOOLS,
            "functions": st.none()
            | st.lists(st.dictionaries(FIELDS, VALUES, max_size=3), max_size=3),
            "function_call": st.none() | WORDS | st.fixed_dictionaries({"name": TEXT}),
            "tool_choice": st.none() | WORDS,
            "reasoning_effort": SCALARS,
        },
    ),
    SPACES,
)
def test_chat_normalisation_keeps_bytes_and_data_alike(fields: dict[str, Any], space: str) -> None:
    pairs = Pairs(
        [("model", "m"), *fields.items(), ("messages", [{"role": "user", "content": ""}])]
    )
    raw = spell(pairs, lambda: space, True).encode()
    checked = checked_or_error("chat", raw)
    if isinstance(checked, RequestError):
        return
    assert orjson.loads(checked.raw) == checked.data
    after = json.loads(checked.raw)
    if fields.get("tools") is None and fields.get("functions") is not None:
        assert [
            tool["function"]["name"] for tool in after["tools"] if "name" in tool["function"]
        ] == [function["name"] for function in fields["functions"] if "name" in function]
    if after.get("tools") is not None:
        assert after["tool_choice"] is not None
        for tool in after["tools"]:
            if tool["type"] == "function" and isinstance(tool.get("function"), dict):
                assert "parameters" in tool["function"]


@given(
    st.binary(max_size=200) | documents().map(lambda document: document[0][:-1]),
    st.none() | st.just(JSON) | st.binary(max_size=40),
    st.sampled_from(sorted(CHECKERS)),
)
def test_any_bytes(raw: bytes, content_type: bytes | None, endpoint: str) -> None:
    outcome = checked_or_error(endpoint, raw, content_type)
    assert isinstance(outcome, CheckedBody) or outcome.message


@given(VALUES | st.lists(st.dictionaries(st.sampled_from(["score", "index", "document"]), VALUES)))
def test_any_rerank_reply(reply: Any) -> None:
    request = RerankBody("m", {"top_k": 1}, b"")
    raw = json.dumps(reply).encode()
    with contextlib.suppress(GatewayError):
        shaped = orjson.loads(reshape(raw, request, model="m", created=1))
        assert isinstance(shaped["results"], list)


@given(st.dictionaries(FIELDS, VALUES), st.sampled_from(sorted(CHECKERS)))
def test_flattening_takes_any_json(data: dict[str, Any], endpoint: str) -> None:
    assert isinstance(text(endpoint, data), str)
    tokens(endpoint, data)


@given(st.binary(max_size=200) | st.lists(st.integers(0, 2**33)).map(lambda ids: str(ids).encode()))
def test_any_header_value(value: bytes) -> None:
    ids = header_tokens(value)
    assert ids is None or all(0 <= token < 2**32 for token in ids)
    key = routing_key([(b"x-smg-routing-key", value)])
    assert key is None or key == value
