"""Harmony as text: read by a double of the library, and by the library where its vocabulary is."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import pytest

from smg.parsers import Parsed, ToolContext
from smg.parsers.base import joined
from smg.parsers.harmony import encoding as encodings
from smg.parsers.harmony import text as texts
from smg.parsers.harmony.detection import is_parser_name, writes_harmony
from smg.parsers.harmony.text import HarmonyText
from tests.unit.parsers.harmony_double import MODULE, FakeEncoding, answer, said
from tests.unit.parsers.support import TOOLS, number

REAL = encodings.vocabulary_is_there(os.environ)
Make = Callable[..., HarmonyText]


@pytest.fixture(params=["double", "library"])
def make(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Make:
    if request.param == "double":
        encoding: Any = FakeEncoding()
        monkeypatch.setitem(sys.modules, "openai_harmony", MODULE)
        monkeypatch.setattr(texts, "load", lambda: encoding)
    elif not REAL:
        pytest.skip("no vocabulary on disk")
    return lambda **context: HarmonyText(ToolContext(TOOLS, number, **context))


CALL = said("commentary", '{"id": 7}', "<|call|>", "functions.lookup")
THOUGHT = said("analysis", "Hm < 7 <| 8.")
LOOKUP = [("lookup", '{"id": 7}')]
CASES = [
    (answer(THOUGHT, CALL), ("", "Hm < 7 <| 8.", LOOKUP)),
    (THOUGHT + CALL, ("", "Hm < 7 <| 8.", LOOKUP)),
    (
        answer(THOUGHT, said("final", "Né 🎈 a<|b", "<|return|>")),
        ("Né 🎈 a<|b", "Hm < 7 <| 8.", []),
    ),
    # As a file has it, with a line break at its end.
    (answer(said("analysis", "a") + "\n", CALL + "\n\n", CALL) + "\n", ("", "a", LOOKUP * 2)),
    # For whom it is may stand before the channel.
    (
        " to=functions.lookup<|channel|>commentary<|constrain|>json<|message|>{}<|call|>",
        ("", "", [("lookup", "{}")]),
    ),
    (answer(said("final", "cut", "<|re")), ("cut<|re", "", [])),
    ("plain <|call|> text", ("plain <|call|> text", "", [])),
    ("<", ("<", "", [])),
    ("<|start|>ass", ("", "", [])),
    ("<|start|>assistant", ("<|start|>assistant", "", [])),
    ("", ("", "", [])),
]


def shown(parsed: Parsed) -> tuple[str, str, list[tuple[str, str]]]:
    calls = [(call.name, call.arguments) for call in parsed.calls]
    return parsed.content, parsed.reasoning, calls


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_however_it_is_cut(make: Make, text: str, expected: Any):
    parser = make()
    assert shown(parser.parse(text)) == expected
    assert not parser.broken
    cuts = [[text[:at], text[at:]] for at in range(1, len(text))]
    for pieces in [*cuts, list(text)]:
        parser = make()
        deltas = [delta for piece in pieces for delta in parser.feed(piece)]
        assert shown(joined(deltas + parser.finish())) == expected, pieces


def test_long_texts_are_read_in_slices(make: Make, monkeypatch: pytest.MonkeyPatch):
    whole = shown(make().parse(answer(THOUGHT, CALL, CALL)))
    for size in (33, 40, 57):
        monkeypatch.setattr(texts, "_PIECE", size)
        assert shown(make().parse(answer(THOUGHT, CALL, CALL))) == whole


def test_what_is_no_harmony_after_all_is_content(make: Make):
    parser = make()
    assert shown(parser.parse(answer(said("final", "a")) + "junk")) == ("ajunk", "", [])
    assert parser.broken


def test_what_it_is_called():
    assert is_parser_name("Harmony")
    assert is_parser_name("gpt-oss")
    assert not is_parser_name("json")
    assert writes_harmony("openai/GPT-OSS-20b")
    assert writes_harmony("mine", architectures=["GptOssForCausalLM"])
    assert writes_harmony("mine", model_type="gpt_oss")
    assert not writes_harmony("gpt-4o", architectures=["LlamaForCausalLM"], model_type="llama")
