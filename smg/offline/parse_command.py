"""`smg parse`: what parsers make of a captured answer."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from smg.offline.command import Failed, objects, read_json, read_text, run, write_json

if TYPE_CHECKING:
    from smg.parsers import Delta, Parser


def main(argv: Sequence[str]) -> int:
    """Run `smg parse`; the exit code."""
    parser = argparse.ArgumentParser(
        prog="smg parse",
        description="Show content, reasoning and tool calls in the text of an answer.",
        allow_abbrev=False,
    )
    parser.add_argument("--tool-call-parser", metavar="NAME", help="parser of tool calls")
    parser.add_argument("--reasoning-parser", metavar="NAME", help="parser of reasoning")
    parser.add_argument(
        "--model", metavar="NAME", help="choose both parsers as for a model of this name"
    )
    parser.add_argument(
        "--tools",
        metavar="FILE",
        help="declared tools as JSON: other names are no calls, types of arguments are known",
    )
    parser.add_argument(
        "--in-reasoning",
        action="store_true",
        help="the prompt has opened the reasoning, the text begins inside it",
    )
    parser.add_argument(
        "--stream", action="store_true", help="print what a stream says, one delta on a line"
    )
    parser.add_argument(
        "--chunk",
        metavar="N",
        type=_count,
        default=4,
        help="with --stream: characters that arrive at once (default: 4)",
    )
    parser.add_argument(
        "text", nargs="?", default="-", metavar="FILE", help="the text; else from standard input"
    )
    return run(parser, _work, argv)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 on, not {text!r}")
    return int(text)


def _work(arguments: argparse.Namespace) -> None:
    stages = _parsers(arguments)
    text = read_text(arguments.text)
    if arguments.stream:
        for delta in _deltas(stages, text, arguments.chunk):
            write_json(_shown(delta))
        return
    from smg.parsers import joined

    parsed = joined(list(_deltas(stages, text, max(1, len(text)))))
    answer: dict[str, Any] = {"content": parsed.content}
    if parsed.reasoning:
        answer["reasoning_content"] = parsed.reasoning
    if parsed.calls:
        answer["tool_calls"] = [
            {"type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in parsed.calls
        ]
    write_json(answer)


def _parsers(arguments: argparse.Namespace) -> list[Parser]:
    """The parsers that the options name, reasoning first; errors: ConfigError."""
    from smg.parsers import ToolContext, Tools
    from smg.parsers.detection import reasoning_parser_for, tool_parser_for
    from smg.parsers.registry import REASONING_PARSERS, TOOL_PARSERS

    reasoning, calls = arguments.reasoning_parser, arguments.tool_call_parser
    if _is_harmony(arguments.model, {reasoning, calls} - {None}):
        from smg.parsers.harmony.text import HarmonyText

        return [HarmonyText()]
    if arguments.model is not None:
        reasoning = reasoning or reasoning_parser_for(arguments.model)
        calls = calls or tool_parser_for(arguments.model)
        if reasoning is None and calls is None:
            raise Failed(f"no parser is known for a model called {arguments.model}")
    stages: list[Parser] = []
    if reasoning is not None:
        stages.append(REASONING_PARSERS.kind(reasoning)(arguments.in_reasoning or None))
    if calls is not None:
        declared = [] if arguments.tools is None else objects(read_json(arguments.tools), "tools")
        tools = Tools(declared, any_name=arguments.tools is None)
        stages.append(TOOL_PARSERS.kind(calls)(ToolContext(tools)))
    if not stages:
        raise Failed("which parser? --tool-call-parser, --reasoning-parser or --model tells")
    return stages


def _is_harmony(model: str | None, named: set[str]) -> bool:
    """Whether one parser does it all; one that is named beside it would get nothing."""
    from smg.parsers.harmony.detection import is_parser_name, writes_harmony

    if not named:
        return model is not None and writes_harmony(model)
    others = sorted(name for name in named if not is_parser_name(name))
    if others and len(others) < len(named):
        raise Failed(f"harmony reads calls and reasoning, {others[0]} cannot stand beside it")
    return not others


def _deltas(stages: Sequence[Parser], text: str, chunk: int) -> Iterator[Delta]:
    for start in range(0, len(text), chunk):
        yield from _through(stages, text[start : start + chunk])
    for at, stage in enumerate(stages):
        for delta in stage.finish():
            yield from _on(stages[at + 1 :], delta)


def _through(stages: Sequence[Parser], text: str) -> Iterator[Delta]:
    """What the first parser makes of a piece; its content is for the next one."""
    for delta in stages[0].feed(text):
        yield from _on(stages[1:], delta)


def _on(stages: Sequence[Parser], delta: Delta) -> Iterator[Delta]:
    from smg.parsers import Content

    if stages and isinstance(delta, Content):
        yield from _through(stages, delta.text)
    else:
        yield delta


def _shown(delta: Delta) -> dict[str, Any]:
    """A delta as the API has it."""
    from smg.parsers import Content, Reasoning

    if isinstance(delta, Content):
        return {"content": delta.text}
    if isinstance(delta, Reasoning):
        return {"reasoning_content": delta.text}
    return {"tool_calls": [delta.openai()]}
