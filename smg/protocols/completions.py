"""`POST /v1/completions`: what the gateway checks of the body (http-api 10).

Prompts of token ids pass (trap 4), and so does any number of logprobs; the engine has its own
limit.
"""

from __future__ import annotations

from typing import Any

from smg.protocols.body import VALIDATED, CheckedBody, parse
from smg.protocols.chat import SAMPLING, min_tokens_within, stream_options_need_stream
from smg.protocols.rules import (
    Fault,
    Faults,
    Rule,
    broken,
    field_faults,
    integer,
    refuse,
    required,
    wrong_type,
)

RULES: dict[str, Rule] = {
    **SAMPLING,
    "max_tokens": integer(0),
    "logprobs": integer(0),
    "best_of": integer(0, 20),
}
_RELATED = frozenset({"best_of", "stream_options", "min_tokens", "regex", "ebnf", "json_schema"})
_CONSTRAINTS = ("regex", "ebnf", "json_schema")


def check(raw: bytes, content_type: bytes | None) -> CheckedBody:
    """The checker of this route; see the module."""
    data = parse(raw, content_type, VALIDATED)
    faults = field_faults(RULES, data)
    model = data.get("model")
    if model.__class__ is not str:
        faults.insert(0, required("model", data, "a string"))
    if data.get("prompt").__class__ is not str:
        faults += _prompt_faults(data)
    if faults:
        raise refuse(faults, VALIDATED)
    if not _RELATED.isdisjoint(data):
        _related(data)
    return CheckedBody(model, data.get("stream") is True, data, raw)  # type: ignore[arg-type]


def _prompt_faults(data: dict[str, Any]) -> Faults:
    """Only the first item of an array is looked at: a prompt of ids can have a million."""
    prompt = data.get("prompt")
    if prompt.__class__ is list:
        if not prompt:
            return [("prompt", Fault("must not be an empty array", False))]
        if prompt[0].__class__ in (str, int, list):
            return []
        return [("prompt", wrong_type("a string, a token id or an array", prompt[0], "[0]"))]
    if prompt is None and data.get("prompt_embeds") is not None:
        return []
    return [required("prompt", data, "a string or an array")]


def _related(data: dict[str, Any]) -> None:
    best_of, n = data.get("best_of"), data.get("n")
    if best_of is not None:
        if data.get("stream") is True:
            raise broken("best_of", "is not allowed with stream: true")
        if n is not None and best_of <= n:
            raise broken("best_of", f"must be above n ({n}), not {best_of}")
    stream_options_need_stream(data)
    min_tokens_within(data, "max_tokens")
    given = [name for name in _CONSTRAINTS if data.get(name) is not None]
    if len(given) > 1:
        raise broken(given[0], f"cannot be combined with {given[1]}")
