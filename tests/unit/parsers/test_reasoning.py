"""Reasoning parsers: recorded cases, cut in every way."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smg.parsers.base import joined
from smg.parsers.registry import REASONING_PARSERS
from tests.unit.parsers.support import check_everywhere, reasoning_parser, stream

K3_THINK = "<|open|>think<|sep|>a <|x<|close|>think<|sep|>"
K3_ANSWER = "<|open|>response<|sep|>b<|close|> response<|sep|>"
TML_THINK = "<|message_model|><|content_thinking|>a<|end_message|>"
TML_TEXT = "<|message_model|><|content_text|>b<|content_model_end_sampling|>"
TML_CALL = '<|message_model|>f<|content_invoke_tool_json|>{"name":"f"}<|end_message|>'
#: parser, armed, text, reasoning, content
CASES = [
    ("qwen3", True, "a</think>b", "a", "b"),
    ("qwen3", False, "a</think>b", "", "a</think>b"),
    ("qwen3", None, "<think>a</think>b", "a", "b"),
    ("qwen3", None, "Hi <think>x</think>y", "x", "Hi y"),
    ("qwen3", None, "plain <", "", "plain <"),
    ("qwen3", None, "plain <thin", "", "plain <thin"),
    ("qwen3", None, "a < b </think", "", "a < b </think"),
    ("qwen3", True, "<think>\nok</think>z", "\nok", "z"),
    ("qwen3", True, "\n <think>ok</think>z", "\n ok", "z"),
    ("qwen3", None, "<think><think>ok</think>z", "ok", "z"),
    ("qwen3", None, "<think>a</think>b<think>c</think>d", "a", "b<think>c</think>d"),
    ("qwen3", None, "<think>a<think>b</think>c", "a<think>b", "c"),
    ("qwen3", None, "<think>never ends", "never ends", ""),
    ("qwen3", None, "<think>cut</thi", "cut</thi", ""),
    ("qwen3", None, "<think> \n</think>\n\nx", " \n", "\n\nx"),
    ("qwen3", None, "<think></think>", "", ""),
    ("qwen3", True, "", "", ""),
    ("qwen3", True, "<th", "<th", ""),
    ("qwen3", None, "<think>東京 😀 ä</think>ö", "東京 😀 ä", "ö"),
    ("deepseek_r1", None, "x</think> y", "x", " y"),
    ("deepseek_r1", None, "<think>x</think> y", "x", " y"),
    ("deepseek_r1", None, "never ends", "never ends", ""),
    ("deepseek_r1", False, "an answer", "", "an answer"),
    ("deepseek_r1", None, "x</think>y<think>z", "x", "y<think>z"),
    ("qwen3_thinking", None, "x</think>y", "x", "y"),
    ("kimi_thinking", None, "x</think>y", "x", "y"),
    ("step3", None, "x</think>y", "x", "y"),
    ("minimax", None, "x</think>y", "x", "y"),
    ("minimax", None, "x < y && </ z</think>y", "x < y && </ z", "y"),
    ("minimax_m3", None, "<mm:think>x</mm:think>y", "x", "y"),
    ("glm45", None, "\n<think>x</think>y", "x", "\ny"),
    ("nano_v3", None, "<think>x</think>y", "x", "y"),
    ("deepseek_v31", True, "x</think>y", "x", "y"),
    ("kimi", None, "◁think▷a ◁ b ◁/think▷c", "a ◁ b ", "c"),
    ("kimi", None, "◁think▷a◁/thi", "a◁/thi", ""),
    ("kimi", None, "<think>a</think>", "", "<think>a</think>"),
    ("cohere_cmd", None, "<|START_THINKING|>a<|END_THINKING|>b", "a", "b"),
    (
        "cohere_cmd",
        None,
        "<|START_THINKING|>a<|END_THINKING|><|START_RESPONSE|>b<|END_RESPONSE|>",
        "a",
        "b",
    ),
    ("cohere_cmd", None, "<|START_RESPONSE|>b<|START_ACTION|>[]", "", "b<|START_ACTION|>[]"),
    ("kimi_k3", None, K3_THINK + K3_ANSWER, "a <|x", "b"),
    ("kimi_k3", True, "a" + K3_ANSWER, "a", "b"),
    ("kimi_k3", True, "a<|close|> think <|sep|>" + K3_ANSWER, "a", "b"),
    ("kimi_k3", True, "a <|open|>tools<|sep|>b<|open|>x", "a ", "<|open|>tools<|sep|>b<|open|>x"),
    ("kimi_k3", True, "a<|close|>response<|sep|>b", "a", "b"),
    ("kimi_k3", None, "a<|close|>message<|sep|> b <|close|>x<|sep|>", "", "a b <|close|>x<|sep|>"),
    ("kimi_k3", None, "<|open|>think<|sep|>never ends <|clo", "never ends <|clo", ""),
    (
        "kimi_k3",
        None,
        K3_THINK + K3_THINK,
        "a <|x",
        "<|open|>think<|sep|>a <|x<|close|>think<|sep|>",
    ),
    ("kimi_k3", None, "a <|open|> th", "", "a <|open|> th"),
    ("inkling", None, TML_THINK + TML_TEXT, "a", "b"),
    ("inkling", None, TML_THINK + TML_CALL, "a", TML_CALL.removeprefix("<|message_model|>f")),
    ("inkling", None, "<|content_thinking|>a<|message_model|>h<|content_text|>b", "a", "b"),
    ("inkling", None, "<|content_invoke_tool_text|>f()<|end_message|>b", "", "b"),
    ("inkling", True, "a<|end_message|>" + TML_TEXT, "a", "b"),
    ("inkling", None, "a<|audio_end|>b<|content_x|>", "", "ab<|content_x|>"),
    ("inkling", None, "<|message_model|>cut", "", "<|message_model|>cut"),
    ("inkling", None, "<|message_model|>a<b>", "", "<|message_model|>a<b>"),
    ("inkling", None, "<|content_invoke_tool_json|>{", "", "<|content_invoke_tool_json|>{"),
    ("passthrough", True, "<think>a</think>b", "", "<think>a</think>b"),
    ("base", None, "<think>a</think>b", "a", "b"),
]


@pytest.mark.parametrize("name", sorted({case[0] for case in CASES}))
def test_recorded(name: str):
    for named, armed, text, reasoning, content in CASES:
        if named == name:
            parsed = check_everywhere(lambda: reasoning_parser(name, armed), text)  # noqa: B023
            assert (parsed.reasoning, parsed.content) == (reasoning, content), (armed, text)
            assert parsed.calls == []


ALPHABET = ["<think>", "</think>", "<", "th", "ink>", "</", "◁think▷", "◁/", "think▷", "\n", "ä "]


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(REASONING_PARSERS.names()),
    st.booleans(),
    st.lists(st.sampled_from(ALPHABET), max_size=12),
)
def test_any_text_cut_anywhere(name: str, armed: bool, pieces: list[str]):
    text = "".join(pieces)
    whole = reasoning_parser(name, armed).parse(text)
    assert joined(stream(reasoning_parser(name, armed), pieces)) == whole
    assert joined(stream(reasoning_parser(name, armed), text)) == whole
    lost = len(text) - len(whole.reasoning) - len(whole.content)
    assert lost in {0, 7, 8, 14, 15, 16, 22}  # at most two start tokens and an end token


def test_it_says_whether_it_reads_reasoning():
    parser = reasoning_parser("qwen3")
    seen = []
    for piece in ("a", "<think>", "b", "</thi", "nk>", "c"):
        parser.feed(piece)
        seen.append(parser.in_reasoning)
    assert seen == [False, True, True, True, False, False]
    assert reasoning_parser("deepseek_r1").in_reasoning


def test_reasoning_is_given_at_once():
    parser = reasoning_parser("qwen3", armed=True)
    assert [d.text for d in parser.feed("so ")] == ["so "]
    assert [d.text for d in parser.feed("be it</th")] == ["be it"]
    assert parser.feed("ink>") == ()
