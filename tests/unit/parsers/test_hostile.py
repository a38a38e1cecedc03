"""Texts that cost a careless parser its time, its memory or its stack."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smg.parsers import Markers, Steps
from smg.parsers.base import joined
from smg.parsers.engine import Engine
from smg.parsers.json_stream import MAX_DEPTH, JsonScanner
from smg.parsers.registry import TOOL_PARSERS
from tests.unit.parsers.support import reasoning_parser, stream, tool_parser

MEGABYTE = 1 << 20
STARTS = {
    "json": '{"name": "note", "arguments": {"text": "',
    "llama": '<|python_tag|>{"name": "note", "parameters": {"text": "',
    "mistral": '[TOOL_CALLS] [{"name": "note", "arguments": {"text": "',
    "qwen": '<tool_call>{"name": "note", "arguments": {"text": "',
    "cohere": '<|START_ACTION|>{"tool_name": "note", "parameters": {"text": "',
    "qwen_xml": "<tool_call><function=note><parameter=text>",
    "glm47_moe": "<tool_call>note<arg_key>text</arg_key><arg_value>",
    "minimax_m2": '<minimax:tool_call><invoke name="note"><parameter name="text">',
    "deepseek31": '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>note<｜tool▁sep｜>{"text": "',
    "pythonic": '[note(text="',
}
UNITS = ["x", "<", "{", "[", '"', "\\", "\\u", "\n", "<tool_call>", '{"a":', "a[b(", "</", "'"]


def fed(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


@pytest.mark.parametrize("name", sorted(STARTS))
@pytest.mark.parametrize("unit", ["x", "\\n", "<", "</"])
def test_a_megabyte_of_one_value(name: str, unit: str):
    """A chunk of 16 characters each: anything that looks at all of it again takes hours."""
    text = STARTS[name] + unit * (MEGABYTE // len(unit) // (8 if name == "pythonic" else 1))
    parsed = joined(stream(tool_parser(name), fed(text, 16)))
    given = len(parsed.content) + sum(len(call.arguments) for call in parsed.calls)
    assert given > len(text) // 2


@pytest.mark.parametrize("name", TOOL_PARSERS.names())
@pytest.mark.parametrize("size", [7, MEGABYTE])
def test_a_lot_of_what_begins_and_never_ends(name: str, size: int):
    for unit in [*UNITS, *getattr(type(tool_parser(name)), "starts", ())]:
        text = unit * (MEGABYTE // 16 // len(unit))
        parsed = joined(stream(tool_parser(name), fed(text, size)))
        assert parsed.calls == []
        assert parsed.content == text or name == "sarashina"


@pytest.mark.parametrize("name", ["qwen3", "kimi", "cohere_cmd", "minimax_m3", "passthrough"])
def test_a_lot_of_reasoning(name: str):
    for unit in ("x", "<", "<thin", "</think", "◁", "\n"):
        text = unit * (MEGABYTE // 4 // len(unit))
        parsed = joined(stream(reasoning_parser(name, armed=True), fed(text, 5)))
        assert parsed.reasoning + parsed.content == text


class Counted(Markers):
    """Counts the characters that are searched."""

    __slots__ = ("looked",)
    looked: int

    def search(self, text: str, start: int) -> tuple[int, str] | None:
        self.looked += len(text) - start
        return super().search(text, start)


class Search(Engine):
    def __init__(self) -> None:
        super().__init__()
        self.markers = Counted(("<marker>", "◁"))
        self.markers.looked = 0

    def run(self) -> Steps[None]:
        while True:
            found = yield from self.until(self.markers, self.content)
            self.take(len(found))


def test_characters_are_searched_once_but_for_half_markers():
    text = "some text < b and <mark ... " * 1000
    parser = Search()
    assert joined([d for piece in fed(text, 4) for d in parser.feed(piece)]).content == text
    assert parser.markers.looked < 2 * len(text)


def test_depth_has_an_end():
    deep = "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1)
    parsed = tool_parser("json").parse(f'{{"name": "note", "arguments": {{"tags": {deep}}}}}')
    assert (len(parsed.calls), parsed.content) == (1, "")
    text = '{"a": ' + "[" * 100_000
    assert tool_parser("json").parse(text).content == text
    text = f"[note(tags={'[' * 5000}{']' * 5000})]"
    assert tool_parser("pythonic").parse(text).content == text
    text = f"[note(tags={'-' * 30_000}1)]"
    assert tool_parser("pythonic").parse(text).content == text
    nested = "[" * 5000 + "]" * 5000
    parsed = tool_parser("qwen_xml").parse(
        f"<tool_call><function=note><parameter=tags>{nested}</parameter></function></tool_call>"
    )
    assert json.loads(parsed.calls[0].arguments) == {"tags": nested}


def test_python_source_has_a_longest_length():
    for body in ("'" + "x" * 70_000 + "'", "1, " * 30_000, "'', " * 30_000, "'\\x'" * 30_000):
        text = f"[note(tags=[{body}])] [ping()]"
        parsed = tool_parser("pythonic").parse(text)
        assert parsed == joined(stream(tool_parser("pythonic"), fed(text, 1000)))
        assert parsed.content.startswith("[note(tags=[")
        assert [call.name for call in parsed.calls] in (["ping"], [])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None)
@given(JSON, st.booleans(), st.sampled_from([None, 1, "\t"]), st.integers(1, 9))
def test_the_scanner_keeps_every_value(value: object, ascii: bool, indent: object, size: int):
    text = json.dumps(value, ensure_ascii=ascii, indent=indent)  # type: ignore[arg-type]
    scanner = JsonScanner()
    out: list[str] = []
    pending = ""
    for piece in fed(text, size):
        pending += piece
        pending = pending[scanner.scan(pending, 0, False, out) :]
        assert len(pending) < 12  # half a pair of surrogates at most
    assert scanner.scan(pending, 0, True, out) == len(pending)
    assert scanner.done
    assert not scanner.bad
    assert json.loads("".join(out)) == json.loads(text)
    assert "".join(out) == json.dumps(value, ensure_ascii=ascii, separators=(",", ":"))


@pytest.mark.parametrize(
    ("text", "start", "held"),
    [
        ("Sure <tool", 0, 5),
        ("a < b", 0, 0),
        ("x <", 0, 1),
        ("x <", 3, 0),
        ("<<", 0, 1),
        ("<t<to", 0, 3),
        ("", 0, 0),
    ],
)
def test_the_longest_end_that_may_become_a_marker_is_held(text: str, start: int, held: int):
    assert Markers(("<tool_call>", "</tool_call>")).held(text, start) == held


def test_markers_that_contain_each_other_are_refused():
    for texts in (("a", "ba"), ("",)):
        with pytest.raises(ValueError, match="is empty or part of another"):
            Markers(texts)
