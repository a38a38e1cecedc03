"""`POST /v1/responses` relayed to an HTTP worker: only what every engine needs is checked.

The full rules of the API (responses-mcp-storage 2.6) belong to the modes in which the gateway
itself reads the items.
"""

from __future__ import annotations

from typing import Any

from smg.protocols.body import VALIDATED, CheckedBody, parse
from smg.protocols.rules import (
    Fault,
    Faults,
    Rule,
    boolean,
    broken,
    field_faults,
    number,
    refuse,
    required,
    string_or_array,
)

RULES: dict[str, Rule] = {
    "input": string_or_array,
    "stream": boolean,
    "temperature": number(0, 2),
    "top_p": number(0, 1, above=True),
}
# Each of these brings input of its own.
_CONTEXT = ("previous_response_id", "conversation", "prompt")


def check(raw: bytes, content_type: bytes | None) -> CheckedBody:
    """The checker of this route; see the module."""
    data = parse(raw, content_type, VALIDATED)
    faults = field_faults(RULES, data)
    model = data.get("model")
    if model.__class__ is not str:
        faults.insert(0, required("model", data, "a string"))
    given = data.get("input")
    if not given or (given.__class__ is str and given.isspace()):
        faults += _input_faults(given, data)
    if faults:
        raise refuse(faults, VALIDATED)
    if data.get("previous_response_id") is not None and data.get("conversation") is not None:
        raise broken("previous_response_id", "cannot be combined with conversation")
    return CheckedBody(model, data.get("stream") is True, data, raw)  # type: ignore[arg-type]


def _input_faults(given: Any, data: dict[str, Any]) -> Faults:
    if any(data.get(name) is not None for name in _CONTEXT):
        return []
    if given.__class__ is str:
        return [("input", Fault("Input text cannot be empty", False))]
    if given.__class__ is list:
        return [("input", Fault("Input items cannot be empty", False))]
    if given is None:
        return [required("input", data, "a string or an array")]
    return []
