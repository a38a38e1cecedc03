"""What an engine is held to for gpt-oss: forced calls, or JSON as the answer.

The model opens a message itself and then must say which; so every tag begins with the head of a
message, and its end is the token that ends the message, which no tag holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from smg.core.errors import RequestError
from smg.parsers.constraints import Constraint, chosen, forced
from smg.parsers.structural_tags import (
    Function,
    Json,
    any_text,
    as_text,
    json_schema,
    named,
    tag,
    triggered,
)

# The first message of an answer has its beginning in the prompt, those after it do not.
_HEADS = ("<|start|>assistant<|channel|>commentary", "<|channel|>commentary")
_ANALYSIS, _FINAL = "<|channel|>analysis", "<|channel|>final"


def harmony_constraint(
    tool_choice: Any,
    functions: Sequence[Function],
    response_format: Any = None,
    *,
    conflict: str = "invalid_request_parameters",
) -> Constraint | None:
    """For all `functions` of a request, and its `response_format` (`text.format` of Responses).

    RequestError: `tool_not_found` for a named function that there is not, `conflict` for a forced
    call together with JSON as the answer, which cannot both be.
    """
    how = forced(tool_choice) if functions else None
    schema = answer_schema(response_format)
    if how is None:
        return None if schema is None else _constraint(answer_tag(schema))
    if schema is not None:
        message = "response_format cannot be used together with a tool_choice that forces a call"
        raise RequestError(message, code=conflict, param="tool_choice")
    left = chosen(tool_choice, functions)
    if not left:
        message = "tool_choice names a function that is not among the tools"
        raise RequestError(message, code="tool_not_found", param="tool_choice")
    return _constraint(calls_tag(left, only_one=how == "named"))


def calls_tag(functions: Sequence[Function], *, only_one: bool) -> Json:
    """Calls of the functions; `only_one`: the answer ends with the first."""
    tags = [
        tag(f"{head} to=functions.{name}<|constrain|>json<|message|>", json_schema(schema), "")
        for name, schema in named(functions)
        for head in _HEADS
    ]
    return triggered(_HEADS, tags, stop_after_first=only_one)


def answer_tag(schema: Any) -> Json:
    """Thoughts as they come, then an answer that fits the schema."""
    tags = [
        tag(f"{_ANALYSIS}<|message|>", any_text(), "<|end|>"),
        tag(f"{_FINAL}<|constrain|>json<|message|>", json_schema(schema), ""),
    ]
    return triggered((_ANALYSIS, _FINAL), tags, stop_after_first=False)


def answer_schema(response_format: Any) -> Any:
    """The schema that a response format asks for, as chat or Responses write it; None: any text."""
    if not isinstance(response_format, Mapping):
        return None
    kind = response_format.get("type")
    if kind == "json_object":
        return {"type": "object"}
    if kind != "json_schema":
        return None
    inner = response_format.get("json_schema", response_format)
    schema = inner.get("schema") if isinstance(inner, Mapping) else None
    return {} if schema is None else schema


def _constraint(form: Json) -> Constraint:
    return Constraint("structural_tag", as_text(form))
