"""What an engine is held to for gpt-oss."""

from __future__ import annotations

import json
from typing import Any

import pytest

from smg.core.errors import GatewayError
from smg.parsers.harmony.constraints import harmony_constraint

SCHEMA = {"type": "object", "properties": {"id": {"type": "integer"}}}
TOOLS: list[dict[str, Any]] = [
    {"name": "lookup", "parameters": SCHEMA},
    {"name": ""},
    {"name": "ping"},
]
LOOKUP = {"type": "function", "function": {"name": "lookup"}}
JSON = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}


def form(*given: Any) -> dict[str, Any]:
    found = harmony_constraint(*given)
    assert found is not None
    assert found.type == "structural_tag"
    shape = json.loads(found.value)["format"]
    assert isinstance(shape, dict)
    assert shape["at_least_one"] is True
    for tag in shape["tags"]:
        assert any(tag["begin"].startswith(trigger) for trigger in shape["triggers"])
    return shape


@pytest.mark.parametrize("choice", [None, "auto", "none"])
def test_nothing_is_forced(choice: Any):
    assert harmony_constraint(choice, TOOLS) is None
    assert harmony_constraint(choice, TOOLS, {"type": "text"}) is None
    assert harmony_constraint("required", []) is None


def test_any_of_the_tools():
    shape = form("required", TOOLS)
    assert shape["triggers"] == [
        "<|start|>assistant<|channel|>commentary",
        "<|channel|>commentary",
    ]
    assert shape["stop_after_first"] is False
    ends = "<|constrain|>json<|message|>"
    assert [tag["begin"] for tag in shape["tags"]] == [
        f"{head} to=functions.{name}{ends}"
        for name in ("lookup", "ping")
        for head in shape["triggers"]
    ]
    assert {tag["end"] for tag in shape["tags"]} == {""}
    schemas = [tag["content"]["json_schema"] for tag in shape["tags"]]
    assert schemas == [SCHEMA, SCHEMA, {}, {}]


def test_one_tool():
    shape = form(LOOKUP, TOOLS)
    assert len(shape["tags"]) == 2
    assert shape["stop_after_first"] is True


def test_a_tool_that_there_is_not():
    with pytest.raises(GatewayError) as caught:
        harmony_constraint({"type": "function", "function": {"name": "none"}}, TOOLS)
    assert (caught.value.status, caught.value.code) == (400, "tool_not_found")


@pytest.mark.parametrize(
    ("wanted", "schema"),
    [
        (JSON, SCHEMA),
        ({"type": "json_schema", "name": "n", "schema": SCHEMA}, SCHEMA),  # Responses
        ({"type": "json_object"}, {"type": "object"}),
    ],
)
def test_json_as_the_answer(wanted: Any, schema: Any):
    shape = form("auto", TOOLS, wanted)
    assert shape["stop_after_first"] is False
    thoughts, answer = shape["tags"]
    assert thoughts == {
        "begin": "<|channel|>analysis<|message|>",
        "content": {"type": "any_text"},
        "end": "<|end|>",
    }
    assert answer == {
        "begin": "<|channel|>final<|constrain|>json<|message|>",
        "content": {"type": "json_schema", "json_schema": schema},
        "end": "",
    }


def test_a_forced_call_and_json_as_the_answer_contradict_each_other():
    for more, code in (({}, "invalid_request_parameters"), ({"conflict": "c"}, "c")):
        with pytest.raises(GatewayError) as caught:
            harmony_constraint("required", TOOLS, JSON, **more)
        assert (caught.value.status, caught.value.code) == (400, code)
