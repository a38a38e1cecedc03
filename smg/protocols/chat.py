"""`POST /v1/chat/completions`: what the gateway checks of the body.

It refuses what OpenAI documents as out of range and what contradicts itself; everything else is
for the engine (http-api 9, 25 #3; docs/reference/request-checks.md lists each decision).
"""

from __future__ import annotations

from typing import Any

from smg._speedups.checks import plain_chat
from smg.protocols.body import VALIDATED, CheckedBody, parse, shown
from smg.protocols.chat_normalise import normalise
from smg.protocols.rules import (
    Fault,
    Rule,
    boolean,
    broken,
    field_faults,
    integer,
    mapping,
    number,
    objects,
    refuse,
    required,
    stop,
    wrong_type,
)


def _reasoning_effort(value: Any) -> Fault | None:
    if value.__class__ in (str, int, float):
        return None
    return wrong_type("a string or a number", value)


def _choice(value: Any) -> Fault | None:
    if value.__class__ is str or value.__class__ is dict:
        return None
    return wrong_type("a string or an object", value)


SAMPLING: dict[str, Rule] = {
    "temperature": number(0, 2),
    "top_p": number(0, 1, above=True),
    "frequency_penalty": number(-2, 2),
    "presence_penalty": number(-2, 2),
    "n": integer(1),
    "stop": stop,
    "stream": boolean,
    "stream_options": mapping,
    "logit_bias": mapping,
}
RULES: dict[str, Rule] = {
    **SAMPLING,
    "max_tokens": integer(1),
    "max_completion_tokens": integer(1),
    "logprobs": boolean,
    "top_logprobs": integer(0, 20),
    "response_format": mapping,
    "reasoning_effort": _reasoning_effort,
    "tools": objects,
    "tool_choice": _choice,
    "functions": objects,
    "function_call": _choice,
}

# Most bodies have none of these and are done after the field rules.
_NORMALISED = {"tools", "functions", "function_call", "reasoning_effort"}
_CONSTRAINTS = {"response_format", "regex", "ebnf"}
_RELATED = {"top_logprobs", "stream_options", "min_tokens", "tool_choice", *_CONSTRAINTS}
_UNUSUAL = frozenset(_NORMALISED | _RELATED)
_CONTENT_REQUIRED = frozenset({"system", "developer", "user", "tool"})


def check(raw: bytes, content_type: bytes | None) -> CheckedBody:
    """On the hot path: most bodies are plain and accepted in C; the rules below make the errors
    and the changes.
    """
    data = parse(raw, content_type, VALIDATED)
    if plain_chat(data):
        return CheckedBody(data["model"], data.get("stream") is True, data, raw)
    faults = field_faults(RULES, data)
    model = data.get("model")
    if model.__class__ is not str:
        faults.insert(0, required("model", data, "a string"))
    messages = data.get("messages")
    if messages.__class__ is list and messages:
        for message in messages:
            if (
                message.__class__ is not dict
                or message.get("role").__class__ is not str
                or message.get("content").__class__ is not str
            ):
                faults += message_faults(messages)
                break
    elif messages.__class__ is list:
        faults.append(("messages", Fault("must not be an empty array", False)))
    else:
        faults.append(required("messages", data, "an array"))
    if faults:
        raise refuse(faults, VALIDATED)
    if not _UNUSUAL.isdisjoint(data):
        raw = normalise(raw, data)
        related(data)
    return CheckedBody(model, data.get("stream") is True, data, raw)  # type: ignore[arg-type]


def message_faults(messages: list[Any]) -> list[tuple[str, Fault]]:
    """Messages are objects with a role; parts, roles and empty content are for the engine."""
    found = []
    for index, message in enumerate(messages):
        fault = _message_fault(message, f"[{index}]")
        if fault is not None:
            found.append(("messages", fault))
    return found


