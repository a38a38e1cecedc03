"""What parsing costs: a tool call streamed in pieces of four characters, by every format.

`python -m perf.micro.bench_parsers`. The unit is `json.loads` of the call as JSON, timed in turn
with it, because absolute times say little on a busy machine. Four characters are about a token, so
the last column is what a parser adds to each token. *Calls alone* is the floor of that: as many
calls of a parser's `feed` with no text at all. The row *deltas alone* is no parser: it makes a
delta of every piece.

`--must-hold` fails if a call of usual arguments, streamed, costs more than five times its unit by
any format. `--check` fails if four megabytes cost more than eight times what one does: linear is
four, and a square sixteen.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any

from smg.parsers import ToolContext, Tools
from smg.parsers.base import CallArguments
from smg.parsers.registry import REASONING_PARSERS, TOOL_PARSERS

TOOLS = Tools([{"type": "function", "function": {"name": "search_flights"}}])
PIECE = 4
LIMIT = 5.0  # times the unit
#: what agents send, about 350 characters
USUAL = {
    "origin": "SFO",
    "destination": "NRT",
    "departure": {"date": "2026-12-01", "flexible_days": 3},
    "passengers": [{"type": "adult", "count": 2}, {"type": "child", "count": 1, "ages": [7]}],
    "cabin": "economy",
    "max_price": 1850.5,
    "nonstop": False,
    "airlines": ["ANA", "JAL", "United"],
    "notes": "Window seats if possible, and one vegetarian meal.",
}
#: one long string, which `json.loads` reads at the speed of a copy
LONG = {"text": "The quick brown fox said 'no' and jumped over 13 lazy dogs, twice. " * 30}
NAME = "search_flights"


#: how the model writes the call as one object: what stands before it, and behind it
WHOLE = {
    "json": ("", ""),
    "llama": ("<|python_tag|>", ""),
    "mistral": ("[TOOL_CALLS] [", "]"),
    "qwen": ("<tool_call>\n", "\n</tool_call>"),
    "cohere": ("<|START_ACTION|>", "<|END_ACTION|>"),
}
#: the same for the arguments as one object
OBJECT = {
    "deepseek": (
        f"<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>{NAME}\n```json\n",
        "\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    ),
    "deepseek31": (
        f"<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>{NAME}<｜tool▁sep｜>",
        "<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    ),
    "kimik2": (
        f"<|tool_calls_section_begin|><|tool_call_begin|>functions.{NAME}:0"
        "<|tool_call_argument_begin|>",
        "<|tool_call_end|><|tool_calls_section_end|>",
    ),
    "inkling": (
        f'<|message_model|>{NAME}<|content_invoke_tool_json|>{{"name": "{NAME}", "args": ',
        "}<|end_message|>",
    ),
}


def dsml(block: str, space: str = "") -> tuple[str, str, str]:
    """As below."""
    mark = f"｜DSML｜{space}"
    return (
        f'<{mark}{block}>\n<{mark}invoke name="{NAME}">\n',
        f'<{mark}parameter name="{{k}}" string="{{s}}">{{v}}</{mark}parameter>\n',
        f"</{mark}invoke>\n</{mark}{block}>",
    )


#: arguments one by one: what stands before them, each of them, and what stands behind them
ELEMENTS = {
    "qwen_xml": (
        f"<tool_call>\n<function={NAME}>\n",
        "<parameter={k}>\n{v}\n</parameter>\n",
        "</function>\n</tool_call>",
    ),
    "minimax_m2": (
        f'<minimax:tool_call>\n<invoke name="{NAME}">\n',
        '<parameter name="{k}">{v}</parameter>\n',
        "</invoke>\n</minimax:tool_call>",
    ),
    "minimax_m3": (
        f']<]minimax[>[<tool_call>\n]<]minimax[>[<invoke name="{NAME}">\n',
        "]<]minimax[>[<{k}>{v}]<]minimax[>[</{k}>\n",
        "]<]minimax[>[</invoke>\n]<]minimax[>[</tool_call>",
    ),
    "glm45_moe": (
        f"<tool_call>{NAME}\n",
        "<arg_key>{k}</arg_key>\n<arg_value>{v}</arg_value>\n",
        "</tool_call>",
    ),
    "glm47_moe": (
        f"<tool_call>{NAME}",
        "<arg_key>{k}</arg_key><arg_value>{v}</arg_value>",
        "</tool_call>",
    ),
    "deepseek32": dsml("function_calls"),
    "deepseek_v4": dsml("tool_calls"),
    "deepseek_v41": dsml("calls", " "),
    "step3": (
        "<｜tool_calls_begin｜><｜tool_call_begin｜>function<｜tool_sep｜>"
        f'<steptml:invoke name="{NAME}">',
        '<steptml:parameter name="{k}">{v}</steptml:parameter>',
        "</steptml:invoke><｜tool_call_end｜><｜tool_calls_end｜>",
    ),
    "kimi_k3": (
        f'<|open|>tools<|sep|><|open|>call tool="{NAME}" index="1"<|sep|>',
        '<|open|>argument key="{k}" type="{t}"<|sep|>{v}<|close|>argument<|sep|>',
        "<|close|>call<|sep|><|close|>tools<|sep|>",
    ),
}
#: what JSON calls them
TYPES = {
    str: "string",
    dict: "object",
    list: "array",
    bool: "boolean",
    int: "number",
    float: "number",
}
#: calls as Python writes them
PYTHON = ("pythonic", "sarashina")
FORMATS = (*WHOLE, *OBJECT, *ELEMENTS, *PYTHON)


def call(name: str, arguments: dict[str, Any]) -> str:
    """A call as the format of `name` writes it."""
    if name in WHOLE:
        before, behind = WHOLE[name]
        return before + json.dumps({"name": NAME, "arguments": arguments}) + behind
    if name in OBJECT:
        before, behind = OBJECT[name]
        return before + json.dumps(arguments) + behind
    if name in ELEMENTS:
        before, element, behind = ELEMENTS[name]
        return before + elements(arguments, element, name == "minimax_m3") + behind
    if name == "sarashina":
        return repr([{"name": NAME, "arguments": arguments}])
    keywords = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
    return f"[{NAME}({keywords})]"


def elements(arguments: dict[str, Any], form: str, nested: bool = False) -> str:
    """The arguments one by one, as `form` writes one: `k`, `v`, the type `t`, and whether `v` is a
    string (`s`). `nested`: objects are written so too.
    """
    written = []
    for key, value in arguments.items():
        if isinstance(value, str):
            text = value
        elif isinstance(value, dict) and nested:
            text = elements(value, form, nested)
        else:
            text = json.dumps(value)
        is_string = "true" if isinstance(value, str) else "false"
        written.append(form.format(k=key, v=text, t=TYPES[type(value)], s=is_string))
    return "".join(written)


def pieces(text: str) -> list[str]:
    return [text[at : at + PIECE] for at in range(0, len(text), PIECE)]


def tool_stream(name: str, parts: list[str]) -> Callable[[], None]:
    kind = TOOL_PARSERS.kind(name)
    context = ToolContext(TOOLS)  # one per request, whatever its answers

    def run() -> None:
        parser = kind(context)
        for part in parts:
            parser.feed(part)
        parser.finish()

    return run


def reasoning_stream(parts: list[str]) -> Callable[[], None]:
    kind = REASONING_PARSERS.kind("deepseek_r1")

    def run() -> None:
        parser = kind()
        for part in parts:
            parser.feed(part)
        parser.finish()

    return run


def calls_alone(count: int) -> Callable[[], None]:
    """A parser that has nothing to do."""
    parser = TOOL_PARSERS.kind("passthrough")(ToolContext(TOOLS))

    def run() -> None:
        for _ in range(count):
            parser.feed("")

    return run


def deltas_alone(parts: list[str]) -> Callable[[], None]:
    """A list with a delta for every piece."""

    def run() -> None:
        for part in parts:
            _ = [CallArguments(0, part)]

    return run


def best(*runs: Callable[[], object]) -> list[float]:
    """The shortest times in seconds, measured in turn: what disturbs only makes longer."""
    times = [float("inf")] * len(runs)
    for _ in range(200):
        times = [min(time, seconds_of(run)) for time, run in zip(times, runs, strict=True)]
    return times


def seconds_of(run: Callable[[], object]) -> float:
    start = perf_counter()
    run()
    return perf_counter() - start


def row(name: str, run: Callable[[], object], arguments: dict[str, Any], count: int) -> float:
    """Measures and prints; gives the ratio."""
    whole = json.dumps({"name": NAME, "arguments": arguments})

    def unit() -> None:
        for _ in range(10):
            json.loads(whole)

    ours, alone, theirs = best(run, calls_alone(count), unit)
    theirs /= 10
    print(
        f"{name:<14}{count:>7}{ours * 1e6:>10.1f} us{theirs * 1e6:>9.1f} us"
        f"{ours / theirs:>8.1f}x{alone / theirs:>12.1f}x{ours / count * 1e9:>9.0f} ns"
    )
    return ours / theirs


def check() -> bool:
    """Whether cost grows with the text and not with its square."""
    good = True
    for name in FORMATS:
        if name in PYTHON:  # longer lists than 64 KiB are content
            continue
        times = []
        for length in (1 << 20, 1 << 22):
            run = tool_stream(name, pieces(call(name, {"text": "x" * length})))
            times.append(min(seconds_of(run) for _ in range(5)))
        ratio = times[1] / times[0]
        good = good and ratio < 8
        print(f"{name:<12} 4 MiB cost {ratio:.1f} times a quarter of them ({times[1]:.2f} s)")
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--must-hold", action="store_true")
    options = parser.parse_args()
    if options.check:
        return 0 if check() else 1
    above: list[str] = []
    for title, arguments in (("usual arguments", USUAL), ("one long string", LONG)):
        print(
            f"{title:<14}{'pieces':>6}{'streamed':>13}{'json.loads':>12}{'ratio':>9}"
            f"{'calls alone':>13}{'each':>12}"
        )
        for name in FORMATS:
            parts = pieces(call(name, arguments))
            ratio = row(name, tool_stream(name, parts), arguments, len(parts))
            if ratio > LIMIT and arguments is USUAL:
                above.append(name)
            row("  at once", tool_stream(name, ["".join(parts)]), arguments, 1)
        parts = pieces(json.dumps(arguments))
        row("reasoning", reasoning_stream(parts), arguments, len(parts))
        row("deltas alone", deltas_alone(parts), arguments, len(parts))
    if options.must_hold and above:
        print(f"more than {LIMIT:.0f} times json.loads: {', '.join(above)}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
