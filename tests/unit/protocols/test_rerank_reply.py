"""The reply a rerank client gets, from either form of a worker's (http-api 13.3, 24 row 47)."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from smg.core.errors import GatewayError
from smg.protocols import CHECKERS, RerankBody
from smg.protocols.rerank_reply import reshape

ARRAY = [
    {"score": 0.2, "document": "b", "index": 1},
    {"score": 0.91, "document": "a", "index": 0, "meta_info": {"id": "x"}, "other": 1},
]


def reply(worker: Any, **fields: Any) -> dict[str, Any]:
    raw = orjson.dumps({"model": "alias", "query": "q", "documents": ["a", "b"], **fields})
    request = CHECKERS["rerank"](raw, b"application/json")
    assert isinstance(request, RerankBody)
    answer = worker if isinstance(worker, bytes) else orjson.dumps(worker)
    shaped: dict[str, Any] = orjson.loads(reshape(answer, request, model="m", created=7))
    return shaped


def test_array_form() -> None:
    assert reply(ARRAY) == {
        "results": [
            {"score": 0.2, "document": "b", "index": 1},
            {"score": 0.91, "document": "a", "index": 0, "meta_info": {"id": "x"}},
        ],
        "model": "m",
        "usage": None,
        "object": "rerank",
        "id": None,
        "created": 7,
    }


def test_object_form() -> None:  # row 47, ours
    shaped = reply(
        {
            "id": "w",
            "model": "w",
            "usage": {"total_tokens": 5},
            "results": [
                {"index": 1, "relevance_score": 1, "document": {"text": "b"}},
                {"index": 0, "relevance_score": 0.5, "document": {"image": "i"}},
            ],
        },
        rid="r",
    )
    assert shaped["results"] == [
        {"score": 1, "document": "b", "index": 1},
        {"score": 0.5, "document": {"image": "i"}, "index": 0},
    ]
    assert (shaped["id"], shaped["model"], shaped["usage"]) == ("r", "m", {"total_tokens": 5})


def test_top_k_and_documents() -> None:
    assert reply(ARRAY, top_k=1)["results"] == [ARRAY[0]]
    assert len(reply(ARRAY, top_k=99)["results"]) == 2
    assert reply(ARRAY, return_documents=False)["results"][0] == {"score": 0.2, "index": 1}
    assert reply([])["results"] == []


@pytest.mark.parametrize(
    "worker",
    [
        b"",
        b"oops",
        b'[{"score":NaN,"index":0}]',
        {"error": "x"},
        {"results": {}},
        "text",
        None,
        [5],
        [{"score": 1}],
        [{"index": 1}],
        [{"score": "1", "index": 0}],
        [{"score": True, "index": 0}],
        [{"score": 1, "index": -1}],
        [{"score": 1, "index": 0.5}],
    ],
)
def test_what_is_no_list_of_results(worker: Any) -> None:
    with pytest.raises(GatewayError) as caught:
        reply(worker)
    error = caught.value
    assert (error.status, error.code) == (500, "rerank_response_build_failed")
    assert not error.retryable
    assert "worker" in error.message


def test_a_broken_result_is_not_hidden_by_top_k() -> None:
    with pytest.raises(GatewayError):
        reply([ARRAY[0], {}], top_k=1)
