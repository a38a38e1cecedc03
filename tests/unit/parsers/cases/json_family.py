"""Calls as JSON objects. The same cases in the dress of each format, and what is special to one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.unit.parsers.support import Case

LONG = 'spam and \\"eggs\\" ' * 40
LONG_VALUE = LONG.replace('\\"', '"')


def common(wrap: Callable[..., str], key: str, name: str = "name") -> list[Case]:
    """`wrap` dresses call objects; `key` is the format's word for arguments."""

    def call(tool: str, value: str) -> str:
        return f'{{"{name}": "{tool}", "{key}": {value}}}'

    ping = call("ping", "{}")
    return [
        Case("plain", wrap(call("lookup", '{"id": 7}')), (("lookup", {"id": 7}),)),
        Case(
            "parallel",
            wrap(call("lookup", '{"id": 7}'), ping),
            (("lookup", {"id": 7}), ("ping", {})),
        ),
        Case(
            "nested",
            wrap(call("note", '{"opts": {"a": [1, {"b": {"name": "ping"}}], "c": null}}')),
            (("note", {"opts": {"a": [1, {"b": {"name": "ping"}}], "c": None}}),),
        ),
        Case(
            "unicode",
            wrap(call("note", '{"text": "żółw 東京 \\ud83d\\ude00 😀 \\u00e9"}')),
            (("note", {"text": "żółw 東京 😀 😀 é"}),),
        ),
        Case(
            "escapes",
            wrap(call("note", r'{"text": "a\"b\\\n\t\/{[<tool_call>]}"}')),
            (("note", {"text": 'a"b\\\n\t/{[<tool_call>]}'}),),
        ),
        Case("no arguments", wrap(f'{{"{name}": "ping"}}'), (("ping", {}),)),
        Case("null arguments", wrap(call("ping", "null")), (("ping", {}),)),
        Case("empty string", wrap(call("ping", '""')), (("ping", {}),)),
        Case(
            "arguments in a string",
            wrap(call("lookup", r'"{\"id\": 7}"')),
            (("lookup", {"id": 7}),),
        ),
        Case(
            "arguments before the name",
            wrap(f'{{"{key}": {{"id": 7}}, "{name}": "lookup"}}'),
            (("lookup", {"id": 7}),),
        ),
        Case(
            "other members",
            wrap(f'{{"type": "function", "n": [1], "{name}": "ping", "{key}": {{}}, "x": 1.5}}'),
            (("ping", {}),),
        ),
        Case(
            "special name",
            wrap(call("get-data.v2_x", '{"q": "?"}')),
            (("get-data.v2_x", {"q": "?"}),),
        ),
        Case("escaped name", wrap(call("p\\u0069ng", "{}")), (("ping", {}),)),
        Case(
            "big numbers",
            wrap(call("note", '{"n": 123456789012345678901, "m": -1.5e-7}')),
            (("note", {"n": 123456789012345678901, "m": -1.5e-7}),),
        ),
        Case(
            "very long",
            wrap(call("note", f'{{"text": "{LONG}"}}')),
            (("note", {"text": LONG_VALUE}),),
        ),
        Case(
            "raw line breaks and wrong escapes in strings",
            wrap(call("note", '{"text": "a\n\tb\\d\\u12g\\\'"}')),
            (("note", {"text": "a\n\tb\\d\\u12g\\'"}),),
        ),
        Case(
            "lone surrogate",
            wrap(call("note", r'{"text": "\ud83d!"}')),
            (("note", {"text": "\ud83d!"}),),
        ),
    ]


def mistral(*calls: str) -> str:
    return f"[TOOL_CALLS] [{', '.join(calls)}]"


def qwen(*calls: str) -> str:
    return "\n".join(f"<tool_call>\n{call}\n</tool_call>" for call in calls)


def cohere(*calls: str) -> str:
    return f"<|START_ACTION|>[{', '.join(calls)}]<|END_ACTION|>"


def array(*calls: str) -> str:
    return f"[{', '.join(calls)}]"


PING = '{"name": "ping", "arguments": {}}'
PINGED: tuple[tuple[str, Any], ...] = (("ping", {}),)
BAD = '{"name": "bad", "arguments": {"a": {"name": "ping", "arguments": {}}}}'

