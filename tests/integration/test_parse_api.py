"""`/parse/function_call` and `/parse/reasoning` of a whole gateway."""

from __future__ import annotations

import os
from typing import Any

import pytest

from smg.parsers.harmony import encoding as harmony
from smg.parsers.registry import TOOL_PARSERS
from tests.doubles.gateway import Gateway

CALL = '<tool_call>{"name": "lookup", "arguments": {"id": 7}}</tool_call>'
LOOKUP = {"function": {"name": "lookup", "arguments": '{"id":7}'}}
TOOLS = [
    {"type": "function", "function": {"name": "lookup", "parameters": {}, "strict": True}},
    {"type": "function", "function": {"name": "ping"}},
]


async def test_calls():
    async with Gateway() as gateway:

        async def parse(text: str, parser: str = "qwen", tools: Any = TOOLS) -> Any:
            body = {"text": text, "tool_call_parser": parser, "tools": tools}
            answer = await gateway.post("/parse/function_call", body)
            assert answer.status == 200, answer.body
            return answer.json()

        assert await parse(CALL) == {"remaining_text": "", "tool_calls": [LOOKUP], "success": True}
        got = await parse(f"Sure.\n{CALL}\n{CALL}", "QWEN")
        assert got["tool_calls"] == [LOOKUP, LOOKUP]
        assert got["remaining_text"].strip() == "Sure."
        # Names that no tool has are calls here.
        assert (await parse(CALL, tools=[]))["tool_calls"] == [LOOKUP]
        assert (await parse(""))["remaining_text"] == ""
        broken = '<tool_call>{"name": '
        assert (await parse(broken))["remaining_text"] == broken
        long = "no call " * 50_000
        got = await parse(long + CALL)
        assert got["tool_calls"] == [LOOKUP]
        assert len(got["remaining_text"]) >= len(long) - 1


async def test_types_of_the_schema_count():
    text = "<tool_call><function=lookup><parameter=id>7</parameter></function></tool_call>"
    properties = {"id": {"type": "string"}}
    function = {"name": "lookup", "parameters": {"properties": properties}}
    body: dict[str, Any] = {"text": text, "tool_call_parser": "qwen-xml", "tools": []}
    async with Gateway() as gateway:
        arguments = []
        for tools in ([], [{"type": "function", "function": function}]):
            answer = await gateway.post("/parse/function_call", {**body, "tools": tools})
            [call] = answer.json()["tool_calls"]
            arguments.append(call["function"]["arguments"])
    assert arguments == ['{"id":7}', '{"id":"7"}']


async def test_reasoning():
    async with Gateway() as gateway:
        for parser, text, normal, thought in (
            ("qwen3", "<think>a</think>b", "b", "a"),
            ("qwen3", "a</think>b", "a</think>b", ""),
            ("deepseek-r1", "a</think>b", "b", "a"),
            ("deepseek_r1", "never ends", "", "never ends"),
        ):
            body = {"text": text, "reasoning_parser": parser}
            answer = await gateway.post("/parse/reasoning", body)
            assert answer.json() == {
                "normal_text": normal,
                "reasoning_text": thought,
                "success": True,
            }


async def test_bad_requests():
    async with Gateway() as gateway:
        full = {"text": "x", "tool_call_parser": "qwen", "tools": []}
        for path, body, status, told in (
            ("function_call", {**full, "tool_call_parser": "none"}, 400, "tool parser: none"),
            ("reasoning", {"text": "x", "reasoning_parser": "qwen"}, 400, "reasoning parser: qwen"),
        ):
            answer = await gateway.post(f"/parse/{path}", body)
            assert answer.status == status
            assert answer.json() == {"error": f"Unknown {told}", "success": False}
            assert answer.header("x-smg-error-code") == "unknown_parser"
        for name in full:
            without = {key: value for key, value in full.items() if key != name}
            for body in (without, {**full, name: None}, {**full, name: 5}):
                answer = await gateway.post("/parse/function_call", body)
                assert (answer.status, answer.json()["error"]["param"]) == (422, name)
        answer = await gateway.post("/parse/reasoning", {"text": "x"})
        assert (answer.status, answer.json()["error"]["param"]) == (422, "reasoning_parser")
        # No content type: curl -d.
        answer = await gateway.request("POST", "/parse/reasoning", b"{")
        assert answer.status == 400


