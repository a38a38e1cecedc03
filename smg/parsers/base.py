"""What every parser takes and gives: text in pieces, deltas out.

A parser is private to one choice of one request. However the same text is cut into pieces, the
deltas join to the same content, reasoning and calls; bad text never raises and is never lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from smg._speedups.deltas import CallArguments, CallStart, Content, Reasoning

__all__ = [
    "Call",
    "CallArguments",
    "CallStart",
    "Content",
    "Delta",
    "Parsed",
    "Parser",
    "Reasoning",
    "joined",
]

Delta = Content | Reasoning | CallStart | CallArguments


@dataclass(slots=True)
class Call:
    """A tool call put together; `arguments` is JSON text."""

    id: str
    name: str
    arguments: str = ""


@dataclass(slots=True)
class Parsed:
    """A whole text, parsed.

    `before` is the part of `content` in front of the first call: some endpoints show only that.
    """

    content: str = ""
    reasoning: str = ""
    calls: list[Call] = field(default_factory=list)
    before: str = ""


class Parser(Protocol):
    """What the pipeline holds."""

    def feed(self, text: str) -> Sequence[Delta]:
        """Takes the next piece of text; gives what is certain by now."""
        ...

    def finish(self) -> Sequence[Delta]:
        """No text will follow: gives what was kept back. Called once, at the end."""
        ...


def joined(deltas: Iterable[Delta]) -> Parsed:
    """What a client has who put all deltas together."""
    content: list[str] = []
    reasoning: list[str] = []
    arguments: list[list[str]] = []
    parsed = Parsed()
    for delta in deltas:
        if isinstance(delta, Content):
            content.append(delta.text)
        elif isinstance(delta, Reasoning):
            reasoning.append(delta.text)
        elif isinstance(delta, CallStart):
            if not parsed.calls:
                parsed.before = "".join(content)
            parsed.calls.append(Call(delta.id, delta.name))
            arguments.append([])
        else:
            arguments[delta.index].append(delta.text)
    parsed.content = "".join(content)
    parsed.reasoning = "".join(reasoning)
    if not parsed.calls:
        parsed.before = parsed.content
    for call, pieces in zip(parsed.calls, arguments, strict=True):
        call.arguments = "".join(pieces)
    return parsed
