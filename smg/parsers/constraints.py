"""The grammar sent to an engine when `tool_choice` forces a call.

A constraint is a type, `json_schema` or `structural_tag`, and a JSON text. Structural tags are for
parsers that are named explicitly: the model then writes its own format, and the parser reads it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from smg.core.errors import GatewayError
from smg.parsers.loading import normal

Json = dict[str, Any]
Function = Mapping[str, Any]  #: `name`, `parameters`


@dataclass(frozen=True, slots=True)
class Constraint:
    """What the engine must keep to."""

    type: Literal["json_schema", "structural_tag"]
    value: str


def constraint(
    tool_choice: Any, functions: Sequence[Function], parser: str | None
) -> Constraint | None:
    """For the tools that `tool_choice` leaves (`chosen`). `parser`: the tool parser that a flag or
    a worker names, None if it was told from the model's name. GatewayError 400 for definitions
    that contradict each other.
    """
    forced = _forced(tool_choice)
    if forced is None or not functions:
        return None
    tag = STRUCTURAL_TAGS.get(normal(parser)) if parser else None
    if tag is not None:
        return Constraint("structural_tag", _text(tag(functions)))
    if forced == "named":
        return Constraint("json_schema", _text(_parameters(functions[0])))
    return Constraint("json_schema", _text(required_schema(functions)))


def chosen(tool_choice: Any, functions: Sequence[Function]) -> Sequence[Function]:
    """The functions that `tool_choice` leaves, in their order."""
    if not isinstance(tool_choice, Mapping):
        return functions
    if tool_choice.get("type") == "allowed_tools":
        allowed = tool_choice.get("allowed_tools", tool_choice)
        names = {_name(tool) for tool in allowed.get("tools", ())}
    else:
        names = {_name(tool_choice)}
    return [function for function in functions if function["name"] in names]


def required_schema(functions: Sequence[Function]) -> Json:
    """An array of calls, each `{"name": ..., "parameters": {...}}` of one of the functions."""
    definitions: Json = {}
    choices = []
    for function in functions:
        parameters = dict(_parameters(function))
        for key, definition in (parameters.pop("$defs", None) or {}).items():
            if definitions.setdefault(key, definition) != definition:
                raise GatewayError(
                    f"Invalid tool configuration: Tool definition {key!r} has multiple "
                    "conflicting schemas",
                    status=400,
                    code="invalid_tool_configuration",
                )
        name = {"type": "string", "enum": [function["name"]]}
        properties = {"name": name, "parameters": parameters}
        choices.append({"properties": properties, "required": ["name", "parameters"]})
    schema: Json = {
        "type": "array",
        "minItems": 1,
        "items": {"type": "object", "anyOf": choices},
    }
    if definitions:
        schema["$defs"] = definitions
    return schema


def mistral_tag(functions: Sequence[Function]) -> Json:
    """One array after the marker."""
    calls = [
        _tag(f'{{"name": {_text(name)}, "arguments": ', schema, "}")
        for name, schema in _named(functions)
    ]
    content = {"type": "tags_with_separator", "separator": ", ", "tags": calls}
    return _triggered(
        ["[TOOL_CALLS]"], [{"begin": "[TOOL_CALLS] [", "content": content, "end": "]"}]
    )


def kimik2_tag(functions: Sequence[Function]) -> Json:
    """Every call with and without the section's marker: only the first has it."""
    section, call = "<|tool_calls_section_begin|>", "<|tool_call_begin|>"
    tags = []
    for index, function in enumerate(functions):
        if function.get("name"):
            head = f"{call}functions.{function['name']}:{index}<|tool_call_argument_begin|>"
            schema = _parameters(function)
            tags += [_tag(begin, schema, "<|tool_call_end|>") for begin in (section + head, head)]
    return _triggered([section, call], tags)


def inkling_tag(functions: Sequence[Function]) -> Json:
    """Every call in a block of its own."""
    block = "<|content_invoke_tool_json|>"
    tags = [
        _tag(f'{block}{{"name":{_text(name)},"args":', schema, "}<|end_message|>")
        for name, schema in _named(functions)
    ]
    return _triggered([block], tags)


#: parsers whose format an engine can be held to
STRUCTURAL_TAGS: dict[str, Callable[[Sequence[Function]], Json]] = {
    "inkling": inkling_tag,
    "kimik2": kimik2_tag,
    "mistral": mistral_tag,
}


def _forced(tool_choice: Any) -> Literal["required", "named"] | None:
    if tool_choice == "required":
        return "required"
    if not isinstance(tool_choice, Mapping):
        return None
    if tool_choice.get("type") == "allowed_tools":
        allowed = tool_choice.get("allowed_tools", tool_choice)
        return "required" if allowed.get("mode") == "required" else None
    return "named"


def _name(tool: Mapping[str, Any]) -> Any:
    return tool.get("function", tool).get("name")


def _named(functions: Sequence[Function]) -> list[tuple[str, Any]]:
    return [(f["name"], _parameters(f)) for f in functions if f.get("name")]


def _parameters(function: Function) -> Any:
    schema = function.get("parameters")
    return {} if schema is None else schema


def _tag(begin: str, schema: Any, end: str) -> Json:
    content = {"type": "json_schema", "json_schema": schema}
    return {"begin": begin, "content": content, "end": end}


def _triggered(triggers: list[str], tags: list[Json]) -> Json:
    form = {"type": "triggered_tags", "triggers": triggers, "tags": tags, "at_least_one": True}
    return {"format": form}


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
