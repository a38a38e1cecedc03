"""Completions, generate, embeddings, classify, rerank, responses, messages (http-api 10-13, 24)."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from smg.core.errors import GatewayError, RequestError
from smg.protocols import CHECKERS, CheckedBody, RerankBody

JSON = b"application/json"
GOOD: dict[str, dict[str, Any]] = {
    "chat": {"model": "m", "messages": [{"role": "user", "content": "x"}]},
    "completions": {"model": "m", "prompt": "x"},
    "generate": {"text": "x"},
    "embeddings": {"model": "m", "input": "x"},
    "classify": {"model": "m", "input": "x"},
    "rerank": {"model": "m", "query": "q", "documents": ["a"]},
    "v1_rerank": {"query": "q", "documents": ["a"]},
    "responses": {"model": "m", "input": "x"},
    "messages": {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]},
}
PLAIN = {"generate", "embeddings", "classify", "v1_rerank"}


def check(endpoint: str, **fields: Any) -> CheckedBody:
    raw = orjson.dumps({**GOOD[endpoint], **fields})
    checked = CHECKERS[endpoint](raw, JSON)
    assert checked.raw is raw
    return checked


def refused(endpoint: str, raw: bytes | None = None, **fields: Any) -> GatewayError:
    data = {**GOOD[endpoint], **fields}
    with pytest.raises(RequestError) as caught:
        CHECKERS[endpoint](orjson.dumps(data) if raw is None else raw, JSON)
    return caught.value


def lacking(endpoint: str, name: str) -> GatewayError:
    data = {key: value for key, value in GOOD[endpoint].items() if key != name}
    return refused(endpoint, orjson.dumps(data))


@pytest.mark.parametrize("endpoint", CHECKERS)
def test_statuses_by_family(endpoint: str) -> None:  # row 19
    raw = orjson.dumps(GOOD[endpoint])
    plain = endpoint in PLAIN
    with pytest.raises(RequestError) as caught:
        CHECKERS[endpoint](raw, None)
    assert (caught.value.status, caught.value.code) == (
        (415, "unsupported_media_type") if plain else (400, "json_parse_error")
    )
    for malformed in (b"{invalid", b""):
        error = refused(endpoint, malformed)
        assert (error.status, error.code) == (400, "json_parse_error")
    error = refused(endpoint, b"[]")
    assert (error.status, error.code) == (422 if plain else 400, "json_parse_error")


@pytest.mark.parametrize("endpoint", CHECKERS)
def test_unknown_keys_pass_unchanged(endpoint: str) -> None:
    assert check(endpoint, custom={"a": [1.10]}).data["custom"] == {"a": [1.1]}


@pytest.mark.parametrize("endpoint", CHECKERS)
def test_required_fields(endpoint: str) -> None:
    for name in GOOD[endpoint]:
        if endpoint == "generate":
            continue
        error = lacking(endpoint, name)
        assert error.status == (422 if endpoint in PLAIN else 400)
        assert (error.code, error.param) == ("json_parse_error", name)


@pytest.mark.parametrize("endpoint", ["chat", "completions", "generate", "responses", "messages"])
def test_stream(endpoint: str) -> None:
    assert check(endpoint).stream is False
    assert check(endpoint, stream=None).stream is False
    assert check(endpoint, stream=False).stream is False
    assert check(endpoint, stream=True).stream is True
    assert refused(endpoint, stream="true").param == "stream"


@pytest.mark.parametrize("endpoint", ["embeddings", "classify", "rerank", "v1_rerank"])
def test_never_streamed(endpoint: str) -> None:
    assert check(endpoint, stream=True).stream is False


# --- completions


@pytest.mark.parametrize("prompt", ["", "x", ["a", "b"], [1, 2, 3], [[1], [2]], [0]])
def test_prompts(prompt: Any) -> None:
    check("completions", prompt=prompt)


@pytest.mark.parametrize(
    ("prompt", "code", "param"),
    [
        ([], 400, "prompt"),
        (5, "json_parse_error", "prompt"),
        ({}, "json_parse_error", "prompt"),
        (None, "json_parse_error", "prompt"),
        ([{}], "json_parse_error", "prompt[0]"),
        ([True], "json_parse_error", "prompt[0]"),
    ],
)
def test_refused_prompts(prompt: Any, code: str | int, param: str) -> None:
    error = refused("completions", prompt=prompt)
    assert (error.status, error.code, error.param) == (400, code, param)


@pytest.mark.parametrize(
    "fields",
    [
        {"logprobs": 9},
        {"logprobs": 0},
        {"max_tokens": 0},
        {"n": 200},
        {"best_of": 3, "n": 2},
        {"best_of": 1},
        {"stream": True, "stream_options": {}},
        {"regex": "x", "ebnf": None},
        {"prompt": None, "prompt_embeds": "abc"},
    ],
)
def test_completions_accepts(fields: dict[str, Any]) -> None:
    check("completions", **fields)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_tokens": -1}, "max_tokens"),
        ({"logprobs": -1}, "logprobs"),
        ({"n": 0}, "n"),
        ({"best_of": 21}, "best_of"),
        ({"best_of": 2, "n": 2}, "best_of"),
        ({"best_of": 3, "stream": True}, "best_of"),
        ({"stream_options": {}}, "stream_options"),
        ({"min_tokens": 6, "max_tokens": 5}, "min_tokens"),
        ({"regex": "x", "json_schema": "{}"}, "regex"),
        ({"stop": ""}, "stop"),
        ({"temperature": 3}, "temperature"),
    ],
)
def test_completions_refuses(fields: dict[str, Any], param: str) -> None:
    error = refused("completions", **fields)
    assert (error.code, error.param) == (400, param)
    assert type(error.code) is int


# --- generate


def test_generate_defaults() -> None:  # row 20, single router
    assert check("generate").model == "unknown"
    assert check("generate", model=None).model == "unknown"
    assert check("generate", model="").model == ""
    assert check("generate", model="x").model == "x"


@pytest.mark.parametrize(
    "fields",
    [
        {"text": ["a", "b"], "sampling_params": [{}, {}], "rid": ["1", "2"], "lora_path": [None]},
        {"text": None, "input_ids": [1, 2]},
        {"text": None, "input_ids": [[1], [2]]},
        {"text": None, "input_embeds": [[0.1]]},
        {"sampling_params": {"temperature": 9}},
    ],
)
def test_generate_accepts(fields: dict[str, Any]) -> None:
    check("generate", **fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"text": 5},  # row 19
        {"model": 5},
        {"stream": 1},
        {"input_ids": "1,2"},
        {"sampling_params": "x"},
        {"rid": 5},
        {"lora_path": {}},
    ],
)
def test_generate_refuses(fields: dict[str, Any]) -> None:
    error = refused("generate", **fields)
    assert (error.status, error.code) == (422, "json_parse_error")
    assert error.param in fields


# --- embeddings, classify


def test_embeddings_take_any_input() -> None:
    for given in ("", [], ["a"], [1, 2], [[1]], None, {"x": 1}):
        check("embeddings", input=given)
    raw = b'{"model":"m","messages":[{"role":"user","content":"x"}]}'
    assert CHECKERS["embeddings"](raw, JSON).raw is raw


# --- rerank


def test_rerank_fields() -> None:
    body = check("rerank", top_k=99, return_documents=False, rid="r")  # row 46, second half
    assert isinstance(body, RerankBody)
    assert (body.top_k, body.return_documents, body.rid) == (99, False, "r")
    plain = check("rerank")
    assert isinstance(plain, RerankBody)
    assert (plain.top_k, plain.return_documents, plain.rid) == (None, True, None)


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"query": "  "}, 400, "query"),  # row 46
        ({"query": ""}, 400, "query"),
        ({"documents": []}, 400, "documents"),
        ({"top_k": 0}, 400, "top_k"),
        ({"query": 5}, "json_parse_error", "query"),
        ({"query": None}, "json_parse_error", "query"),
        ({"documents": "a"}, "json_parse_error", "documents"),
        ({"documents": ["a", 5]}, "json_parse_error", "documents[1]"),
        ({"return_documents": None}, "json_parse_error", "return_documents"),
        ({"return_documents": "no"}, "json_parse_error", "return_documents"),
        ({"top_k": "1"}, "json_parse_error", "top_k"),
        ({"rid": 5}, "json_parse_error", "rid"),
        ({"rid": ["a", 5]}, "json_parse_error", "rid"),
    ],
)
def test_rerank_refuses(fields: dict[str, Any], code: str | int, param: str) -> None:
    error = refused("rerank", **fields)
    assert (error.status, error.code, error.param) == (400, code, param)


def test_rerank_reports_all_rules_together() -> None:
    error = refused("rerank", query=" ", documents=[], top_k=0)
    assert error.message.count(";") == 2


def test_v1_rerank_reads_its_fields() -> None:  # trap 10
    body = check("v1_rerank", model="x", top_n=3, return_documents=False, rid=["a"])
    assert isinstance(body, RerankBody)
    assert (body.model, body.top_k, body.return_documents, body.rid) == ("x", 3, False, ["a"])
    body = check("v1_rerank", top_k=2, top_n=3, return_documents=None)
    assert isinstance(body, RerankBody)
    assert (body.model, body.top_k, body.return_documents) == ("unknown", 2, True)
    check("v1_rerank", documents=[], query=" ")


def test_v1_rerank_refuses() -> None:
    assert refused("v1_rerank", query=5).status == 422
    assert refused("v1_rerank", model=5).param == "model"
    error = refused("v1_rerank", top_n=0)
    assert (error.status, error.code, error.param) == (400, 400, "top_n")


# --- responses


@pytest.mark.parametrize(
    "fields",
    [
        {"input": [{"role": "user", "content": "x"}]},
        {"input": [{"type": "anything"}], "tools": [{"type": "new"}], "background": True},
        {"input": "", "previous_response_id": "resp_1"},
        {"input": None, "prompt": {"id": "p"}},
        {"input": [], "conversation": "conv_1"},
    ],
)
def test_responses_accepts(fields: dict[str, Any]) -> None:
    check("responses", **fields)


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"input": " "}, 400, "input"),
        ({"input": []}, 400, "input"),
        ({"input": None}, "json_parse_error", "input"),
        ({"input": 0}, "json_parse_error", "input"),
        ({"input": {}}, "json_parse_error", "input"),
        ({"temperature": 3}, 400, "temperature"),
        ({"previous_response_id": "r", "conversation": "c"}, 400, "previous_response_id"),
    ],
)
def test_responses_refuses(fields: dict[str, Any], code: str | int, param: str) -> None:
    error = refused("responses", **fields)
    assert (error.code, error.param) == (code, param)
    assert error.message.count(param) == 1


# --- messages


def test_messages_accepts() -> None:
    check("messages", max_tokens=0, system=[{"type": "text", "text": "s"}], thinking={"type": "x"})


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"model": ""}, 400, "model"),
        ({"messages": []}, 400, "messages"),
        ({"max_tokens": -1}, 400, "max_tokens"),
        ({"max_tokens": "5"}, "json_parse_error", "max_tokens"),
        ({"max_tokens": None}, "json_parse_error", "max_tokens"),
        ({"messages": "x"}, "json_parse_error", "messages"),
        ({"messages": [5]}, "json_parse_error", "messages[0]"),
        ({"messages": [{"content": "x"}]}, "json_parse_error", "messages[0].role"),
        ({"messages": [{"role": 5}]}, "json_parse_error", "messages[0].role"),
    ],
)
def test_messages_refuses(fields: dict[str, Any], code: str | int, param: str) -> None:
    error = refused("messages", **fields)
    assert (error.code, error.param) == (code, param)
