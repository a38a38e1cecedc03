"""Shapes of answers, without sockets: whole and streamed say the same."""

from __future__ import annotations

import json
from typing import Any

import pytest

from smg.core.errors import RequestError
from smg.sim.answers import Answer, chunk
from smg.sim.chat import ChatAnswer
from smg.sim.completions import CompletionAnswer
from smg.sim.generate import GenerateAnswer
from smg.sim.messages import MessageAnswer
from smg.sim.responses import ResponseAnswer
from smg.sim.settings import make
from smg.sim.text import answer_tokens

SETTINGS = make(tokens=5, max_model_len=100)
CHAT = {"messages": [{"role": "user", "content": "Hello there"}]}
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 3}},
        },
    },
}


def plan(kind: Any, data: dict[str, Any]) -> Answer:
    answer: Answer = kind(data, SETTINGS, "sim", b"id1", 1700000000)
    return answer


def whole(kind: Any, data: dict[str, Any], cached: int = 0) -> Any:
    return json.loads(plan(kind, data).body(cached))


def frames(kind: Any, data: dict[str, Any], cached: int = 0) -> list[Any]:
    text = b"".join(plan(kind, {**data, "stream": True}).frames(cached)).decode()
    assert text.endswith("\n\n")
    events = []
    for block in text[:-2].split("\n\n"):
        line = block.split("\n")[-1]
        assert line.startswith("data: ")
        events.append(line[6:] if line == "data: [DONE]" else json.loads(line[6:]))
    return events


def test_chat_whole_and_streamed_agree():
    answer = whole(ChatAnswer, CHAT, cached=1)
    assert answer["object"] == "chat.completion"
    assert answer["choices"][0]["finish_reason"] == "stop"
    usage = answer["usage"]
    assert usage["completion_tokens"] == 5
    assert usage["total_tokens"] == usage["prompt_tokens"] + 5
    assert usage["prompt_tokens_details"] == {"cached_tokens": 1}
    options = {"stream_options": {"include_usage": True}}
    *chunks, counted, done = frames(ChatAnswer, {**CHAT, **options}, cached=1)
    assert done == "[DONE]"
    assert counted["choices"] == []
    assert counted["usage"] == usage
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    said = "".join(one["choices"][0]["delta"].get("content", "") for one in chunks)
    assert said == answer["choices"][0]["message"]["content"]
    assert len(chunks) == 1 + 5 + 1


def test_usage_frame_only_on_request():
    assert not any(isinstance(one, dict) and "usage" in one for one in frames(ChatAnswer, CHAT))


@pytest.mark.parametrize(
    ("extra", "count", "reason"),
    [
        ({"max_tokens": 3}, 3, "length"),
        ({"max_completion_tokens": 7, "max_tokens": 3}, 7, "length"),
        ({"max_tokens": 1000}, 100, "length"),
        ({"min_tokens": 9}, 9, "stop"),
        ({}, 5, "stop"),
    ],
)
def test_answer_length(extra, count, reason):
    answer = whole(ChatAnswer, {**CHAT, **extra})
    assert answer["usage"]["completion_tokens"] == count
    assert answer["choices"][0]["finish_reason"] == reason


def test_choices_differ_and_come_in_turns():
    answer = whole(ChatAnswer, {**CHAT, "n": 3})
    texts = [choice["message"]["content"] for choice in answer["choices"]]
    assert len(set(texts)) == 3
    assert answer["usage"]["completion_tokens"] == 15
    events = frames(ChatAnswer, {**CHAT, "n": 3})[3:-4]
    assert [one["choices"][0]["index"] for one in events] == [0, 1, 2] * 5


def test_stop_cuts_before_the_stop_string():
    full = whole(ChatAnswer, CHAT)["choices"][0]["message"]["content"]
    word = full.split()[2]
    cut = whole(ChatAnswer, {**CHAT, "stop": [word], "max_tokens": 5})["choices"][0]
    assert cut["message"]["content"] == full[: full.find(word)]
    assert cut["finish_reason"] == "stop"


@pytest.mark.parametrize(
    "choice", ["required", {"type": "function", "function": {"name": "get_weather"}}]
)
def test_tool_calls(choice):
    data = {**CHAT, "tools": [TOOL], "tool_choice": choice}
    answer = whole(ChatAnswer, data)["choices"][0]
    assert answer["finish_reason"] == "tool_calls"
    assert answer["message"]["content"] is None
    call = answer["message"]["tool_calls"][0]
    assert call["function"]["name"] == "get_weather"
    arguments = json.loads(call["function"]["arguments"])
    assert isinstance(arguments["city"], str)
    assert arguments["days"] >= 3
    deltas = [one["choices"][0]["delta"] for one in frames(ChatAnswer, data)[:-1]]
    calls = [delta["tool_calls"][0] for delta in deltas if "tool_calls" in delta]
    assert calls[0]["id"] == call["id"]
    assert "".join(one["function"]["arguments"] for one in calls) == call["function"]["arguments"]


