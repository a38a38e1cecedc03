"""What parsing costs: a tool call streamed in pieces of four characters, by every format.

`python -m perf.micro.bench_parsers`. The unit is `json.loads` of the whole call, timed in turn
with it, because absolute times say little on a busy machine; microseconds are given beside it. A
stream of four characters per piece is about what an engine sends per token, so the last column is
what a parser adds to each token. `--check` fails if one megabyte costs much more than twice half.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from time import perf_counter

from smg.parsers import ToolContext, Tools
from smg.parsers.registry import REASONING_PARSERS, TOOL_PARSERS

TOOLS = Tools([{"type": "function", "function": {"name": "note"}}])
TEXT = "The quick brown fox said 'no' and jumped over 13 lazy dogs, twice. "
PIECE = 4


def call(name: str, text: str) -> str:
    """A call of one long argument as the format of `name` writes it."""
    plain = json.dumps({"name": "note", "arguments": {"text": text}})
    arguments = json.dumps({"text": text})
    formats = {
        "json": plain,
        "llama": f"<|python_tag|>{plain}",
        "mistral": f"[TOOL_CALLS] [{plain}]",
        "qwen": f"<tool_call>\n{plain}\n</tool_call>",
        "cohere": f"<|START_ACTION|>{plain}<|END_ACTION|>",
        "deepseek31": f"<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>note<｜tool▁sep｜>{arguments}"
        "<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        "qwen_xml": f"<tool_call><function=note><parameter=text>{text}</parameter></function>"
        "</tool_call>",
        "glm47_moe": f"<tool_call>note<arg_key>text</arg_key><arg_value>{text}</arg_value>"
        "</tool_call>",
        "pythonic": f"[note(text={text!r})]",
    }
    return formats[name]


FORMATS = (
    "json",
    "llama",
    "mistral",
    "qwen",
    "cohere",
    "deepseek31",
    "qwen_xml",
    "glm47_moe",
    "pythonic",
)


def pieces(text: str) -> list[str]:
    return [text[at : at + PIECE] for at in range(0, len(text), PIECE)]


def tool_stream(name: str, parts: list[str]) -> Callable[[], None]:
    kind = TOOL_PARSERS.kind(name)

    def run() -> None:
        parser = kind(ToolContext(TOOLS))
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


def seconds(run: Callable[[], object], unit: Callable[[], object]) -> tuple[float, float]:
    """Medians of both, timed in turn."""
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(15):
        for function, times, repeat in ((run, ours, 1), (unit, theirs, 20)):
            start = perf_counter()
            for _ in range(repeat):
                function()
            times.append((perf_counter() - start) / repeat)
    return statistics.median(ours), statistics.median(theirs)


def row(name: str, run: Callable[[], object], text: str, count: int) -> None:
    whole = json.dumps({"name": "note", "arguments": {"text": text}})
    ours, theirs = seconds(run, lambda: json.loads(whole))
    print(
        f"{name:<12}{len(text):>8}{ours * 1e6:>10.0f} us{theirs * 1e6:>9.1f} us"
        f"{ours / theirs:>9.1f}x{ours / count * 1e9:>9.0f} ns"
    )


def check() -> bool:
    """Whether cost grows with the text and not with its square."""
    good = True
    for name in FORMATS:
        if name == "pythonic":  # longer lists than 64 KiB are content
            continue
        times = []
        for length in (1 << 19, 1 << 20):
            run = tool_stream(name, pieces(call(name, "x" * length)))
            times.append(min(seconds_of(run) for _ in range(3)))
        ratio = times[1] / times[0]
        good = good and ratio < 3
        print(f"{name:<12} 1 MiB costs {ratio:.2f} times half of it ({times[1]:.2f} s)")
    return good


def seconds_of(run: Callable[[], object]) -> float:
    start = perf_counter()
    run()
    return perf_counter() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    if parser.parse_args().check:
        return 0 if check() else 1
    print(
        f"{'format':<12}{'length':>8}{'streamed':>13}{'json.loads':>12}{'ratio':>10}"
        f"{'per piece':>12}"
    )
    for length in (200, 2000):
        text = (TEXT * (length // len(TEXT) + 1))[:length]
        for name in FORMATS:
            parts = pieces(call(name, text))
            row(name, tool_stream(name, parts), text, len(parts))
            whole = [call(name, text)]
            row(" at once", tool_stream(name, whole), text, 1)
        parts = pieces(text)
        row("reasoning", reasoning_stream(parts), text, len(parts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
