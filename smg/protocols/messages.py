"""`POST /v1/messages`, Anthropic's form, relayed to an HTTP worker (responses-mcp-storage 15.1).

Model, messages, max_tokens and stream are checked; blocks, tools and thinking are for the engine.
`max_tokens: 0` is a request Anthropic answers (it warms the cache), so it passes.
"""

from __future__ import annotations

from typing import Any

from smg.protocols.body import VALIDATED, CheckedBody, parse
from smg.protocols.rules import (
    Fault,
    Faults,
    Rule,
    boolean,
    field_faults,
    integer,
    refuse,
    required,
    wrong_type,
)

RULES: dict[str, Rule] = {"max_tokens": integer(0), "stream": boolean}


def check(raw: bytes, content_type: bytes | None) -> CheckedBody:
    """The checker of this route; see the module."""
    data = parse(raw, content_type, VALIDATED)
    faults = field_faults(RULES, data)
    model = data.get("model")
    if model.__class__ is not str:
        faults.insert(0, required("model", data, "a string"))
    elif not model:
        faults.append(("model", Fault("model field is required and cannot be empty", False)))
    faults += _messages_faults(data)
    if data.get("max_tokens") is None:
        faults.append(required("max_tokens", data, "an integer"))
    if faults:
        raise refuse(faults, VALIDATED)
    return CheckedBody(model, data.get("stream") is True, data, raw)  # type: ignore[arg-type]


def _messages_faults(data: dict[str, Any]) -> Faults:
    messages = data.get("messages")
    if messages.__class__ is not list:
        return [required("messages", data, "an array")]
    if not messages:
        text = "messages array is required and cannot be empty"
        return [("messages", Fault(text, False))]
    found: Faults = []
    for index, message in enumerate(messages):
        if message.__class__ is not dict:
            found.append(("messages", wrong_type("an object", message, f"[{index}]")))
        elif message.get("role").__class__ is not str:
            name, fault = required("role", message, "a string")
            found.append(("messages", fault._replace(at=f"[{index}].{name}")))
    return found