async def test_the_flags_name_the_parsers_of_requests_that_name_none():
    async with Gateway(tool_call_parser="Qwen", reasoning_parser="deepseek-r1") as gateway:
        answer = await gateway.post("/parse/function_call", {"text": CALL, "tools": []})
        assert answer.json()["tool_calls"] == [LOOKUP]
        answer = await gateway.post("/parse/reasoning", {"text": "a</think>b"})
        assert answer.json()["reasoning_text"] == "a"
        body = {"text": CALL, "tool_call_parser": "passthrough", "tools": []}
        answer = await gateway.post("/parse/function_call", body)
        assert answer.json()["tool_calls"] == []


async def test_a_text_that_is_too_long(monkeypatch):
    monkeypatch.setattr("smg.endpoints.parse.MOST_TEXT", 10)
    async with Gateway() as gateway:
        body = {"text": "x" * 11, "reasoning_parser": "base"}
        answer = await gateway.post("/parse/reasoning", body)
        assert answer.status == 400
        assert answer.json()["error"].startswith("Failed to separate reasoning: the text is longer")


async def test_a_parser_that_breaks_is_told(monkeypatch):
    # `run` must not end by itself.
    monkeypatch.setattr(TOOL_PARSERS.kind("passthrough"), "run", lambda self: iter(()))
    async with Gateway() as gateway:
        body = {"text": "x", "tool_call_parser": "passthrough", "tools": []}
        answer = await gateway.post("/parse/function_call", body)
        assert answer.status == 400
        assert answer.json()["error"].startswith("Failed to parse function calls")


@pytest.mark.parametrize("path", ["/parse/function_call", "/parse/reasoning"])
async def test_only_post(path):
    async with Gateway() as gateway:
        answer = await gateway.get(path)
        assert (answer.status, answer.header("allow")) == (405, "POST")


HARMONY = (
    "<|channel|>analysis<|message|>Which id?<|end|>"
    "<|start|>assistant<|channel|>commentary to=functions.lookup <|constrain|>json<|message|>"
    '{"id":7}<|call|>'
)


@pytest.mark.skipif(not harmony.vocabulary_is_there(os.environ), reason="no vocabulary on disk")
async def test_harmony():
    async with Gateway() as gateway:
        body: dict[str, Any] = {"text": HARMONY, "tool_call_parser": "harmony", "tools": TOOLS}
        answer = await gateway.post("/parse/function_call", body)
        assert answer.json() == {"remaining_text": "", "tool_calls": [LOOKUP], "success": True}
        body = {"text": HARMONY + "\n", "reasoning_parser": "gpt-oss"}
        answer = await gateway.post("/parse/reasoning", body)
        assert answer.json() == {
            "normal_text": "",
            "reasoning_text": "Which id?",
            "success": True,
        }
        answer = await gateway.post("/parse/reasoning", {**body, "text": HARMONY + "junk"})
        assert answer.status == 400
        assert answer.json()["error"].startswith("Failed to separate reasoning")


@pytest.mark.parametrize(
    ("path", "name"), [("function_call", "tool_call_parser"), ("reasoning", "reasoning_parser")]
)
async def test_harmony_without_its_vocabulary(path, name, monkeypatch, tmp_path):
    pytest.importorskip("openai_harmony")
    monkeypatch.setattr(harmony, "_loaded", [])
    monkeypatch.setenv("TIKTOKEN_ENCODINGS_BASE", str(tmp_path))
    async with Gateway() as gateway:
        answer = await gateway.post(
            f"/parse/{path}", {"text": HARMONY, name: "harmony", "tools": []}
        )
        assert answer.status == 503
        assert "name that in TIKTOKEN_ENCODINGS_BASE" in answer.json()["error"]
        assert answer.json()["success"] is False
        assert answer.header("x-smg-error-code") == "harmony_not_available"