def _message_fault(message: Any, at: str) -> Fault | None:
    if message.__class__ is not dict:
        return wrong_type("an object", message, at)
    if "role" not in message:
        return Fault("required field is missing", True, at + ".role")
    role = message["role"]
    if role.__class__ is not str:
        return wrong_type("a string", role, at + ".role")
    content = message.get("content")
    if content.__class__ in (str, list):
        return None
    if content is not None:
        return wrong_type("a string or an array", content, at + ".content")
    if "content" not in message and role in _CONTENT_REQUIRED:
        return Fault("required field is missing", True, at + ".content")
    return None


def stream_options_need_stream(data: dict[str, Any]) -> None:
    """Cross-field rule of chat and completions."""
    if data.get("stream_options") is not None and data.get("stream") is not True:
        raise broken("stream_options", "is only allowed with stream: true")


def min_tokens_within(data: dict[str, Any], limit: str) -> None:
    """Cross-field rule of chat and completions; `limit` names the field with the maximum."""
    least, most = data.get("min_tokens"), data.get(limit)
    if least.__class__ is int and most.__class__ is int and least > most:
        raise broken("min_tokens", f"must not be above {limit} ({most}), not {least}")


def related(data: dict[str, Any]) -> None:
    """Cross-field rules, in the order of http-api 9.4; the first broken one is reported."""
    if data.get("top_logprobs") is not None and data.get("logprobs") is not True:
        raise broken("top_logprobs", "is only allowed with logprobs: true")
    stream_options_need_stream(data)
    limit = "max_tokens" if data.get("max_completion_tokens") is None else "max_completion_tokens"
    min_tokens_within(data, limit)
    _one_constraint(data)
    if data.get("tool_choice") is not None:
        _tool_choice(data["tool_choice"], data.get("tools") or [])


def _one_constraint(data: dict[str, Any]) -> None:
    wanted = data.get("response_format")
    kind = wanted.get("type") if wanted is not None else None
    as_json = kind == "json_object" or kind == "json_schema"
    if as_json and data.get("regex") is not None:
        raise broken("regex", f"cannot be combined with response_format {kind}")
    if as_json and data.get("ebnf") is not None:
        raise broken("ebnf", f"cannot be combined with response_format {kind}")
    if data.get("regex") is not None and data.get("ebnf") is not None:
        raise broken("regex", "cannot be combined with ebnf")
    if kind == "json_schema":
        schema = wanted.get("json_schema")  # type: ignore[union-attr]
        if isinstance(schema, dict) and schema.get("name") == "":
            raise broken("response_format.json_schema.name", "must not be an empty string")


def _tool_choice(choice: Any, tools: list[dict[str, Any]]) -> None:
    # "auto" without tools asks for nothing; 1.13 lets it pass, and so do we.
    if choice == "none" or choice == "auto":
        return
    if not tools:
        raise broken("tool_choice", "is only allowed when tools are given")
    if not isinstance(choice, dict):
        return
    known = {_function_name(tool) for tool in tools}
    if choice.get("type") == "function":
        name = _function_name(choice)
        if isinstance(name, str) and name not in known:
            raise broken("tool_choice", f"names function {shown(name)}, which is not among tools")
    elif choice.get("type") == "allowed_tools" and "mode" in choice:
        _allowed_tools(choice, known)


def _allowed_tools(choice: dict[str, Any], known: set[str | None]) -> None:
    if choice["mode"] not in ("auto", "required"):
        raise broken("tool_choice.mode", "must be auto or required")
    allowed = choice.get("tools")
    for index, tool in enumerate(allowed if isinstance(allowed, list) else ()):
        if isinstance(tool, dict) and tool.get("type") == "function":
            name = tool.get("name")
            if isinstance(name, str) and name not in known:
                where = f"tool_choice.tools[{index}].name"
                raise broken(where, f"names function {shown(name)}, which is not among tools")


def _function_name(tool: dict[str, Any]) -> str | None:
    function = tool.get("function")
    if tool.get("type") == "function" and isinstance(function, dict):
        name = function.get("name")
        return name if isinstance(name, str) else None
    return None