def test_tools_alone_get_text():
    answer = whole(ChatAnswer, {**CHAT, "tools": [TOOL], "tool_choice": "auto"})
    assert answer["choices"][0]["message"]["content"]


def test_json_schema_is_honoured():
    shape = {"type": "object", "properties": {"ok": {"type": "boolean"}}}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": shape}}
    answer = whole(ChatAnswer, {**CHAT, "response_format": form})
    assert set(json.loads(answer["choices"][0]["message"]["content"])) == {"ok"}


def test_completions_batch_echo_and_token_ids():
    answer = whole(CompletionAnswer, {"prompt": ["one", [1, 2, 3]], "n": 2, "echo": True})
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2, 3]
    assert answer["choices"][0]["text"].startswith("one")
    assert answer["choices"][2]["text"].startswith("1 2 3")
    assert answer["usage"]["prompt_tokens"] == 1 + 3
    events = frames(CompletionAnswer, {"prompt": "one"})
    said = "".join(one["choices"][0]["text"] for one in events[:-1])
    assert said == whole(CompletionAnswer, {"prompt": "one"})["choices"][0]["text"]


def test_generate_is_cumulative():
    answer = whole(GenerateAnswer, {"text": "abc", "rid": "r1"}, cached=0)
    assert answer["meta_info"]["id"] == "r1"
    assert len(answer["output_ids"]) == 5
    *events, done = frames(GenerateAnswer, {"text": "abc", "rid": "r1"})
    assert done == "[DONE]"
    assert events[-1]["text"] == answer["text"]
    assert events[-1]["meta_info"]["finish_reason"] == answer["meta_info"]["finish_reason"]
    assert events[0]["meta_info"]["finish_reason"] is None
    assert [token for one in events for token in one["output_ids"]] == answer["output_ids"]


def test_generate_batch_is_an_array():
    answer = whole(GenerateAnswer, {"input_ids": [[1, 2], [3]], "return_logprob": True})
    assert [one["meta_info"]["prompt_tokens"] for one in answer] == [2, 1]
    assert answer[1]["meta_info"]["input_token_logprobs"] == [[None, 3, None]]


def test_responses_events_are_numbered():
    events = frames(ResponseAnswer, {"input": "abc", "max_output_tokens": 3})
    assert [one["sequence_number"] for one in events[:-1]] == list(range(len(events) - 1))
    assert events[-2]["type"] == "response.incomplete"
    final = events[-2]["response"]
    same = whole(ResponseAnswer, {"input": "abc", "max_output_tokens": 3})
    assert final == same
    assert same["usage"]["output_tokens"] == 3


def test_messages_stream_has_no_done():
    events = frames(MessageAnswer, {**CHAT, "max_tokens": 3}, cached=1)
    kinds = [one["type"] for one in events]
    assert kinds[0] == "message_start"
    assert kinds[-1] == "message_stop"
    assert kinds.count("content_block_delta") == 3
    answer = whole(MessageAnswer, {**CHAT, "max_tokens": 3}, cached=1)
    assert answer["usage"]["cache_read_input_tokens"] == 1
    assert answer["stop_reason"] == "max_tokens"


def test_messages_tool_use():
    tool = {"name": "look", "input_schema": {"properties": {"at": {"type": "string"}}}}
    answer = whole(MessageAnswer, {**CHAT, "tools": [tool], "tool_choice": {"type": "any"}})
    assert answer["content"][0]["type"] == "tool_use"
    assert set(answer["content"][0]["input"]) == {"at"}


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (ChatAnswer, {"messages": []}),
        (ChatAnswer, {"messages": "x"}),
        (ChatAnswer, {**CHAT, "n": 0}),
        (ChatAnswer, {**CHAT, "max_tokens": "x"}),
        (ChatAnswer, {**CHAT, "tools": [], "tool_choice": "required"}),
        (CompletionAnswer, {"prompt": []}),
        (GenerateAnswer, {}),
        (ResponseAnswer, {}),
        (MessageAnswer, {}),
    ],
)
def test_what_cannot_be_answered_is_a_400(kind, data):
    with pytest.raises(RequestError):
        plan(kind, data)


@pytest.mark.parametrize("kind", [ChatAnswer, MessageAnswer, ResponseAnswer])
def test_chunked_form_is_the_frames(kind):
    data = {**CHAT, "input": "x", "stream": True}
    expected = b"".join(map(chunk, plan(kind, data).frames(0)))
    assert plan(kind, data).chunks(0) == expected


def test_text_is_deterministic_and_has_as_many_tokens_as_asked():
    assert answer_tokens(3, 40) == answer_tokens(3, 40)
    assert len(answer_tokens(3, 40)) == 40
    assert "".join(answer_tokens(3, 40)).endswith(".")
