"""Old spellings and defaults of a chat request, brought to today's form (http-api 9.3).

Runs between the field rules and the cross-field rules. `data` and the bytes change together; where
nothing has to change the bytes object stays the very same. `max_tokens` is left as the client sent
it.
"""

from __future__ import annotations

from typing import Any

import orjson

from smg.protocols.splice import add_field, add_members, array_items, edit, member_value, members


def normalise(raw: bytes, data: dict[str, Any]) -> bytes:
    """The bytes for the worker; changes `data` alike. Fields must have passed their rules."""
    changes: dict[str, bytes | None] = {}
    _tools(raw, data, changes)
    _tool_choice(data, changes)
    effort = data.get("reasoning_effort")
    if effort.__class__ is int or effort.__class__ is float:
        data["reasoning_effort"] = orjson.dumps(effort).decode()
        changes["reasoning_effort"] = orjson.dumps(data["reasoning_effort"])
    if not changes:
        return raw
    # The usual change, tools without a choice, is one append to the client's bytes.
    if len(changes) == 1 and "tool_choice" in changes:
        choice = changes["tool_choice"]
        if choice is not None and "tool_choice" not in data:
            data["tool_choice"] = orjson.loads(choice)
            return add_field(raw, "tool_choice", choice)
    for key, value in changes.items():
        if value is None:
            data.pop(key, None)
        elif key == "tool_choice":
            data[key] = orjson.loads(value)
    return edit(raw, changes)


def _tools(raw: bytes, data: dict[str, Any], changes: dict[str, bytes | None]) -> None:
    """`functions` become `tools`; a function without parameters takes none."""
    tools = data.get("tools")
    if tools is not None:
        incomplete = [index for index, tool in enumerate(tools) if _lacks_parameters(tool)]
        if incomplete:
            pieces = array_items(member_value(raw, "tools"))
            for index in incomplete:
                pieces[index] = _complete_tool(pieces[index])
                tools[index]["function"]["parameters"] = {}
            changes["tools"] = b"[" + b",".join(pieces) + b"]"
        return
    functions = data.get("functions")
    if functions is None:
        return
    pieces = array_items(member_value(raw, "functions"))
    for index, function in enumerate(functions):
        if "parameters" not in function:
            pieces[index] = add_members(pieces[index], b'"parameters":{}')
            function["parameters"] = {}
        pieces[index] = b'{"type":"function","function":' + pieces[index] + b"}"
    changes["tools"] = b"[" + b",".join(pieces) + b"]"
    changes["functions"] = None
    data["tools"] = [{"type": "function", "function": function} for function in functions]


def _tool_choice(data: dict[str, Any], changes: dict[str, bytes | None]) -> None:
    if data.get("tool_choice") is not None:
        return
    call = data.get("function_call")
    if call is not None:
        if isinstance(call, dict):
            call = {"type": "function", "function": {"name": call.get("name")}}
        changes["tool_choice"] = orjson.dumps(call)
        changes["function_call"] = None
    elif data.get("tools") is not None:
        changes["tool_choice"] = b'"auto"' if data["tools"] else b'"none"'


def _lacks_parameters(tool: dict[str, Any]) -> bool:
    if tool.get("type") != "function":
        return False
    function = tool.get("function")
    return function.__class__ is dict and "parameters" not in function


def _complete_tool(tool: bytes) -> bytes:
    found = [member for member in members(tool, 0) if member.key == "function"][-1]
    function = add_members(tool[found.value : found.end], b'"parameters":{}')
    return tool[: found.value] + function + tool[found.end :]
