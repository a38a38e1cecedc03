"""`POST /generate`, SGLang's own form (http-api 11).

Only what the gateway itself reads is checked: text, ids, model, stream. Lists are the engine's
batch form (trap 4).
"""

from __future__ import annotations

from typing import Any

from smg.core.errors import RequestError
from smg.protocols.body import PLAIN, CheckedBody, parse
from smg.protocols.rules import (
    Fault,
    Rule,
    boolean,
    field_faults,
    refuse,
    string,
    string_or_array,
    wrong_type,
)


def _array(value: Any) -> Fault | None:
    return None if value.__class__ is list else wrong_type("an array", value)


def _sampling_params(value: Any) -> Fault | None:
    if value.__class__ is dict or value.__class__ is list:
        return None
    return wrong_type("an object or an array of objects", value)


RULES: dict[str, Rule] = {
    "text": string_or_array,
    "input_ids": _array,
    "model": string,
    "stream": boolean,
    "sampling_params": _sampling_params,
    "rid": string_or_array,
    "lora_path": string_or_array,
}


def check(raw: bytes, content_type: bytes | None) -> CheckedBody:
    """The checker of this route; see the module."""
    data = parse(raw, content_type, PLAIN)
    faults = field_faults(RULES, data)
    if faults:
        raise refuse(faults, PLAIN)
    model = data.get("model")
    return CheckedBody("unknown" if model is None else model, data.get("stream") is True, data, raw)


def check_model(raw: bytes, content_type: bytes | None) -> CheckedBody:
    """Like `check`, where several models are served: the request must name one."""
    body = check(raw, content_type)
    if body.model.strip() in ("", "unknown"):
        raise RequestError(
            "model is required: this gateway serves several models",
            code="missing_model",
            param="model",
        )
    return body
