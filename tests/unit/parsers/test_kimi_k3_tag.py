"""What the tag of kimi_k3 allows is what its parser reads: texts are written by the grammar."""

from __future__ import annotations

import json
import re
from typing import Any

from smg.parsers import Tools
from smg.parsers.constraints import constraint
from tests.unit.parsers.support import tool_parser

SAMPLES = {"number": "7", "integer": "7", "boolean": "true", "object": '{"a": [1]}', "array": "[]"}
REGEXES = {
    "[1-9][0-9]*": "12",
    '[^"<>]+': "free",
    "string|number|boolean|object|array|null": "string",
}


class Writer:
    """Writes one text that a grammar allows; `full`: with all that is optional."""

    def __init__(self, *, full: bool) -> None:
        self.full = full

    def text(self, form: dict[str, Any]) -> str:
        kind = form["type"]
        if kind == "const_string":
            return str(form["value"])
        if kind == "regex":
            sample = REGEXES[form["pattern"]]
            assert re.fullmatch(form["pattern"], sample)
            return sample
        if kind == "any_text":
            assert form["excludes"] == ["<|open|>", "<|close|>", "<|sep|>"]
            return 'a "b"\n'
        if kind == "json_schema":
            return SAMPLES[form["json_schema"]["type"]]
        if kind == "sequence":
            return "".join(map(self.text, form["elements"]))
        if kind == "or":
            return self.text(form["elements"][-1 if self.full else 0])
        if kind == "optional":
            return self.text(form["content"]) if self.full else ""
        if kind == "star":
            return self.text(form["content"]) * (2 if self.full else 0)
        assert kind == "plus", kind
        return self.text(form["content"]) * (2 if self.full else 1)


PROPERTIES = {
    "id": {"type": "integer"},
    "note": {"type": "string"},
    "unit": {"type": "string", "enum": ["c", "f & k"]},
    "deep": {"type": "boolean"},
    "opts": {"type": "object", "properties": {"x": {"$ref": "#/$defs/X"}}},
    "tags": {"type": "array"},
    "none": {"type": "null"},
    "any": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
    'odd "key" & all': {"type": "string"},
}
DEFINITIONS = {"X": {"type": "string"}}
TOOLS = [
    {
        "name": "look&up",
        "parameters": {
            "type": "object",
            "properties": PROPERTIES,
            "required": ["id", "note"],
            "$defs": DEFINITIONS,
        },
    },
    {"name": ""},
    {"name": "ping"},
]


def form(tools: Any = TOOLS) -> dict[str, Any]:
    found = constraint("required", tools, "kimi-k3")
    assert found is not None
    assert found.type == "structural_tag"
    shape = json.loads(found.value)["format"]
    assert isinstance(shape, dict)
    return shape


def parsed(text: str) -> list[tuple[str, Any]]:
    got = tool_parser("kimi_k3", Tools(any_name=True)).parse(text)
    assert got.content == ""
    return [(call.name, json.loads(call.arguments)) for call in got.calls]


def test_where_calls_may_begin():
    shape = form()
    tools = "<|open|>tools<|sep|>"
    think, response = "<|close|>think<|sep|>", "<|close|>response<|sep|>"
    assert shape["triggers"] == [tools, think, response]
    assert [tag["begin"] for tag in shape["tags"]] == [tools, think + tools, response + tools]
    assert {tag["end"] for tag in shape["tags"]} == {"<|close|>tools<|sep|>"}
    assert shape["at_least_one"] is True
    for tag in shape["tags"]:
        assert any(tag["begin"].startswith(trigger) for trigger in shape["triggers"])


def test_the_parser_reads_what_the_tag_allows():
    tag = form([TOOLS[0]])["tags"][0]
    whole = {
        "id": 7,
        "note": 'a "b"\n',
        "unit": "f & k",
        "deep": True,
        "opts": {"a": [1]},
        "tags": [],
        "none": None,
        "any": 'a "b"\n',
        'odd "key" & all': 'a "b"\n',
    }
    short = {"id": 7, "note": 'a "b"\n'}
    for full, expected in ((True, [whole, whole]), (False, [short])):
        text = tag["begin"] + Writer(full=full).text(tag["content"]) + tag["end"]
        assert parsed(text) == [("look&up", arguments) for arguments in expected]


def test_a_tool_without_properties_takes_any_argument():
    tag = form([TOOLS[2]])["tags"][0]
    for full, expected in ((True, [{"free": 'a "b"\n'}] * 2), (False, [{}])):
        text = tag["begin"] + Writer(full=full).text(tag["content"]) + tag["end"]
        assert parsed(text) == [("ping", arguments) for arguments in expected]


def test_every_tool_with_a_name_may_be_called():
    calls = form()["tags"][0]["content"]["content"]["elements"]
    assert [call["elements"][0]["value"] for call in calls] == [
        '<|open|>call tool="look&amp;up" index="',
        '<|open|>call tool="ping" index="',
    ]


def argument(schema: Any) -> tuple[str, dict[str, Any]]:
    """What the tag of an argument says of its type, and the grammar of its value."""
    tools = [{"name": "f", "parameters": {"properties": {"k": schema}, "required": ["k"]}}]
    (slot,) = form(tools)["tags"][0]["content"]["content"]["elements"][0]["elements"][3]["elements"]
    *head, value, end = slot["elements"]
    assert end["value"] == "<|close|>argument<|sep|>"
    told = "".join(part.get("value", "ANY") for part in head)
    found = re.fullmatch(r'<\|open\|>argument key="k" type="(\w+)"<\|sep\|>', told)
    assert found is not None
    return found[1], value


def test_types():
    for kind in ("integer", "number", "boolean", "object", "array"):
        schema = {"type": kind, "description": "d"}
        said = "number" if kind == "integer" else kind
        assert argument(schema) == (said, {"type": "json_schema", "json_schema": schema})
    assert argument({"type": "null"}) == ("null", {"type": "const_string", "value": "null"})
    choices = [{"type": "const_string", "value": "a"}, {"type": "const_string", "value": "b"}]
    assert argument({"enum": ["a", "b"]}) == ("string", {"type": "or", "elements": choices})
    # A text with a marker in it cannot be written: any text is better than a tag that ends early.
    assert argument({"type": "string", "enum": ["<|close|>"]})[1]["type"] == "any_text"
    for odd in ({}, True, {"type": ["string", "null"]}, {"$ref": "#/x"}, {"enum": [1, "a"]}):
        said, value = argument(odd)
        assert (said, value["type"]) == ("ANY", "any_text"), odd


def test_definitions_are_within_reach_of_every_value():
    slots = form([TOOLS[0]])["tags"][0]["content"]["content"]["elements"][0]["elements"][3]
    opts = slots["elements"][4]["content"]["elements"][1]["json_schema"]
    assert opts == {**PROPERTIES["opts"], "$defs": DEFINITIONS}
