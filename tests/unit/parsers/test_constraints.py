"""What an engine is held to when a call is forced."""

from __future__ import annotations

import json
from typing import Any

import pytest

from smg.core.errors import GatewayError
from smg.parsers.constraints import chosen, constraint
from tests.unit.parsers.support import tool_parser

LOOKUP = {
    "name": "lookup",
    "parameters": {"type": "object", "properties": {"id": {"type": "integer"}}},
}
PING: dict[str, Any] = {"name": "ping"}
NAMED = {"type": "function", "function": {"name": "lookup"}}


def allowed(mode: str, *names: str) -> dict[str, Any]:
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}


@pytest.mark.parametrize("choice", [None, "auto", "none", allowed("auto", "lookup")])
def test_nothing_is_forced(choice: Any):
    assert constraint(choice, [LOOKUP, PING], "mistral") is None


def test_no_tools_no_constraint():
    assert constraint("required", [], None) is None


@pytest.mark.parametrize("choice", ["required", allowed("required", "lookup", "ping")])
def test_any_of_the_tools(choice: Any):
    found = constraint(choice, [LOOKUP, PING], None)
    assert found is not None
    assert found.type == "json_schema"
    assert json.loads(found.value) == {
        "type": "array",
        "minItems": 1,
        "items": {
            "type": "object",
            "anyOf": [
                {
                    "properties": {
                        "name": {"type": "string", "enum": [tool["name"]]},
                        "parameters": tool.get("parameters", {}),
                    },
                    "required": ["name", "parameters"],
                }
                for tool in (LOOKUP, PING)
            ],
        },
    }


@pytest.mark.parametrize("parser", [None, "qwen", "json"])
def test_one_tool(parser: str | None):
    found = constraint(NAMED, chosen(NAMED, [PING, LOOKUP]), parser)
    assert found is not None
    assert (found.type, json.loads(found.value)) == ("json_schema", LOOKUP["parameters"])


def test_which_tools_are_left():
    tools = [LOOKUP, PING]
    assert chosen("required", tools) == tools
    assert chosen(NAMED, tools) == [LOOKUP]
    assert chosen({"type": "function", "name": "ping"}, tools) == [PING]
    assert chosen(allowed("auto", "ping"), tools) == [PING]
    assert chosen(
        {"type": "allowed_tools", "mode": "auto", "tools": [{"name": "ping"}]}, tools
    ) == [PING]


def test_definitions_are_merged_and_must_agree():
    def tool(name: str, **definitions: Any) -> dict[str, Any]:
        return {"name": name, "parameters": {"type": "object", "$defs": definitions}}

    first = tool("a", X={"type": "string"})
    found = constraint("required", [first, tool("b", Y={}), tool("c", X={"type": "string"})], None)
    assert found is not None
    assert json.loads(found.value)["$defs"] == {"X": {"type": "string"}, "Y": {}}
    assert "$defs" not in json.loads(found.value)["items"]["anyOf"][0]["properties"]["parameters"]
    assert "$defs" in first["parameters"]
    with pytest.raises(GatewayError) as caught:
        constraint("required", [first, tool("b", X={"type": "integer"})], None)
    assert (caught.value.status, caught.value.code) == (400, "invalid_tool_configuration")
    assert "'X' has multiple conflicting schemas" in caught.value.message


def test_the_tag_of_mistral_is_what_its_parser_reads():
    found = constraint("required", [LOOKUP, PING, {"name": ""}], "Mistral")
    assert found is not None
    assert found.type == "structural_tag"
    form = json.loads(found.value)["format"]
    assert (form["type"], form["triggers"], form["at_least_one"]) == (
        "triggered_tags",
        ["[TOOL_CALLS]"],
        True,
    )
    (tag,) = form["tags"]
    calls = tag["content"]["tags"]
    assert [call["content"] for call in calls] == [
        {"type": "json_schema", "json_schema": LOOKUP["parameters"]},
        {"type": "json_schema", "json_schema": {}},
    ]
    inner = tag["content"]["separator"].join(call["begin"] + "{}" + call["end"] for call in calls)
    parsed = tool_parser("mistral").parse(tag["begin"] + inner + tag["end"])
    assert [call.name for call in parsed.calls] == ["lookup", "ping"]
    assert parsed.content == ""


def test_the_tag_of_kimi_is_what_its_parser_reads():
    found = constraint(NAMED, [LOOKUP, {"name": ""}, PING], "kimik2")
    assert found is not None
    form = json.loads(found.value)["format"]
    assert form["triggers"] == ["<|tool_calls_section_begin|>", "<|tool_call_begin|>"]
    begins = [tag["begin"] for tag in form["tags"]]
    assert begins[1] == "<|tool_call_begin|>functions.lookup:0<|tool_call_argument_begin|>"
    assert begins[2].endswith("functions.ping:2<|tool_call_argument_begin|>")
    text = "".join(form["tags"][n]["begin"] + "{}" + form["tags"][n]["end"] for n in (0, 3))
    parsed = tool_parser("kimik2").parse(text)
    assert [call.name for call in parsed.calls] == ["lookup", "ping"]
    assert parsed.content == ""


def test_the_tag_of_inkling_is_what_its_parser_reads():
    found = constraint("required", [LOOKUP, {"name": ""}, PING], "inkling")
    assert found is not None
    form = json.loads(found.value)["format"]
    assert form["triggers"] == ["<|content_invoke_tool_json|>"]
    assert form["tags"][0]["content"] == {
        "type": "json_schema",
        "json_schema": LOOKUP["parameters"],
    }
    parsed = tool_parser("inkling").parse(
        "".join(tag["begin"] + "{}" + tag["end"] for tag in form["tags"])
    )
    assert [(call.name, call.arguments) for call in parsed.calls] == [
        ("lookup", "{}"),
        ("ping", "{}"),
    ]
    assert parsed.content == ""
