"""Harmony: answers read by a double of the library, and by the library where its vocabulary is."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import pytest

from smg.core.errors import ConfigError, GatewayError
from smg.parsers import CallArguments, CallStart, Content, Parsed, Reasoning, ToolContext
from smg.parsers.base import joined
from smg.parsers.harmony import encoding as encodings
from smg.parsers.harmony.output import HarmonyParser
from tests.unit.parsers.harmony_double import MODULE, FakeEncoding, answer, said
from tests.unit.parsers.support import DECLARED, TOOLS, number

REAL = encodings.vocabulary_is_there(os.environ)


@pytest.fixture(params=["double", "library"])
def make(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes parsers, and encodes."""
    if request.param == "double":
        fake: Any = FakeEncoding()
        monkeypatch.setitem(sys.modules, "openai_harmony", MODULE)
    elif not REAL:
        pytest.skip("no vocabulary on disk")
    else:
        fake = encodings.load()

    def parser(**context: Any) -> HarmonyParser:
        return HarmonyParser(ToolContext(TOOLS, number, **context), fake)

    parser.encode = lambda text: fake.encode(text, allowed_special="all")  # type: ignore[attr-defined]
    return parser


CALL = said("commentary", '{"id": 7}', "<|call|>", "functions.lookup")
CASES = [
    (answer(said("final", "Hi 😀.", "<|return|>")), Parsed("Hi 😀.", before="Hi 😀.")),
    (answer(said("analysis", "a"), said("analysis", "b"), said("final", "c")), ("c", "a\nb", [])),
    (answer(said("analysis", "a"), CALL), ("", "a", [("lookup", '{"id": 7}')])),
    (answer(CALL, said("commentary", "", to="functions.ping")), 2),
    (answer(said("analysis", '{"id": 1}', to="functions.lookup")), 1),
    (answer(said("commentary", "so")), ("", "so", [])),
    (answer(said("commentary", "1+1", to="python")), ("", "1+1", [])),
    (answer(said("analysis", "q", to="browser.search")), ("", "q", [])),
    (answer(said("final", "cut", "")), ("cut", "", [])),
    (answer(said("analysis", "cut", "")), ("", "cut", [])),
    (answer(said("commentary", '{"id', "", "functions.lookup")), ("", "", [("lookup", '{"id')])),
    ("<|channel|>fin", ("", "", [])),
    (answer(said("final", "a"), "<|start|>user<|message|>mine<|end|>"), ("a", "", [])),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_answers(make: Callable[..., HarmonyParser], text: str, expected: Any):
    ids = make.encode(text)  # type: ignore[attr-defined]
    whole = make().parse(ids)
    assert not make().broken
    for size in (1, 3):
        parser = make()
        deltas = [d for at in range(0, len(ids), size) for d in parser.feed(ids[at : at + size])]
        assert joined(deltas + parser.finish()) == whole, size
    calls = [(call.name, call.arguments) for call in whole.calls]
    if isinstance(expected, int):
        assert len(calls) == expected
        assert calls[1:] in ([], [("ping", "{}")])
    elif isinstance(expected, Parsed):
        assert whole == expected
    else:
        assert (whole.content, whole.reasoning, calls) == expected


def test_deltas_come_as_the_tokens_do(make: Callable[..., HarmonyParser]):
    parser = make()
    encode = make.encode  # type: ignore[attr-defined]
    assert parser.feed(encode("<|channel|>analysis<|message|>a")) == [Reasoning("a")]
    assert parser.feed(encode("b<|end|><|start|>assistant")) == [Reasoning("b")]
    head = "<|channel|>commentary to=functions.lookup <|constrain|>json<|message|>"
    assert parser.feed(encode(head)) == [CallStart(0, "call_0", "lookup")]
    assert parser.feed(encode("{")) == [CallArguments(0, "{")]
    assert parser.feed(encode("}<|call|>")) == [CallArguments(0, "}")]
    assert parser.finish() == []
    assert parser.reasoning_tokens == 2


def test_one_call_only_if_parallel_calls_are_not_wanted(make: Callable[..., HarmonyParser]):
    ids = make.encode(answer(CALL, CALL, said("final", "so")))  # type: ignore[attr-defined]
    parsed = make(parallel=False).parse(ids)
    assert (len(parsed.calls), parsed.content) == (1, "so")


def test_tokens_that_are_no_harmony_are_content(make: Callable[..., HarmonyParser]):
    parser = make()
    ids = make.encode(answer(said("final", "a")) + "xyz")  # type: ignore[attr-defined]
    out = parser.feed(ids) + parser.finish()
    assert parser.broken
    assert out == [Content("axyz")]
    # A character of several tokens is whole, one that is cut off is not lost without a trace.
    parser = make()
    ids = make.encode(answer(said("final", "a")) + "𓀀𓁐")  # type: ignore[attr-defined]
    assert joined(parser.feed(ids) + parser.finish()).content == "a𓀀𓁐"


def test_without_the_vocabulary_there_is_one_clear_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
):
    pytest.importorskip("openai_harmony")
    monkeypatch.setattr(encodings, "_loaded", [])
    monkeypatch.setenv("TIKTOKEN_ENCODINGS_BASE", str(tmp_path))
    with pytest.raises(ConfigError) as caught:
        encodings.load()
    assert "name that in TIKTOKEN_ENCODINGS_BASE" in caught.value.problems[0]
    (tmp_path / encodings.RANKS).write_bytes(b"no ranks")
    with pytest.raises(ConfigError, match="cannot be read"):
        encodings.load()


