"""Calls as Python writes them; and no calls at all."""

from __future__ import annotations

from typing import Any

from tests.unit.parsers.support import Case

LONG = "lorem ipsum [" * 80
PINGED: tuple[tuple[str, Any], ...] = (("ping", {}),)


def unchanged(name: str, text: str) -> Case:
    return Case(name, text, (), text)


PYTHONIC = [
    Case("plain", "[lookup(id=7)]", (("lookup", {"id": 7}),)),
    Case(
        "parallel",
        '[note(text="a]b"), lookup(id=-7)]',
        (("note", {"text": "a]b"}), ("lookup", {"id": -7})),
    ),
    Case(
        "nested",
        'Checking.[note(tags=["a", (1, 2)], opts={"deep": {"x": [None]}, 1: True})]',
        (("note", {"tags": ["a", [1, 2]], "opts": {"deep": {"x": [None]}, "1": True}}),),
        "Checking.",
    ),
    Case(
        "unicode",
        'naïve [1] and [note(text="東京 \\u00e9 😀")]',
        (("note", {"text": "東京 é 😀"}),),
        "naïve [1] and ",
    ),
    Case(
        "escapes",
        "[note(text='it\\'s \"so\"\\n\\\\', x=\"']\")]",
        (("note", {"text": 'it\'s "so"\n\\', "x": "']"}),),
    ),
    Case("no arguments", "[ping()] and [ping( )]", PINGED * 2, " and "),
    Case(
        "JSON's words",
        "[note(done=true, x=null, y=bare, z=b'b', f=1.5)]",
        (("note", {"done": True, "x": None, "y": "bare", "z": "b", "f": 1.5}),),
    ),
    Case("python tokens", "<|python_start|>[ping()]<|python_end|>", PINGED),
    Case("line breaks", "[\n  lookup(\n    id=7,\n  ),\n]\n", (("lookup", {"id": 7}),)),
    Case(
        "big integer",
        "[lookup(id=123456789012345678901)]",
        (("lookup", {"id": 123456789012345678901}),),
    ),
    Case("very long", f"[note(text={LONG!r})]", (("note", {"text": LONG}),)),
    Case(
        "unknown beside known",
        "[lookup(id=7), bad(x=1)] ok",
        (("lookup", {"id": 7}),),
        "bad(x=1) ok",
    ),
    Case("wrong escape", '[note(text="\\d")]', (("note", {"text": "\\d"}),)),
    unchanged("unknown function", "so [bad(x=1)] there"),
    unchanged("positional", "[lookup(1)]"),
    unchanged("stars", "[lookup(**x)]"),
    unchanged("dotted", "[a.lookup(id=1)]"),
    unchanged("complex", "[lookup(id=1j)]"),
    unchanged("expression", "[lookup(id=1+1)]"),
    unchanged("not finite", "[lookup(id=1e999)]"),
    unchanged("plain list", "list [1, 2"),
    unchanged("markdown", "see [the page](http://x) and a[i](x)"),
    unchanged("truncated", "[lookup(id=7"),
    unchanged("string without end", '[note(text="abc)]'),
    unchanged("malformed", "[lookup(id=)] [lookup(id=1, id=2)]"),
]
SARASHINA = [
    Case(
        "plain",
        "<|tool_calls|>[{'name': 'lookup', 'arguments': {'id': 7, 'deep': True}}]",
        (("lookup", {"id": 7, "deep": True}),),
    ),
    Case("no marker", "[{'name': 'ping', 'arguments': {}}]", PINGED),
    Case(
        "parallel",
        "<|tool_calls|>[{'name': 'ping'}, {'name': 'lookup', 'arguments': {'id': 1}}]",
        (("ping", {}), ("lookup", {"id": 1})),
    ),
    Case("one dict", "<|tool_calls|>{'name': 'ping'}", PINGED),
    Case(
        "nested",
        "<|tool_calls|> [ {'name': 'note', 'arguments': {'opts': {'a': [(1,), None]}}} ]",
        (("note", {"opts": {"a": [[1], None]}}),),
    ),
    Case(
        "unicode",
        "<|tool_calls|>[{'name': 'note', 'arguments': {'text': '東京 😀'}}]",
        (("note", {"text": "東京 😀"}),),
    ),
    Case(
        "escapes",
        "<|tool_calls|>[{'name': 'note', 'arguments': {'text': 'it\\'s ]\"\\n'}}]",
        (("note", {"text": "it's ]\"\n"}),),
    ),
    Case("text around", "Hi <|tool_calls|>[{'name': 'ping'}] bye", PINGED, "Hi  bye"),
    Case("unknown function", "<|tool_calls|>[{'name': 'bad'}]", (("bad", {}),)),
    Case("JSON", '[{"name": "ping", "arguments": {"x": null}}]', (("ping", {"x": None}),)),
    Case(
        "very long",
        f"[{{'name': 'note', 'arguments': {{'text': {LONG!r}}}}}]",
        (("note", {"text": LONG}),),
    ),
    unchanged("plain list", "[1, 2]"),
    unchanged("other dicts", "[{'a': 1}]"),
    unchanged("empty name", "[{'name': ''}]"),
    unchanged("truncated", "[{'name': 'ping'"),
    unchanged("in the text", "so [{'name': 'ping'}]"),
    Case("malformed", "<|tool_calls|>[{'name': }]", (), "[{'name': }]"),
    unchanged("half a marker", "a <|tool_c"),
]
PASSTHROUGH = [
    unchanged("JSON", '{"name": "ping", "arguments": {}}'),
    unchanged("tags", "<tool_call>ping</tool_call> <"),
]
CASES = {"pythonic": PYTHONIC, "sarashina": SARASHINA, "passthrough": PASSTHROUGH}
