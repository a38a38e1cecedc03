"""The grammar sent to an engine when `tool_choice` forces a call.

A constraint is a type, `json_schema` or `structural_tag`, and a JSON text. Structural tags are for
parsers that are named explicitly: the model then writes its own format, and the parser reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from smg.core.errors import GatewayError
from smg.parsers.kimi_k3_tag import kimi_k3_tag
from smg.parsers.loading import normal
from smg.parsers.structural_tags import (
    Function,
    Json,
    as_text,
    json_schema,
    named,
    parameters,
    tag,
    triggered,
)


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
    how = forced(tool_choice)
    if how is None or not functions:
        return None
    make = STRUCTURAL_TAGS.get(normal(parser)) if parser else None
    if make is not None:
        return Constraint("structural_tag", as_text(make(functions)))
    if how == "named":
        return Constraint("json_schema", as_text(parameters(functions[0])))
    return Constraint("json_schema", as_text(required_schema(functions)))


def forced(tool_choice: Any) -> Literal["required", "named"] | None:
    """Whether the model must call any of the tools, or the one that is named; None: it may not."""
    if tool_choice == "required":
        return "required"
    if not isinstance(tool_choice, Mapping):
        return None
    if tool_choice.get("type") == "allowed_tools":
        allowed = tool_choice.get("allowed_tools", tool_choice)
        return "required" if allowed.get("mode") == "required" else None
    return "named"


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
        schema = dict(parameters(function))
        for key, definition in (schema.pop("$defs", None) or {}).items():
            if definitions.setdefault(key, definition) != definition:
                raise GatewayError(
                    f"Invalid tool configuration: Tool definition {key!r} has multiple "
                    "conflicting schemas",
                    status=400,
                    code="invalid_tool_configuration",
                )
        name = {"type": "string", "enum": [function["name"]]}
        properties = {"name": name, "parameters": schema}
        choices.append({"properties": properties, "required": ["name", "parameters"]})
    calls: Json = {
        "type": "array",
        "minItems": 1,
        "items": {"type": "object", "anyOf": choices},
    }
    if definitions:
        calls["$defs"] = definitions
    return calls


def mistral_tag(functions: Sequence[Function]) -> Json:
    """One array after the marker."""
    calls = [
        tag(f'{{"name": {as_text(name)}, "arguments": ', json_schema(schema), "}")
        for name, schema in named(functions)
    ]
    content = {"type": "tags_with_separator", "separator": ", ", "tags": calls}
    return triggered(["[TOOL_CALLS]"], [tag("[TOOL_CALLS] [", content, "]")])


def kimik2_tag(functions: Sequence[Function]) -> Json:
    """Every call with and without the section's marker: only the first has it."""
    section, call = "<|tool_calls_section_begin|>", "<|tool_call_begin|>"
    tags = []
    for index, function in enumerate(functions):
        if function.get("name"):
            head = f"{call}functions.{function['name']}:{index}<|tool_call_argument_begin|>"
            content = json_schema(parameters(function))
            tags += [tag(begin, content, "<|tool_call_end|>") for begin in (section + head, head)]
    return triggered([section, call], tags)


def inkling_tag(functions: Sequence[Function]) -> Json:
    """Every call in a block of its own."""
    block = "<|content_invoke_tool_json|>"
    tags = [
        tag(f'{block}{{"name":{as_text(name)},"args":', json_schema(schema), "}<|end_message|>")
        for name, schema in named(functions)
    ]
    return triggered([block], tags)


#: parsers whose format an engine can be held to
STRUCTURAL_TAGS: dict[str, Callable[[Sequence[Function]], Json]] = {
    "inkling": inkling_tag,
    "kimi_k3": kimi_k3_tag,
    "kimik2": kimik2_tag,
    "mistral": mistral_tag,
}


def _name(tool: Mapping[str, Any]) -> Any:
    return tool.get("function", tool).get("name")