def test_without_the_library_there_is_one_clear_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(encodings, "_loaded", [])
    monkeypatch.setitem(sys.modules, "openai_harmony", None)
    with pytest.raises(ConfigError, match=r"pip install 'smg\[harmony\]'"):
        encodings.load()


def test_where_the_vocabulary_is_looked_for(tmp_path: Any):
    there = encodings.vocabulary_is_there
    cache = {"TIKTOKEN_RS_CACHE_DIR": str(tmp_path)}
    assert not there(cache)
    (tmp_path / "fb374d419588a4632f3f557e76b4b70aebbca790").touch()
    assert there(cache)
    assert not there({**cache, "TIKTOKEN_ENCODINGS_BASE": str(tmp_path)})


@pytest.mark.skipif(not REAL, reason="no vocabulary on disk")
def test_prompts():
    call = {"id": "c1", "function": {"name": "lookup", "arguments": '{"id": 7}'}}
    messages = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "assistant", "content": "x", "reasoning_content": "hm", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "seven"},
        {"role": "assistant", "content": "It is seven.", "reasoning_content": "dropped"},
        {"role": "user", "content": "thanks"},
    ]
    ids = encodings.prompt_ids(messages, DECLARED[:1], effort="minimal", date="2025-01-02")
    text = encodings.load().decode(ids)
    assert "Current date: 2025-01-02" in text
    assert "Reasoning: low" in text
    assert "type lookup = (_: {" in text
    assert "<|start|>user<|message|>a\nb<|end|>" in text
    assert " to=functions.lookup" in text
    assert "<|start|>functions.lookup to=assistant<|message|>seven<|end|>" in text or (
        "<|start|>functions.lookup to=assistant<|channel|>commentary<|message|>seven<|end|>" in text
    )
    assert "It is seven." in text
    assert "dropped" not in text
    assert text.endswith("<|start|>assistant")
    plain = encodings.load().decode(encodings.prompt_ids(messages[:2]))
    assert "commentary" not in plain
    assert encodings.stop_ids() == [200002, 200012]


@pytest.mark.skipif(not REAL, reason="no vocabulary on disk")
def test_conversations_that_harmony_has_no_place_for():
    audio = {"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}
    for message, told in (
        ({"role": "nobody", "content": "x"}, "nobody"),
        ({"role": "assistant", "tool_calls": [{"id": "c"}]}, "'function' is missing"),
        (audio, "no audio"),
    ):
        with pytest.raises(GatewayError) as caught:
            encodings.prompt_ids([message])
        assert (caught.value.status, caught.value.code) == (400, "harmony_build_failed")
        assert told in caught.value.message
    with pytest.raises(GatewayError, match="'name' is missing"):
        encodings.prompt_ids([], [{"type": "function", "function": {}}])


@pytest.mark.skipif(not REAL, reason="no vocabulary on disk")
def test_a_prompt_without_the_beginning_of_the_answer():
    talk = [{"role": "user", "content": "hi"}]
    whole = encodings.prompt_ids(talk, date="2025-01-02")
    closed = encodings.prompt_ids(talk, date="2025-01-02", open_answer=False)
    assert encodings.load().decode(whole[len(closed) :]) == "<|start|>assistant"
    assert whole[: len(closed)] == closed
