"""Texts that cost a careless parser its time, its memory or its stack."""

from __future__ import annotations

import json

import pytest

from smg._speedups.value_scan import MAX_DEPTH
from smg.parsers import Content, Markers, Steps
from smg.parsers.base import joined
from smg.parsers.engine import Engine
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
#: drop markers of theirs wherever they stand
SILENT = ("inkling", "sarashina")


def fed(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


@pytest.mark.parametrize("name", sorted(STARTS))
def test_a_megabyte_of_one_value(name: str):
    """A chunk of 16 characters each: anything that looks at all of it again takes hours."""
    for unit in ("x", "\\n", "<", "</"):
        text = STARTS[name] + unit * (MEGABYTE // len(unit) // (8 if name == "pythonic" else 1))
        parsed = joined(stream(tool_parser(name), fed(text, 16)))
        given = len(parsed.content) + sum(len(call.arguments) for call in parsed.calls)
        assert given > len(text) // 2, unit


@pytest.mark.parametrize("name", TOOL_PARSERS.names())
def test_a_lot_of_what_begins_and_never_ends(name: str):
    for unit in [*UNITS, *getattr(type(tool_parser(name)), "starts", ())]:
        for size in (7, MEGABYTE):
            text = unit * (MEGABYTE // 32 // len(unit))
            parsed = joined(stream(tool_parser(name), fed(text, size)))
            assert parsed.calls == [], (unit, size)
            assert parsed.content == text or name in SILENT, (unit, size)


def test_a_lot_of_reasoning():
    for name in ("qwen3", "kimi", "cohere_cmd", "minimax_m3", "passthrough"):
        for unit in ("x", "<", "<thin", "</think", "◁", "\n"):
            text = unit * (MEGABYTE // 4 // len(unit))
            parsed = joined(stream(reasoning_parser(name, armed=True), fed(text, 5)))
            assert parsed.reasoning + parsed.content == text, (name, unit)


class Search(Engine):
    def run(self) -> Steps[None]:
        while True:
            found = yield from self.until(Markers(("<marker>", "◁")), self.content)
            self.take(len(found))


def test_nothing_is_kept_but_half_markers():
    """So nothing can be looked at again and again."""
    text = "some text < b and <mark ... " * 1000
    parser = Search()
    for at in range(0, len(text), 4):
        parser.feed(text[at : at + 4])
        kept = parser._text[parser._at :]
        assert "<marker>".startswith(kept), at


def test_a_tag_that_does_not_end_is_soon_text():
    """Before a call, and in one."""
    for start in ("", '<|open|>tools<|sep|><|open|>call tool="ping"<|sep|>'):
        parser = tool_parser("kimi_k3")
        parser.feed(f"{start}<|open|>")
        given = [delta for _ in range(300) for delta in parser.feed("word ")]
        assert "".join(delta.text for delta in given if isinstance(delta, Content)) == (
            "<|open|>" + "word " * 300
        ), start


def test_tokens_that_mean_nothing_may_be_anywhere_in_a_value():
    end = "<｜end▁of▁sentence｜>"
    value = f"x{end}" * (MEGABYTE // 32)
    text = (
        '<｜DSML｜function_calls><｜DSML｜invoke name="note"><｜DSML｜parameter name="text" '
        f'string="false">{value}</｜DSML｜parameter></｜DSML｜invoke></｜DSML｜function_calls>'
    )
    for size in (7, len(text)):
        parsed = joined(stream(tool_parser("deepseek32"), fed(text, size)))
        assert json.loads(parsed.calls[0].arguments) == {"text": "x" * (MEGABYTE // 32)}


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
