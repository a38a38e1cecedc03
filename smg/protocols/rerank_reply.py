"""A worker's rerank reply, reshaped to the gateway's (http-api 13.3).

Workers answer with an array of `{"score", "document", "index"}` (SGLang) or an object with
`results` of `{"index", "relevance_score", "document"}` (vLLM, Jina, Cohere); both are understood
(#47). The order stays the worker's.
"""

from __future__ import annotations

from typing import Any

import orjson

from smg.core.errors import GatewayError
from smg.protocols.rerank import RerankBody


def reshape(reply: bytes, request: RerankBody, *, model: str, created: int) -> bytes:
    """The answer for the client. `model` is the canonical name, `created` is in Unix seconds.

    Raises GatewayError `rerank_response_build_failed` if the reply is neither form.
    """
    try:
        answer = orjson.loads(reply)
    except orjson.JSONDecodeError as error:
        raise _failed(f"not JSON: {error.msg} at {error.pos}") from None
    usage = None
    results = answer
    if isinstance(answer, dict):
        results = answer.get("results")
        usage = answer.get("usage")
    if not isinstance(results, list):
        raise _failed("neither an array nor an object with an array of results")
    # Every result is read, also those cut off: a broken reply must not pass by luck.
    shaped = [_result(item, request.return_documents) for item in results]
    return orjson.dumps(
        {
            "results": shaped if request.top_k is None else shaped[: request.top_k],
            "model": model,
            "usage": usage if isinstance(usage, dict) else None,
            "object": "rerank",
            "id": request.rid,
            "created": created,
        }
    )


def _result(item: Any, with_document: bool) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise _failed("a result is not an object")
    score = item.get("score")
    if score is None:
        score = item.get("relevance_score")
    index = item.get("index")
    if score.__class__ not in (int, float) or index.__class__ is not int or index < 0:
        raise _failed("a result lacks a score or an index")
    shaped = {"score": score}
    document = item.get("document")
    if with_document and document is not None:
        if isinstance(document, dict) and isinstance(document.get("text"), str):
            document = document["text"]
        shaped["document"] = document
    shaped["index"] = index
    if item.get("meta_info") is not None:
        shaped["meta_info"] = item["meta_info"]
    return shaped


def _failed(cause: str) -> GatewayError:
    return GatewayError(
        "The worker's rerank reply is not a list of results",
        code="rerank_response_build_failed",
        cause=cause,
    )
