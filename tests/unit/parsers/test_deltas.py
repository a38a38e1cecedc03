"""The shape of what is given, and when."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from smg.parsers import CallArguments, CallStart, Content, Delta, ToolContext, Tools, ids_for
from smg.parsers.base import joined
from smg.parsers.engine import Steps
from smg.parsers.ids import call_id
from smg.parsers.tool_calls.base import ToolParser
from smg.parsers.tool_calls.forced import ForcedCall
from tests.unit.parsers.support import TOOLS, check_everywhere, number, stream, tool_parser

TWO = (
    'Sure. <tool_call>{"name": "lookup", "arguments": {"id": 7, "note": "a b"}}</tool_call>'
    '<tool_call>{"name": "ping"}</tool_call>'
)


def test_a_call_is_announced_at_once_and_its_arguments_follow_as_they_come():
    parser = tool_parser("qwen")
    assert parser.feed("Sure. <tool") == (Content("Sure. "),)
    assert parser.feed('_call>\n{"name": "lookup') == ()
    assert parser.feed('", "arg') == (CallStart(0, "call_0", "lookup"),)
    assert parser.feed('uments": {"note": "a') == (CallArguments(0, '{"note":"a'),)
    assert parser.feed("b\\") == (CallArguments(0, "b"),)
    assert parser.feed("ud83d") == ()
    assert parser.feed("\\ude0") == ()
    assert parser.feed("0") == (CallArguments(0, "\\ud83d\\ude00"),)
    assert parser.feed('"}}\n</tool_call>') == (CallArguments(0, '"}'),)
    assert parser.finish() == ()


def test_parameters_are_given_one_by_one():
    parser = tool_parser("qwen_xml")
    assert parser.feed("<tool_call>\n<function=lookup>") == (CallStart(0, "call_0", "lookup"),)
    assert parser.feed("<parameter=id>7") == ()
    assert parser.feed("</parameter>") == (CallArguments(0, '{"id":7'),)
    assert parser.feed("</function>") == (CallArguments(0, "}"),)


def test_text_that_flows_is_given_piece_by_piece_and_half_a_marker_waits():
    parser = tool_parser("kimi_k3")
    for piece in ("Sure", ". ", "", "x"):
        assert parser.feed(piece) == ((Content(piece),) if piece else ())
    assert parser.feed("y <|op") == (Content("y "),)
    assert parser.feed("tion") == (Content("<|option"),)
    parser.feed('<|open|>tools<|sep|><|open|>call tool="lookup" index="1"<|sep|>')
    parser.feed('<|open|>argument key="note" type="string"<|sep|>')
    for piece, given in (("a", "a"), ('"b"', '\\"b\\"'), ("", ""), ("<", ""), ("c", "<c")):
        assert parser.feed(piece) == ((CallArguments(0, given),) if given else ())
    assert parser.feed("d<|close|>argument<|sep|>") == (CallArguments(0, 'd"'),)


def test_a_value_is_given_by_the_piece_that_closes_it():
    parser = tool_parser("qwen_xml")
    parser.feed("<tool_call>\n<function=lookup>")
    for piece in (
        "<param",
        "eter=",
        "id>a",
        " > b",
        "</parameter",
        " >",
        "<",
        "/par",
        "amet",
        "er",
    ):
        assert parser.feed(piece) == ()
    assert parser.feed(">\n</func") == (CallArguments(0, '{"id":"a > b</parameter >"'),)


def test_a_key_of_dsml_that_is_none_is_content():
    head = '<｜DSML｜invoke name="lookup">'
    tag = f'<｜DSML｜parameter name="{"k" * 300}" string="true">7'
    for size in (4, 1000):
        text = f"<｜DSML｜function_calls>{head}{tag}"
        deltas = stream(
            tool_parser("deepseek32"), [text[at : at + size] for at in range(0, len(text), size)]
        )
        assert joined(deltas).content == tag


def test_strings_of_dsml_are_given_as_they_come():
    parser = tool_parser("deepseek32")
    parser.feed('<｜DSML｜function_calls><｜DSML｜invoke name="note">')
    parser.feed('<｜DSML｜parameter name="text" string="true">')
    assert parser.feed('say "hi"') == (CallArguments(0, 'say \\"hi\\"'),)


def test_names_come_first_and_fragments_never_end_in_an_escape():
    text = '{"name":"note","arguments":{"text":"\\\\ \\" \\u00e9 \\ud83d\\ude00 x"}}'
    parser = tool_parser("json")
    deltas = stream(parser, text)
    assert isinstance(deltas[0], CallStart)
    so_far = ""
    for delta in deltas[1:]:
        assert isinstance(delta, CallArguments)
        so_far += delta.text
        assert not re.search(r"(?<!\\)(\\\\)*\\(u[0-9a-f]{0,3})?$", so_far)
        assert not so_far.endswith("\\ud83d")


def chunk(delta: dict[str, Any]) -> ChatCompletionChunk:
    choice = {"index": 0, "delta": delta, "finish_reason": None}
    head = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return ChatCompletionChunk.model_validate({**head, "choices": [choice]})


def openai_delta(delta: Delta) -> dict[str, Any]:
    if isinstance(delta, Content):
        return {"content": delta.text}
    assert isinstance(delta, CallStart | CallArguments)
    return {"tool_calls": [delta.openai()]}


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_the_sdk_puts_them_together(size: int):
    state = ChatCompletionStreamState()
    state.handle_chunk(chunk({"role": "assistant"}))
    pieces = [TWO[at : at + size] for at in range(0, len(TWO), size)]
    for delta in stream(tool_parser("qwen"), pieces):
        state.handle_chunk(chunk(openai_delta(delta)))
    message = state.current_completion_snapshot.choices[0].message
    assert message.content == "Sure. "
    assert message.tool_calls is not None
    first, second = message.tool_calls
    assert (first.id, first.type, first.function.name) == ("call_0", "function", "lookup")
    assert json.loads(first.function.arguments) == {"id": 7, "note": "a b"}
    assert (second.id, second.function.name, second.function.arguments) == ("call_1", "ping", "{}")


def test_the_first_delta_of_a_call_has_all_but_arguments():
    start = next(d for d in stream(tool_parser("qwen"), [TWO]) if isinstance(d, CallStart))
    function = {"name": "lookup", "arguments": ""}
    assert start.openai() == {"index": 0, "id": "call_0", "type": "function", "function": function}
    assert CallArguments(1, "{").openai() == {"index": 1, "function": {"arguments": "{"}}


def test_one_call_only_if_parallel_calls_are_not_wanted():
    parser = tool_parser("qwen", parallel=False)
    parsed = joined(stream(parser, TWO + " bye"))
    assert [call.name for call in parsed.calls] == ["lookup"]
    assert parsed.content == "Sure.  bye"


def test_what_stands_before_the_first_call():
    parsed = tool_parser("qwen").parse("a " + TWO + " b")
    assert (parsed.before, parsed.content) == ("a Sure. ", "a Sure.  b")
    assert tool_parser("qwen").parse("a").before == "a"


def test_ids():
    assert re.fullmatch(r"call_[0-9a-f]{24}", call_id(0, "x"))
    assert len({call_id(0, "x") for _ in range(1000)}) == 1000
    assert ids_for("Llama-3")(0, "x").startswith("call_")
    assert ids_for("moonshotai/Kimi-K2", 3)(0, "lookup") == "functions.lookup:3"
    assert ids_for("kimi-k3", 1)(2, "lookup") == "lookup_3"


def test_a_mistake_of_ours_costs_no_text(caplog: pytest.LogCaptureFixture):
    class Broken(ToolParser):
        def run(self) -> Steps[None]:
            self.hold()
            yield from self.space()
            raise RuntimeError("oops")

    parser = Broken(ToolContext(TOOLS))
    out = joined(parser.feed("  a") + parser.feed("b") + parser.finish())
    assert (out.content, parser.broken) == ("  ab", True)
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("text", "calls", "content"),
    [
        ('{"id": 7}', ['{"id":7}'], ""),
        (' \n{"id": {"a": "}"}} \n', ['{"id":{"a":"}"}}'], ""),
        ('{"id": 7} x', ['{"id":7}'], " x"),
        ('{"id": 7', ['{"id":7'], ""),
        ('{"id": <', ['{"id":'], "<"),
        ("Sorry.", [], "Sorry."),
        (" \n", [], " \n"),
        ("[1]", [], "[1]"),
    ],
)
def test_a_forced_call(text: str, calls: list[str], content: str):
    parsed = check_everywhere(lambda: ForcedCall(ToolContext(TOOLS, number), "lookup"), text)
    assert [call.arguments for call in parsed.calls] == calls
    assert parsed.content == content


def test_tools_are_read_in_every_api_s_form():
    schema = {"properties": {"a": {"type": "string"}, "b": {"type": ["string"]}, "c": True}}
    tools = Tools(
        [
            {"type": "function", "name": "x", "parameters": schema},
            {"name": "y", "input_schema": schema},
            {"type": "function", "function": {"name": "z", "parameters": None}},
            {"type": "web_search"},
        ]
    )
    assert [tools.accepts(name) for name in ("x", "y", "z", "w", "")] == [True] * 3 + [False] * 2
    assert tools.types("x") == tools.types("y") == {"a": "string"}
    assert tools.types("z") == tools.types("unknown") == {}
