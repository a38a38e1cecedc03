"""Calls in sections of markers: deepseek, deepseek31, kimik2."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.unit.parsers.support import Case

LONG = "lorem ipsum " * 80
V3_BEGIN = "<｜tool▁calls▁begin｜>"
V3_END = "<｜tool▁calls▁end｜>"
CALL_BEGIN = "<｜tool▁call▁begin｜>"
CALL_END = "<｜tool▁call▁end｜>"
SEP = "<｜tool▁sep｜>"


def deepseek(name: str, value: str) -> str:
    return f"{CALL_BEGIN}function{SEP}{name}\n```json\n{value}\n```{CALL_END}"


def deepseek31(name: str, value: str) -> str:
    return f"{CALL_BEGIN}{name}{SEP}{value}{CALL_END}"


def kimi(name: str, value: str) -> str:
    return (
        f"<|tool_call_begin|>functions.{name}:0<|tool_call_argument_begin|>{value}<|tool_call_end|>"
    )


def section(*calls: str) -> str:
    return f"{V3_BEGIN}{''.join(calls)}{V3_END}"


def kimi_section(*calls: str) -> str:
    return f"<|tool_calls_section_begin|>{''.join(calls)}<|tool_calls_section_end|>"


def common(call: Callable[[str, str], str], wrap: Callable[..., str], half: str) -> list[Case]:
    ping = call("ping", "{}")
    pinged: tuple[tuple[str, Any], ...] = (("ping", {}),)
    bad = call("bad", '{"id": 7}')
    return [
        Case("plain", wrap(call("lookup", '{"id": 7}')), (("lookup", {"id": 7}),)),
        Case("parallel", wrap(call("lookup", '{"id": 7}'), ping), (("lookup", {"id": 7}), *pinged)),
        Case("line breaks", wrap("\n", ping, "\n", ping, "\n"), pinged * 2),
        Case(
            "nested",
            wrap(call("note", '{"opts": {"a": [1, {"b": "}"}]}}')),
            (("note", {"opts": {"a": [1, {"b": "}"}]}}),),
        ),
        Case(
            "unicode",
            wrap(call("note", '{"text": "東京 😀 \\ud83d\\ude00"}')),
            (("note", {"text": "東京 😀 😀"}),),
        ),
        Case(
            "escapes",
            wrap(call("note", r'{"text": "a\"b\\```<"}')),
            (("note", {"text": 'a"b\\```<'}),),
        ),
        Case("text around", f"Hi. {wrap(ping)} Bye.", pinged, "Hi.  Bye."),
        Case(
            "special name", wrap(call("get-data.v2_x", '{"q":1}')), (("get-data.v2_x", {"q": 1}),)
        ),
        Case("unknown function", f"x {wrap(bad)} y", (), f"x {wrap(bad)} y"),
        Case("unknown allowed", wrap(bad), (("bad", {"id": 7}),), any_name=True),
        Case("unknown second", wrap(ping, bad), pinged, bad),
        Case("no section", f"a {ping}", (), f"a {ping}"),
        Case("empty section", wrap(), (), wrap()),
        Case("empty name", wrap(call("", "{}")), (), wrap(call("", "{}")), any_name=True),
        Case("malformed", wrap("what?"), (), wrap("what?")),
        Case("half a marker", f"x {half}", (), f"x {half}"),
        Case("two sections", f"{wrap(ping)} and {wrap(ping)}", pinged * 2, " and "),
        Case(
            "truncated",
            wrap(call("lookup", '{"id": 7')).split("7")[0] + "7",
            (("lookup", '{"id":7'),),
        ),
        Case("very long", wrap(call("note", f'{{"text": "{LONG}"}}')), (("note", {"text": LONG}),)),
    ]


DEEPSEEK = [
    *common(deepseek, section, V3_BEGIN[:-3]),
    Case(
        "not a function",
        section(deepseek("ping", "{}").replace("function", "tool")),
        (),
        section(deepseek("ping", "{}").replace("function", "tool")),
    ),
    Case("no object", section(deepseek("lookup", "[1, 2]")), (("lookup", {"value": [1, 2]}),)),
    Case(
        "end of sentence",
        f"{section(deepseek('ping', '{}'))}<｜end▁of▁sentence｜>",
        (("ping", {}),),
    ),
    Case(
        "no closing fence", section(deepseek("ping", "{}").replace("\n```<", "<")), (("ping", {}),)
    ),
    Case(
        "no fence",
        section(deepseek("ping", "{}").replace("```json", "")),
        (),
        section(deepseek("ping", "{}").replace("```json", "")),
    ),
]
DEEPSEEK31 = [
    *common(deepseek31, section, V3_BEGIN[:1]),
    Case("number", section(deepseek31("lookup", "7")), (("lookup", {"value": 7}),)),
    Case("string", section(deepseek31("lookup", '"a b"')), (("lookup", {"value": "a b"}),)),
    Case(
        "end of sentence",
        f"{section(deepseek31('ping', '{}'))}<｜end▁of▁sentence｜>",
        (("ping", {}),),
    ),
    Case("no end markers", V3_BEGIN + CALL_BEGIN + f"ping{SEP}{{}}", (("ping", {}),)),
]
KIMIK2 = [
    *common(kimi, kimi_section, "<|tool_calls_sec"),
    Case(
        "no prefix",
        kimi_section(kimi("lookup", '{"id": 1}').replace("functions.", "")),
        (("lookup", {"id": 1}),),
    ),
    Case(
        "spaces",
        kimi_section(kimi("lookup", ' {"id": 1} ').replace("functions", " functions")),
        (("lookup", {"id": 1}),),
    ),
    Case("no object", kimi_section(kimi("ping", "[]")), (), kimi_section(kimi("ping", "[]"))),
    Case(
        "no number",
        kimi_section(kimi("ping", "{}").replace(":0", "")),
        (),
        kimi_section(kimi("ping", "{}").replace(":0", "")),
    ),
]
CASES = {"deepseek": DEEPSEEK, "deepseek31": DEEPSEEK31, "kimik2": KIMIK2}
