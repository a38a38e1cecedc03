"""Chat bodies: what is refused, how it is reported, what passes on purpose (http-api 9, 24, 25)."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from smg.core.errors import GatewayError, RequestError
from smg.protocols import CHECKERS, CheckedBody

JSON = b"application/json"
USER = {"role": "user", "content": "hi"}


def body(**fields: Any) -> bytes:
    return orjson.dumps({"model": "m", "messages": [USER], **fields})


def check(raw: bytes, content_type: bytes | None = JSON) -> CheckedBody:
    return CHECKERS["chat"](raw, content_type)


def refused(raw: bytes, content_type: bytes | None = JSON) -> GatewayError:
    with pytest.raises(RequestError) as caught:
        check(raw, content_type)
    assert caught.value.status == 400
    return caught.value


def test_a_good_body_is_left_alone() -> None:
    raw = body(stream=True, max_tokens=5, temperature=0.7, custom={"x": 1})
    checked = check(raw)
    assert checked.raw is raw
    assert checked.model == "m"
    assert checked.stream is True
    assert checked.data["custom"] == {"x": 1}


@pytest.mark.parametrize(
    "content_type",
    [
        JSON,
        b"application/json; charset=utf-8",
        b"Application/JSON",
        b"application/vnd.api+json ;v=1",
    ],
)
def test_json_content_types(content_type: bytes) -> None:
    assert check(body(), content_type).model == "m"


@pytest.mark.parametrize(
    "content_type",
    [None, b"", b"text/plain", b"text/json", b"application/jsonp", b"text/x+json", b"\xff;", b";"],
)
def test_other_content_types(content_type: bytes | None) -> None:
    assert refused(body(), content_type).code == "json_parse_error"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"  \n",
        b"{",
        b"{invalid",
        b'{"model":"m"}x',
        b"\xef\xbb\xbf{}",
        b'{"model":"\xff"}',
        b'{"model":NaN}',
        b'{"temperature":1e999}',
        b"[" * 100_000,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b"[]",
        b'"text"',
        b"null",
        b"12",
        b"true",
    ],
)
def test_what_is_no_json_object(raw: bytes) -> None:
    error = refused(raw)
    assert error.code == "json_parse_error"
    assert error.type == "invalid_request_error"
    assert len(error.message) < 200


def test_model_is_required() -> None:  # row 6
    error = refused(orjson.dumps({"messages": [USER]}))
    assert (error.code, error.param) == ("json_parse_error", "model")
    assert error.message == "model: required field is missing"
    assert refused(body(model=5)).message == "model: must be a string, not 5"
    assert refused(body(model=None)).param == "model"
    assert check(body(model="")).model == ""


def test_a_rule_names_field_rule_and_value() -> None:  # row 7
    error = refused(body(temperature=2.5))
    assert error.code == 400
    assert type(error.code) is int
    assert error.type == "invalid_request_error"
    assert error.param == "temperature"
    assert error.message == "temperature: must be between 0 and 2, not 2.5"


def test_all_broken_fields_are_reported_together() -> None:
    error = refused(body(temperature=-1, top_p=0, n=0, stop=["a", ""]))
    assert error.code == 400
    for name in ("temperature:", "top_p:", "n:", "stop[1]:"):
        assert name in error.message


def test_wrong_types_come_before_broken_rules() -> None:
    error = refused(body(temperature=9, stream="yes", max_tokens=1.5))
    assert error.code == "json_parse_error"
    assert error.message == (
        'stream: must be true or false, not "yes"; max_tokens: must be an integer, not 1.5'
    )


def test_long_values_are_shortened() -> None:
    assert len(refused(body(stream="x" * 1_000_000)).message) < 100
    assert len(refused(body(stream=["x"] * 100_000)).message) < 100


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("temperature", [0, 2, 1.3, None], [-0.1, 2.01, 10**25]),
        ("top_p", [1, 0.001, None], [0, 0.0, 1.01, -1]),
        ("frequency_penalty", [-2, 2, None], [-2.1, 3]),
        ("presence_penalty", [-2, 2, None], [-2.1, 3]),
        ("n", [1, 11, 128, None], [0, -1]),
        ("max_tokens", [1, 10**9, None], [0, -5]),
        ("max_completion_tokens", [1, None], [0]),
        ("stop", ["a", [], ["a", "b"], ["a"] * 5, None], ["", [""], ["a", ""]]),
    ],
)
def test_ranges(field: str, good: list[Any], bad: list[Any]) -> None:
    for value in good:
        assert check(body(**{field: value})).model == "m"
    for value in bad:
        raw = b'{"model":"m","messages":[{"role":"user","content":"hi"}],"%s":%s}' % (
            field.encode(),
            str(value).encode() if isinstance(value, int) else orjson.dumps(value),
        )
        error = refused(raw)
        assert error.code == 400
        assert error.param is not None
        assert error.param.startswith(field)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", "hot"),
        ("temperature", True),
        ("n", 1.0),
        ("max_tokens", True),
        ("stream", 1),
        ("stop", 5),
        ("stop", [5]),
        ("stream_options", True),
        ("logit_bias", []),
        ("logprobs", 1),
        ("top_logprobs", "3"),
        ("response_format", "json"),
        ("tools", {}),
        ("tools", ["x"]),
        ("tool_choice", 5),
        ("functions", "f"),
        ("function_call", []),
        ("reasoning_effort", True),
        ("reasoning_effort", []),
    ],
)
def test_wrong_types(field: str, value: Any) -> None:
    error = refused(body(**{field: value}))
    assert error.code == "json_parse_error"
    assert error.param is not None
    assert error.param.startswith(field)


@pytest.mark.parametrize(
    ("messages", "code", "param"),
    [
        ([], 400, "messages"),  # row 8
        (None, "json_parse_error", "messages"),
        ("hi", "json_parse_error", "messages"),
        (["hi"], "json_parse_error", "messages[0]"),
        ([USER, {"content": "x"}], "json_parse_error", "messages[1].role"),
        ([USER, {"role": 5, "content": "x"}], "json_parse_error", "messages[1].role"),
        ([USER, {"role": "user"}], "json_parse_error", "messages[1].content"),
        ([{"role": "user", "content": 5}], "json_parse_error", "messages[0].content"),
        ([{"role": "user", "content": {}}], "json_parse_error", "messages[0].content"),
    ],
)
def test_refused_messages(messages: Any, code: str | int, param: str) -> None:
    error = refused(body(messages=messages))
    assert (error.code, error.param) == (code, param)


def test_missing_messages() -> None:
    assert refused(b'{"model":"m"}').message == "messages: required field is missing"
    assert refused(b"{}").message.count("required field is missing") == 2


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "content": ""},  # row 8 as 1.13 and 25 #3 have it
        {"role": "user", "content": []},
        {"role": "user", "content": [{"type": "hologram", "x": 1}]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c"}]},  # row 9
        {"role": "assistant", "tool_calls": []},
        {"role": "critic", "content": "x", "cache_control": {"a": 1}},
        {"role": "tool", "content": "x", "tool_call_id": "c"},
    ],
)
def test_messages_left_to_the_engine(message: dict[str, Any]) -> None:
    raw = body(messages=[message])
    assert check(raw).raw is raw


@pytest.mark.parametrize(
    "fields",
    [
        {"verbosity": "low"},
        {"verbosity": 3},
        {"response_format": {"type": "structural_tag"}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
        {"stop": ["a"] * 5},  # row 10, lenient half
        {"top_k": 0},
        {"min_p": 5},
        {"tool_choice": "auto"},  # row 13 as 1.13 has it
        {"tool_choice": "none"},  # row 13
        {"tool_choice": None},
        {"stream_options": None},
        {"stream_options": {"include_usage": True}, "stream": True},
        {"top_logprobs": 3, "logprobs": True},
        {"seed": 5, "metadata": {"a": 1}, "modalities": ["audio"], "user": 5},
        {"tools": [{"type": "custom", "custom": {"name": "x"}}], "tool_choice": {"type": "custom"}},
    ],
)
def test_left_to_the_engine(fields: dict[str, Any]) -> None:
    raw = body(**fields)
    assert check(raw).raw is raw


TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"top_logprobs": 3}, "top_logprobs"),  # row 11
        ({"top_logprobs": 3, "logprobs": False}, "top_logprobs"),
        ({"stream_options": {}, "stream": None}, "stream_options"),  # row 12
        ({"stream_options": {}}, "stream_options"),
        ({"min_tokens": 5, "max_completion_tokens": 4}, "min_tokens"),
        ({"min_tokens": 5, "max_tokens": 4}, "min_tokens"),
        ({"regex": "a", "response_format": {"type": "json_object"}}, "regex"),
        ({"ebnf": "a", "response_format": {"type": "json_schema"}}, "ebnf"),
        ({"ebnf": "a", "regex": "b"}, "regex"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": ""}}},
            "response_format.json_schema.name",
        ),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool_choice"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "g"}}},
            "tool_choice",
        ),
        (
            {"tools": [TOOL], "tool_choice": {"type": "allowed_tools", "mode": "x"}},
            "tool_choice.mode",
        ),
        (
            {
                "tools": [TOOL],
                "tool_choice": {
                    "type": "allowed_tools",
                    "mode": "auto",
                    "tools": [{"type": "function", "name": "g"}],
                },
            },
            "tool_choice.tools[0].name",
        ),
    ],
)
def test_cross_field_rules(fields: dict[str, Any], param: str) -> None:
    error = refused(body(**fields))
    assert type(error.code) is int
    assert (error.code, error.param) == (400, param)


@pytest.mark.parametrize(
    "choice",
    [
        "auto",
        "required",
        {"type": "function", "function": {"name": "f"}},
        {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
        {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}},
        {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp", "name": "g"}]},
        {"type": "function", "name": "odd"},
    ],
)
def test_good_choices(choice: Any) -> None:
    raw = body(tools=[TOOL], tool_choice=choice)
    assert check(raw).raw is raw


def test_cross_field_rules_stop_at_the_first() -> None:
    error = refused(body(top_logprobs=3, stream_options={}))
    assert error.message == "top_logprobs: is only allowed with logprobs: true"
