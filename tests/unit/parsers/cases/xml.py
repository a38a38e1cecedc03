"""Calls whose arguments are elements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.unit.parsers.support import Case

LONG = "lorem } <ipsum " * 80
Call = Callable[..., str]
PINGED: tuple[tuple[str, Any], ...] = (("ping", {}),)


def qwen_xml(name: str, **values: str) -> str:
    inner = "".join(f"<parameter={k}>\n{v}\n</parameter>\n" for k, v in values.items())
    return f"<tool_call>\n<function={name}>\n{inner}</function>\n</tool_call>"


def glm45(name: str, **values: str) -> str:
    inner = "".join(
        f"<arg_key>{k}</arg_key>\n<arg_value>{v}</arg_value>\n" for k, v in values.items()
    )
    return f"<tool_call>{name}\n{inner}</tool_call>"


def glm47(name: str, **values: str) -> str:
    inner = "".join(f"<arg_key>{k}</arg_key><arg_value>{v}</arg_value>" for k, v in values.items())
    return f"<tool_call>{name}{inner}</tool_call>"


def step3(name: str, **values: str) -> str:
    inner = "".join(
        f'<steptml:parameter name="{k}">{v}</steptml:parameter>' for k, v in values.items()
    )
    invoke = f'<steptml:invoke name="{name}">{inner}</steptml:invoke>'
    return f"<｜tool_call_begin｜>function<｜tool_sep｜>{invoke}<｜tool_call_end｜>"


def invoke(name: str, **values: str) -> str:
    inner = "".join(f'<parameter name="{k}">{v}</parameter>\n' for k, v in values.items())
    return f'<invoke name="{name}">\n{inner}</invoke>\n'


def is_string(value: str) -> str:
    return "false" if value == "true" or value[:1] in "0123456789[{" else "true"


def dsml(name: str, **values: str) -> str:
    inner = "".join(
        f'<｜DSML｜parameter name="{k}" string="{is_string(v)}">{v}</｜DSML｜parameter>\n'
        for k, v in values.items()
    )
    return f'<｜DSML｜invoke name="{name}">\n{inner}</｜DSML｜invoke>\n'


def bare(*calls: str) -> str:
    return "\n".join(calls)


def step3_section(*calls: str) -> str:
    return f"<｜tool_calls_begin｜>{''.join(calls)}<｜tool_calls_end｜>"


def minimax_section(*calls: str) -> str:
    return f"<minimax:tool_call>\n{''.join(calls)}</minimax:tool_call>"


M3 = "]<]minimax[>["


def minimax_m3(name: str, **values: str) -> str:
    inner = "".join(f"{M3}<{k}>{v}{M3}</{k}>\n" for k, v in values.items())
    return f'{M3}<invoke name="{name}">\n{inner}{M3}</invoke>\n'


def minimax_m3_section(*calls: str) -> str:
    return f"{M3}<tool_call>\n{''.join(calls)}{M3}</tool_call>"


def m3(text: str) -> str:
    """Elements as they are usually written, with the mark put before every tag."""
    return text.replace("<", f"{M3}<")


def dsml_section(*calls: str) -> str:
    return f"<｜DSML｜function_calls>\n{''.join(calls)}</｜DSML｜function_calls>"


def dsml_v4(*calls: str) -> str:
    return dsml_section(*calls).replace("function_calls", "tool_calls")


def dsml_v41(*calls: str) -> str:
    return dsml_section(*calls).replace("｜DSML｜function_calls", "｜DSML｜ calls")


def common(call: Call, wrap: Call, half: str) -> list[Case]:
    ping = call("ping")
    return [
        Case("plain", wrap(call("lookup", id="7")), (("lookup", {"id": 7}),)),
        Case("parallel", wrap(call("lookup", id="7"), ping), (("lookup", {"id": 7}), *PINGED)),
        Case("no arguments", wrap(ping), PINGED),
        Case(
            "nested",
            wrap(call("note", opts='{"a": [1, {"b": null}]}', tags='["x"]')),
            (("note", {"opts": {"a": [1, {"b": None}]}, "tags": ["x"]}),),
        ),
        Case(
            "unicode",
            wrap(call("note", text="東京 😀 naïve")),
            (("note", {"text": "東京 😀 naïve"}),),
        ),
        Case(
            "escapes",
            wrap(call("note", text='a"b\\c}\n\td')),
            (("note", {"text": 'a"b\\c}\n\td'}),),
        ),
        Case("text around", f"Hi. {wrap(ping)} Bye.", PINGED, "Hi.  Bye."),
        Case("text between", f"{wrap(ping)} and {wrap(ping)}", PINGED * 2, " and "),
        Case(
            "many",
            wrap(call("note", text="a", done="true", ratio="1.5")),
            (("note", {"text": "a", "done": True, "ratio": 1.5}),),
        ),
        Case("special name", wrap(call("get-data.v2_x", q="?")), (("get-data.v2_x", {"q": "?"}),)),
        Case("malformed", wrap("what?"), (), wrap("what?")),
        Case("half a marker", f"x {half}", (), f"x {half}"),
        Case(
            "very long", wrap(call("note", text=LONG.strip())), (("note", {"text": LONG.strip()}),)
        ),
    ]


def unknown(call: Call, wrap: Call) -> list[Case]:
    bad = wrap(call("bad", id="7"))
    return [
        Case("unknown function", f"x {bad} y", (), f"x {bad} y"),
        Case("unknown allowed", bad, (("bad", {"id": 7}),), any_name=True),
        Case("empty name", wrap(call("")), (), wrap(call("")), any_name=True),
    ]


def typed(call: Call, wrap: Call) -> list[Case]:
    return [
        Case("number as text", wrap(call("note", text="4")), (("note", {"text": "4"}),)),
        Case("quoted text", wrap(call("note", text='"4"')), (("note", {"text": "4"}),)),
        Case(
            "Python's words",
            wrap(call("note", done="False", x="None")),
            (("note", {"done": False, "x": None}),),
        ),
        Case(
            "integer",
            wrap(call("lookup", id="seven", x="+7")),
            (("lookup", {"id": "seven", "x": 7}),),
        ),
        Case(
            "big integer",
            wrap(call("lookup", id="123456789012345678901")),
            (("lookup", {"id": 123456789012345678901}),),
        ),
        Case(
            "not finite",
            wrap(call("note", ratio="1e999", x="NaN")),
            (("note", {"ratio": "1e999", "x": "NaN"}),),
        ),
    ]


QWEN_XML = [
    *common(qwen_xml, bare, "<tool_c"),
    *unknown(qwen_xml, bare),
    *typed(qwen_xml, bare),
    Case(
        "entities",
        qwen_xml("note", text="Tom &amp; Jerry"),
        (("note", {"text": "Tom &amp; Jerry"}),),
    ),
    Case("empty value", qwen_xml("note", text=""), (("note", {"text": ""}),)),
    Case("a call without its tag", "<function=ping></function>", (), "<function=ping></function>"),
    Case(
        "function never ends",
        "<tool_call><function=lookup><parameter=id>7</parameter></tool_call>",
        (("lookup", {"id": 7}),),
    ),
    Case(
        "text inside",
        "<tool_call><function=lookup>well<parameter=id>7</parameter></function></tool_call>",
        (("lookup", {"id": 7}),),
        "well",
    ),
    Case(
        "truncated",
        qwen_xml("lookup", id="7", note="two words").split("words")[0],
        (("lookup", '{"id":7,"note":"two '),),
    ),
    Case("cut before the value", "<tool_call><function=lookup><parameter=i", (("lookup", '{"i'),)),
    Case(
        "tag in a value",
        qwen_xml("note", text="</function> <tool_call>"),
        (("note", {"text": "</function> <tool_call>"}),),
    ),
]
GLM45 = [
    *common(glm45, bare, "<tool_call"),
    *unknown(glm45, bare),
    *typed(glm45, bare),
    Case(
        "both in the last piece",
        f"{glm45('lookup', id='7')} so {glm45('ping')}",
        (("lookup", {"id": 7}), *PINGED),
        " so ",
    ),
    Case("truncated", glm45("lookup", id="7")[:-3], (), glm45("lookup", id="7")[:-3]),
    Case(
        "value is missing",
        "<tool_call>lookup\n<arg_key>id</arg_key></tool_call>",
        (),
        "<tool_call>lookup\n<arg_key>id</arg_key></tool_call>",
    ),
]
GLM47 = [
    *common(glm47, bare, "<tool_call"),
    *unknown(glm47, bare),
    *typed(glm47, bare),
    Case("shortest", "<tool_call>ping</tool_call>", PINGED),
    Case("line breaks", glm45("lookup", id="7"), (("lookup", {"id": 7}),)),
    Case("truncated", glm47("lookup", id="7")[:-3], (), glm47("lookup", id="7")[:-3]),
]
STEP3 = [
    *common(step3, step3_section, "<｜tool_calls"),
    *unknown(step3, step3_section),
    Case("no schema", step3_section(step3("note", text="4")), (("note", {"text": 4}),)),
    Case(
        "not a function",
        step3_section(step3("ping").replace("function", "tool")),
        (),
        step3_section(step3("ping").replace("function", "tool")),
    ),
    Case("call outside", step3("ping"), (), step3("ping")),
    Case(
        "truncated",
        step3_section(step3("lookup", id="7")).split("7")[0] + "7",
        (("lookup", '{"id":"7'),),
    ),
]
MINIMAX = [
    *common(invoke, minimax_section, "<minimax:t"),
    *typed(invoke, minimax_section),
    Case("unknown function", minimax_section(invoke("bad", id="7")), (("bad", {"id": 7}),)),
    Case("empty name", minimax_section(invoke("")), (), minimax_section(invoke("")), any_name=True),
    Case(
        "entities",
        minimax_section(invoke("note", text="a &lt;b&gt; &amp; &quot;c&apos;")),
        (("note", {"text": "a <b> & \"c'"}),),
    ),
    Case(
        "order",
        minimax_section(invoke("x", c="1", a="2", b="3"), invoke("y", z="[1]")),
        (("x", {"c": 1, "a": 2, "b": 3}), ("y", {"z": [1]})),
    ),
    Case(
        "white space", minimax_section(invoke("note", text=" a\n")), (("note", {"text": " a\n"}),)
    ),
    Case("outside", invoke("ping"), (), invoke("ping")),
    Case(
        "truncated",
        minimax_section(invoke("note", text="two words")).split("words")[0],
        (("note", '{"text":"two '),),
    ),
]

MINIMAX_M3 = [
    *common(minimax_m3, minimax_m3_section, "]<]mini"),
    *typed(minimax_m3, minimax_m3_section),
    Case("unknown function", minimax_m3_section(minimax_m3("bad", id="7")), (("bad", {"id": 7}),)),
    Case(
        "empty name",
        minimax_m3_section(minimax_m3("")),
        (),
        minimax_m3_section(minimax_m3("")),
        any_name=True,
    ),
    Case(
        "elements in elements",
        m3(
            '<tool_call><invoke name="note"><opts>\n<a>1</a><b><c>x</c></b>\n</opts>'
            "<tags><item>a</item><item>b</item></tags></invoke></tool_call>"
        ),
        (("note", {"opts": {"a": 1, "b": {"c": "x"}}, "tags": ["a", "b"]}),),
    ),
    Case(
        "an element again and again",
        m3('<tool_call><invoke name="x"><o><i>1</i><i>2</i><j>3</j></o></invoke></tool_call>'),
        (("x", {"o": {"i": [1, 2], "j": 3}}),),
    ),
    Case(
        "a value with tags",
        minimax_m3_section(minimax_m3("note", text=f"<b>a</b> </text> {M3} {M3}<no end\n")),
        (("note", {"text": f"<b>a</b> </text> {M3} {M3}<no end"}),),
    ),
    Case(
        "a call that does not end",
        m3('<tool_call><invoke name="ping"><invoke name="lookup"><id>7</id></tool_call>') + " so",
        (*PINGED, ("lookup", {"id": 7})),
        " so",
    ),
    Case(
        "white space in tags",
        m3('<tool_call><invoke name="note">< text >a</text ><opts>< b >1</b\t></opts>')
        + m3("</invoke></tool_call>"),
        (("note", {"text": "a", "opts": {"b": 1}}),),
    ),
    Case(
        "the longest name",
        minimax_m3_section(minimax_m3("note", **{"n" * 256: "7"})),
        (("note", {"n" * 256: 7}),),
    ),
    Case(
        "elements that are named after calls",
        m3('<tool_call><invoke name="note"><invoke>7</invoke></tool_call>'),
        (("note", {"invoke": 7}),),
    ),
    Case("text in a call", m3('<tool_call><invoke name="ping">') + "so", (("ping", ""),), "so"),
    Case("outside", minimax_m3("ping"), (), minimax_m3("ping")),
    Case(
        "truncated",
        minimax_m3_section(minimax_m3("note", text="two words")).split("words")[0],
        (("note", '{"text":"two '),),
    ),
    Case("cut in a tag", m3('<tool_call><invoke name="ping"><i'), (("ping", ""),), f"{M3}<i"),
    Case(
        "elements and text",
        m3('<tool_call><invoke name="note"><text><b>a</b></text><opts>x<b>1</b></opts></invoke>'),
        (("note", {"text": m3("<b>a</b>"), "opts": m3("x<b>1</b>")}),),
    ),
    Case(
        "an element that does not end",
        m3('<tool_call><invoke name="x"><a><b>1</invoke></tool_call>') + ".",
        (("x", {"a": {"b": 1}}),),
        ".",
    ),
]


def dsml_cases(wrap: Call) -> list[Case]:
    def call(name: str, **values: str) -> str:
        text = dsml(name, **values)
        return text.replace("｜DSML｜", "｜DSML｜ ") if wrap is dsml_v41 else text

    end = "</｜DSML｜ parameter>" if wrap is dsml_v41 else "</｜DSML｜parameter>"
    return [
        *common(call, wrap, "<｜DSML｜"),
        *unknown(call, wrap),
        Case("other block", "<｜DSML｜other>", (), "<｜DSML｜other>"),
        Case(
            "empty name, then a good one",
            wrap(call(""), call("ping")),
            PINGED,
            wrap(call("")).rsplit("</", 1)[0],
        ),
        Case(
            "JSON body",
            wrap(call("lookup").replace("\n", '{"id": 7}\n', 1)),
            (("lookup", {"id": 7}),),
        ),
        Case("string of false", wrap(call("lookup", id="7x")), (("lookup", {"id": "7x"}),)),
        Case(
            "end of sentence",
            wrap(call("note", text="par")).split(end)[0] + "<｜end▁of▁sentence｜>",
            (("note", '{"text":"par'),),
        ),
        Case("end of sentence after", wrap(call("ping")) + "<｜end▁of▁sentence｜>", PINGED),
        Case(
            "truncated",
            wrap(call("note", text="two words")).split("words")[0],
            (("note", '{"text":"two '),),
        ),
    ]


CASES = {
    "qwen_xml": QWEN_XML,
    "glm45_moe": GLM45,
    "glm47_moe": GLM47,
    "step3": STEP3,
    "minimax_m2": MINIMAX,
    "minimax_m3": MINIMAX_M3,
    "deepseek32": dsml_cases(dsml_section),
    "deepseek_v4": dsml_cases(dsml_v4),
    "deepseek_v41": dsml_cases(dsml_v41),
}
