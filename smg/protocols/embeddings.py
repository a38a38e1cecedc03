"""`POST /v1/embeddings` and `POST /v1/classify`: a model and an input of any form (http-api 12).

Neither is ever streamed. The chat form of embeddings (`messages` in place of `input`) is left to
the engine.
"""

from __future__ import annotations

from smg.protocols.body import PLAIN, CheckedBody, parse
from smg.protocols.rules import Fault, Faults, refuse, required


def check(raw: bytes, content_type: bytes | None) -> CheckedBody:
    """The checker of this route; see the module."""
    data = parse(raw, content_type, PLAIN)
    model = data.get("model")
    if model.__class__ is str and "input" in data:
        return CheckedBody(model, False, data, raw)
    faults: Faults = []
    if model.__class__ is not str:
        faults.append(required("model", data, "a string"))
    if "input" not in data and "messages" not in data:
        faults.append(("input", Fault("required field is missing", True)))
    if faults:
        raise refuse(faults, PLAIN)
    return CheckedBody(model, False, data, raw)  # type: ignore[arg-type]
