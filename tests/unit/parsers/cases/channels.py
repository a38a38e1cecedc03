"""Calls in typed channels and blocks: kimi_k3, inkling."""

from __future__ import annotations

import json
from typing import Any

from tests.unit.parsers.cases.xml import PINGED, common
from tests.unit.parsers.support import Case

SEP = "<|sep|>"


def tag(head: str) -> str:
    return f"<|open|>{head}{SEP}"


def end(head: str) -> str:
    return f"<|close|>{head}{SEP}"


def argument(key: str, value: str) -> str:
    kind = "object" if value == "true" or value[:1] in "0123456789[{" else "string"
    return tag(f'argument key="{key}" type="{kind}"') + value + end("argument")


def kimi(name: str, **values: str) -> str:
    inner = "".join(argument(key, value) for key, value in values.items())
    return tag(f'call tool="{name}" index="1"') + inner + end("call")


def tools(*calls: str) -> str:
    return tag("tools") + "".join(calls) + end("tools")


KIMI_K3 = [
    *common(kimi, tools, "<|op"),
    Case(
        "response",
        tag("response") + "One moment. " + end("response") + tools(kimi("lookup", id="7")),
        (("lookup", {"id": 7}),),
        "One moment. ",
    ),
    Case("message", f"a{end('message')} b", (), "a b"),
    Case("unknown function", tools(kimi("bad", id="7")), (("bad", {"id": 7}),)),
    Case("no name", tools(kimi("")), (), tools(kimi("")), any_name=True),
    Case("outside", kimi("ping"), (), kimi("ping")),
    Case(
        "white space in tags",
        f'<|open|> tools {SEP}\n<|open|>call  tool = "lookup" {SEP}\n'
        f'<|open|> argument key="id" type="number" {SEP} 7 <|close|> argument {SEP}\n'
        f"<|close|> call {SEP}\n<|close|> tools {SEP}",
        (("lookup", {"id": 7}),),
    ),
    Case(
        "escaped attributes",
        tools(
            tag('call tool="note"')
            + tag('argument key="a&quot;&amp;quot;"')
            + "&amp;"
            + end("argument")
            + end("call")
        ),
        (("note", {'a"&quot;': "&amp;"}),),
    ),
    Case("not of its type", tools(kimi("note", opts="{a}")), (("note", {"opts": "{a}"}),)),
    Case(
        "tags in a value",
        tools(kimi("note", text=f"x {end('call')} <|close|>argument")),
        (("note", {"text": f"x {end('call')} <|close|>argument"}),),
    ),
    Case(
        "white space behind a string",
        tools(
            tag('call tool="note"')
            + tag('argument key="text" type="string"')
            + f"a<|close|> b<|close|>arguments{SEP}<|close|> \n argument {SEP}\n"
            + end("call")
        ),
        (("note", {"text": f"a<|close|> b<|close|>arguments{SEP}"}),),
    ),
    Case(
        "much white space between tags",
        tools(
            tag('call tool="note"')
            + " " * 2000
            + tag('argument key="text" type="string"')
            + "a"
            + end("argument")
            + "\n" * 2000
            + end("call")
        ),
        (("note", {"text": "a"}),),
    ),
    Case(
        "a token in a key",
        tools(tag('call tool="note"') + tag('argument key="a<b" type="string"') + "x"),
        (("note", ""),),
        tag('argument key="a<b" type="string"') + "x",
    ),
    Case(
        "the call does not end",
        tools(kimi("lookup", id="7").removesuffix(end("call"))),
        (("lookup", {"id": 7}),),
    ),
    Case(
        "text in a call",
        tools(tag('call tool="ping"') + "so"),
        (("ping", ""),),
        "so",
    ),
    Case("nothing in a tag", tools(tag('call tool="ping"') + tag("")), (("ping", ""),), tag("")),
    Case(
        "tags in tags",
        tools(tag('call tool="ping"') + "<|open|>argument <" + tag('call tool="ping"')),
        (("ping", ""), *PINGED),
        "<|open|>argument <",
    ),
    Case(
        "truncated",
        tools(kimi("note", text="two words")).split("words")[0],
        (("note", '{"text":"two '),),
    ),
    Case(
        "truncated object",
        tools(kimi("note", opts='{"a": 1}')).split("1}")[0],
        (("note", '{"opts":{"a":'),),
    ),
    Case(
        "cut in a tag",
        tools(kimi("ping")).split("call<|sep|><|close|>tools")[0] + "ca",
        (("ping", ""),),
        "<|close|>ca",
    ),
]


def inkling(name: str, arguments: Any = None) -> str:
    call = json.dumps({"name": name, "args": {} if arguments is None else arguments})
    return f"<|message_model|>{name}<|content_invoke_tool_json|>{call}<|end_message|>"


PING = inkling("ping")
INKLING = [
    Case("plain", inkling("lookup", {"id": 7}), (("lookup", {"id": 7}),)),
    Case("parallel", inkling("lookup", {"id": 7}) + PING, (("lookup", {"id": 7}), *PINGED)),
    Case("no arguments", PING, PINGED),
    Case("no end", PING.removesuffix("<|end_message|>"), PINGED),
    Case("the other end", PING.replace("end_message", "content_model_end_sampling"), PINGED),
    Case("two without ends", PING.removesuffix("<|end_message|>") * 2, PINGED * 2),
    Case(
        "nested",
        inkling("note", {"opts": {"a": [1, {"b": "}"}]}}),
        (("note", {"opts": {"a": [1, {"b": "}"}]}}),),
    ),
    Case("unicode", inkling("note", {"text": "東京 😀"}), (("note", {"text": "東京 😀"}),)),
    Case("escapes", inkling("note", {"text": 'a"b\\c\n'}), (("note", {"text": 'a"b\\c\n'}),)),
    Case(
        "text around",
        f"<|message_model|><|content_text|>Hi.<|end_message|>{PING}"
        "<|message_model|><|content_text|> Bye.<|end_message|>",
        PINGED,
        "Hi. Bye.",
    ),
    Case("special name", inkling("get-data.v2_x", {"q": "?"}), (("get-data.v2_x", {"q": "?"}),)),
    Case("unknown function", f"x{inkling('bad')}{PING} y", PINGED, "x y"),
    Case("unknown allowed", inkling("bad"), (("bad", {}),), any_name=True),
    Case("malformed", PING.replace("{", "what")),
    Case("no object", "<|content_invoke_tool_json|>[1]<|end_message|>"),
    Case("no name", '<|content_invoke_tool_json|>{"args": {}}<|end_message|>'),
    Case("as text", "<|content_invoke_tool_text|>ping()<|end_message|>"),
    Case(
        "arguments first",
        '<|content_invoke_tool_json|>{"args": {"id": 7}, "name": "lookup"}<|end_message|>',
        (("lookup", {"id": 7}),),
    ),
    Case("a header that is none", "<|message_model|>a <b> c", (), "<|message_model|>a <b> c"),
    Case("half a marker", "x <|content_inv", (), "x <|content_inv"),
    Case(
        "truncated",
        inkling("note", {"text": "two words"}).split("words")[0],
        (("note", '{"text":"two '),),
    ),
    Case("cut in the name", 'x<|content_invoke_tool_json|>{"name": "pi', (), "x"),
    Case(
        "very long",
        inkling("note", {"text": "lorem " * 200}),
        (("note", {"text": "lorem " * 200}),),
    ),
]

CASES = {"inkling": INKLING, "kimi_k3": KIMI_K3}
