"""Recorded cases, and feeding a parser in every way."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from smg.parsers import CallStart, Delta, Parsed, ReasoningParser, ToolContext, ToolParser, Tools
from smg.parsers.base import joined
from smg.parsers.registry import REASONING_PARSERS, TOOL_PARSERS


def function(name: str, **types: str) -> dict[str, Any]:
    properties = {key: {"type": kind} for key, kind in types.items()}
    parameters = {"type": "object", "properties": properties}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


DECLARED = [
    function("lookup", id="integer", note="string"),
    function("ping"),
    function("note", text="string", tags="array", done="boolean", ratio="number", opts="object"),
    function("get-data.v2_x", q="string"),
]
TOOLS = Tools(DECLARED)


@dataclass(frozen=True)
class Case:
    """`calls`: names and arguments; text for arguments that are cut and are no JSON."""

    name: str
    text: str
    calls: tuple[tuple[str, Any], ...] = ()
    content: str = ""
    #: names that are not declared count too
    any_name: bool = False

    def __str__(self) -> str:
        return self.name


def number(index: int, name: str) -> str:
    return f"call_{index}"


def tool_parser(name: str, tools: Tools = TOOLS, **context: Any) -> ToolParser:
    return TOOL_PARSERS.kind(name)(ToolContext(tools, number, **context))


def reasoning_parser(name: str, armed: bool | None = None) -> ReasoningParser:
    return REASONING_PARSERS.kind(name)(armed)


def stream(parser: ToolParser | ReasoningParser, pieces: Iterable[str]) -> list[Delta]:
    """All deltas; the parser must not have failed, nor given empty or half things."""
    deltas = [delta for piece in pieces for delta in parser.feed(piece)]
    deltas += parser.finish()
    assert not parser.broken
    assert parser.finish() == ()
    seen = 0
    for delta in deltas:
        if isinstance(delta, CallStart):
            assert delta.index == seen
            assert delta.name
            seen += 1
        else:
            assert delta.text
            assert getattr(delta, "index", 0) <= seen
    return deltas


def cuts(text: str) -> Iterable[list[str]]:
    """Two pieces, cut at every place; then one character at a time."""
    for place in range(1, len(text)):
        yield [text[:place], text[place:]]
    yield list(text)


def check_everywhere(make: Callable[[], ToolParser | ReasoningParser], text: str) -> Parsed:
    """The whole text's result, which every way of cutting must give."""
    whole = make().parse(text)
    for pieces in cuts(text):
        parts = joined(stream(make(), pieces))
        assert parts == whole, f"cut differently: {pieces}"
    return whole


def arguments(text: str) -> Any:
    """Decoded if it is JSON, else the text: cut arguments are no JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return text
