"""`POST /rerank` and `POST /v1/rerank` (http-api 13.1, 13.2).

Both read the same fields (trap 10); the older route validates its values and needs a model, the
/v1 one keeps the statuses of the plain routes and may come without. Documents and query may be
objects: multi-modal engines take them.
"""

from __future__ import annotations

from typing import Any

from smg.protocols.body import PLAIN, VALIDATED, CheckedBody, Statuses, parse, shown
from smg.protocols.rules import (
    Fault,
    Faults,
    Rule,
    boolean,
    field_faults,
    integer,
    refuse,
    required,
    string,
    wrong_type,
)


class RerankBody(CheckedBody):
    """With what the reply honours: how many results, with documents or not, the caller's id."""

    __slots__ = ("return_documents", "rid", "top_k")

    def __init__(self, model: str, data: dict[str, Any], raw: bytes) -> None:
        super().__init__(model, False, data, raw)
        top_k = data.get("top_k")
        self.top_k: int | None = data.get("top_n") if top_k is None else top_k
        self.return_documents: bool = data.get("return_documents") is not False
        self.rid: str | list[str] | None = data.get("rid")


def _query(value: Any) -> Fault | None:
    return None if value.__class__ in (str, dict) else wrong_type("a string", value)


def _documents(value: Any) -> Fault | None:
    if value.__class__ is not list:
        return wrong_type("an array of strings", value)
    for index, document in enumerate(value):
        if document.__class__ is not str and document.__class__ is not dict:
            return wrong_type("a string", document, f"[{index}]")
    return None


def _rid(value: Any) -> Fault | None:
    if value.__class__ is str:
        return None
    if value.__class__ is list and all(item.__class__ is str for item in value):
        return None
    return wrong_type("a string or an array of strings", value)


RULES: dict[str, Rule] = {
    "query": _query,
    "documents": _documents,
    "top_k": integer(1),
    "top_n": integer(1),
    "return_documents": boolean,
    "rid": _rid,
}
RULES_V1: dict[str, Rule] = {**RULES, "model": string}


def check(raw: bytes, content_type: bytes | None) -> RerankBody:
    """`/rerank`."""
    data = parse(raw, content_type, VALIDATED)
    faults = field_faults(RULES, data)
    model = data.get("model")
    if model.__class__ is not str:
        faults.insert(0, required("model", data, "a string"))
    if "return_documents" in data and data["return_documents"] is None:
        faults.append(("return_documents", wrong_type("true or false", None)))
    query = data.get("query")
    if query.__class__ is str and (not query or query.isspace()):
        faults.append(("query", Fault(f"must not be blank, not {shown(query)}", False)))
    if data.get("documents") == []:
        faults.append(("documents", Fault("must not be an empty array", False)))
    _present(data, faults, VALIDATED)
    return RerankBody(model, data, raw)  # type: ignore[arg-type]


def check_v1(raw: bytes, content_type: bytes | None) -> RerankBody:
    """`/v1/rerank`."""
    data = parse(raw, content_type, PLAIN)
    _present(data, field_faults(RULES_V1, data), PLAIN)
    model = data.get("model")
    return RerankBody("unknown" if model is None else model, data, raw)


def _present(data: dict[str, Any], faults: Faults, statuses: Statuses) -> None:
    if data.get("query") is None:
        faults.append(required("query", data, "a string"))
    if data.get("documents") is None:
        faults.append(required("documents", data, "an array of strings"))
    if faults:
        raise refuse(faults, statuses)