JSON = [
    *common(array, "arguments"),
    *common(lambda *calls: ", ".join(calls), "parameters"),
    Case("text around", f'size 6" then {PING} [done]', PINGED, 'size 6" then  [done]'),
    Case("a name cut short", '{"name":"look', (), '{"name":"look'),
    Case("no call", '{"total": 3}', (), '{"total": 3}'),
    Case("value, then call", '{"note":1} {"name":"ping","arguments":{}}', PINGED, '{"note":1} '),
    Case("text after array", f"[{PING}] [done]", PINGED, " [done]"),
    Case("unknown function", BAD, (), BAD),
    Case("unknown in array", f"[{BAD}, {PING}]", PINGED, f"[{BAD}, "),
    Case("unknown last in array", f"[{PING}, {BAD}] x", PINGED, f", {BAD} x"),
    Case("unknown allowed", '{"name": "bad"}', (("bad", {}),), "", any_name=True),
    Case("key function", '{"function": "ping"}', PINGED),
    Case("key tool_name", '{"tool_name": "ping"}', PINGED),
    Case("empty name", '{"name": ""}', (), '{"name": ""}', any_name=True),
    Case("brackets in text", "f(x) { return a[1]; } // [{}]", (), "f(x) { return a[1]; } // [{}]"),
    Case(
        "truncated",
        '{"name":"lookup","arguments":{"id": 7, "note": "a',
        (("lookup", '{"id":7,"note":"a'),),
    ),
    Case(
        "cut in an escape",
        '{"name":"note","arguments":{"text": "a\\ud8',
        (("note", '{"text":"a\\ud8'),),
    ),
    Case(
        "no JSON in arguments",
        '{"name":"lookup","arguments":{"id": <oops>',
        (("lookup", '{"id":'),),
        "<oops>",
    ),
    Case("number without end", '{"total": 3', (), '{"total": 3'),
]
LLAMA = [
    *common(lambda *calls: "<|python_tag|>" + ";".join(calls), "parameters"),
    *common(lambda *calls: ";".join(calls), "parameters"),
    Case("text before", 'Hi <|python_tag|>{"name":"ping","parameters":{}}', PINGED, "Hi "),
    Case("half a tag", "Hi <|py", (), "Hi <|py"),
    Case(
        "separator in string",
        '<|python_tag|>{"name":"note","parameters":{"text":"a; b"}}',
        (("note", {"text": "a; b"}),),
    ),
    Case(
        "unknown function",
        '{"name": "stock", "parameters": {"t": 1}}',
        (),
        '{"name": "stock", "parameters": {"t": 1}}',
    ),
    Case(
        "unknown behind a tag",
        '<|python_tag|>{"name": "stock"}',
        (),
        '<|python_tag|>{"name": "stock"}',
    ),
    Case("built-in tool", '<|python_tag|>print("x")', (), '<|python_tag|>print("x")'),
    Case("bare in text", f"Say {PING}", (), f"Say {PING}"),
    Case("text after", f"{PING} done", PINGED, " done"),
    Case(
        "truncated", '<|python_tag|>{"name":"lookup","parameters":{"id":', (("lookup", '{"id":'),)
    ),
    Case("malformed", "<|python_tag|>{name: ping}", (), "<|python_tag|>{name: ping}"),
]
MISTRAL = [
    *common(mistral, "arguments"),
    Case("text around", f"Let me. [TOOL_CALLS] [{PING}] Done.", PINGED, "Let me.  Done."),
    Case(
        "unknown first",
        f'[TOOL_CALLS] [{{"name": "bad", "arguments": {{}}}}, {PING}]',
        PINGED,
        '[TOOL_CALLS] [{"name": "bad", "arguments": {}}, ',
    ),
    Case("no space", f"[TOOL_CALLS][{PING}]", PINGED),
    Case("any space", f"[TOOL_CALLS]\n\n[\n {PING}\n]\n", PINGED),
    Case("nothing behind", "[TOOL_CALLS] nothing", (), "[TOOL_CALLS] nothing"),
    Case("half a marker", "[TOOL_CA", (), "[TOOL_CA"),
    Case(
        "truncated", '[TOOL_CALLS] [{"name": "lookup", "arguments": {"id"', (("lookup", '{"id"'),)
    ),
    Case(
        "not announced",
        '[TOOL_CALLS] [{"arguments": {"id"',
        (),
        '[TOOL_CALLS] [{"arguments": {"id"',
    ),
    Case(
        "newer form",
        '[TOOL_CALLS]lookup[ARGS]{"id": 7}[TOOL_CALLS]ping[ARGS]{} x',
        (("lookup", {"id": 7}), ("ping", {})),
        " x",
    ),
    Case(
        "newer form with id",
        '[TOOL_CALLS]lookup[CALL_ID]a1B2[ARGS]{"id": 7}',
        (("lookup", {"id": 7}),),
    ),
    Case("newer form, unknown", "[TOOL_CALLS]bad[ARGS]{}", (), "[TOOL_CALLS]bad[ARGS]{}"),
    Case("brackets in text", "see [1] and [TOOL", (), "see [1] and [TOOL"),
    Case("unclosed array", f"[TOOL_CALLS] [{PING}", PINGED),
    Case("malformed", "[TOOL_CALLS] [{'name': 'ping'}]", (), "[TOOL_CALLS] [{'name': 'ping'}]"),
]
QWEN = [
    *common(qwen, "arguments"),
    Case("text around", f"<tool_call>\n{PING}\n</tool_call>\nbye", PINGED, "\nbye"),
    Case("no line breaks", f"Hi<tool_call>{PING}</tool_call>", PINGED, "Hi"),
    Case(
        "text between",
        f"a<tool_call>{PING}</tool_call> b <tool_call>{PING}</tool_call> ",
        PINGED * 2,
        "a b ",
    ),
    Case(
        "bad block",
        f"<tool_call>{{bad}}</tool_call> <tool_call>{PING}</tool_call>",
        PINGED,
        "<tool_call>{bad}</tool_call> ",
    ),
    Case(
        "unknown function",
        f"<tool_call>\n{BAD}\n</tool_call>",
        (),
        f"<tool_call>\n{BAD}\n</tool_call>",
    ),
    Case("brace too much", f"<tool_call>{PING}}}</tool_call>", PINGED, "}"),
    Case("closer is missing", f"<tool_call>{PING} and <tool_call>{PING}", PINGED * 2, " and "),
    Case("closer alone", "a </tool_call> b", (), "a </tool_call> b"),
    Case("half a tag", "Sure <tool", (), "Sure <tool"),
    Case("not a tag", "a < b <tool_", (), "a < b <tool_"),
    Case("opened twice", f"<tool_call><tool_call>{PING}</tool_call>", PINGED, "<tool_call>"),
    Case(
        "truncated",
        '<tool_call>\n{"name": "lookup", "arguments": {"id": 1',
        (("lookup", '{"id":1'),),
    ),
    Case(
        "brace is missing",
        '<tool_call>{"name": "lookup", "arguments": {"id": 1</tool_call>',
        (("lookup", '{"id":1'),),
    ),
]
COHERE = [
    *common(cohere, "parameters", "tool_name"),
    Case(
        "response",
        f"<|START_RESPONSE|>One moment.<|END_RESPONSE|><|START_ACTION|>{PING}<|END_ACTION|>",
        PINGED,
        "One moment.",
    ),
    Case("text markers", "<|START_TEXT|>Hi<|END_TEXT|>!", (), "Hi!"),
    Case(
        "end in a string",
        '<|START_ACTION|>{"tool_name": "note", "parameters": '
        '{"text": "<|END_ACTION|>"}}<|END_ACTION|>',
        (("note", {"text": "<|END_ACTION|>"}),),
    ),
    Case(
        "several blocks",
        f"<|START_ACTION|>{PING}<|END_ACTION|>\n<|START_ACTION|>{PING}<|END_ACTION|> x",
        PINGED * 2,
        " x",
    ),
    Case("cut marker", "<|START_RESPONSE|>Hi<|START_AC", (), "Hi<|START_AC"),
    Case(
        "unknown function",
        f"<|START_ACTION|>{BAD}<|END_ACTION|>",
        (),
        f"<|START_ACTION|>{BAD}<|END_ACTION|>",
    ),
    Case(
        "malformed",
        "<|START_ACTION|>ping()<|END_ACTION|>",
        (),
        "<|START_ACTION|>ping()<|END_ACTION|>",
    ),
    Case(
        "call id",
        '<|START_ACTION|>[{"tool_call_id": "0", "tool_name": "ping", "parameters": {}}]'
        "<|END_ACTION|>",
        PINGED,
    ),
    Case(
        "truncated",
        '<|START_ACTION|>[{"tool_name": "lookup", "parameters": {"id": 7',
        (("lookup", '{"id":7'),),
    ),
]
CASES = {"json": JSON, "llama": LLAMA, "mistral": MISTRAL, "qwen": QWEN, "cohere": COHERE}
