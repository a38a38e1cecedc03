"""What every parser takes and gives: text in pieces, deltas out.

A parser is private to one choice of one request. However the same text is cut into pieces, the
deltas join to the same content, reasoning and calls; bad text never raises and is never lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

# The deltas are written out, not dataclasses: compiled they are C structs, one for every token.


class Content:
    """Text of the answer."""

    __match_args__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Content) and other.text == self.text

    def __repr__(self) -> str:
        return f"Content({self.text!r})"


class Reasoning:
    """Text that the model thought and did not say."""

    __match_args__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reasoning) and other.text == self.text

    def __repr__(self) -> str:
        return f"Reasoning({self.text!r})"


class CallStart:
    """A tool call is announced: the first delta of a call. `index` counts from 0 without gaps."""

    __match_args__ = ("index", "id", "name")

    def __init__(self, index: int, id: str, name: str) -> None:
        self.index = index
        self.id = id
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CallStart) and (other.index, other.id, other.name) == (
            self.index,
            self.id,
            self.name,
        )

    def __repr__(self) -> str:
        return f"CallStart({self.index}, {self.id!r}, {self.name!r})"

    def openai(self) -> dict[str, Any]:
        """The item of `delta.tool_calls`."""
        function = {"name": self.name, "arguments": ""}
        return {"index": self.index, "id": self.id, "type": "function", "function": function}


class CallArguments:
    """More of the argument text of the call `index`; all of it joined is one JSON value."""

    __match_args__ = ("index", "text")

    def __init__(self, index: int, text: str) -> None:
        self.index = index
        self.text = text

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, CallArguments)
            and other.index == self.index
            and other.text == self.text
        )

    def __repr__(self) -> str:
        return f"CallArguments({self.index}, {self.text!r})"

    def openai(self) -> dict[str, Any]:
        """The item of `delta.tool_calls`."""
        return {"index": self.index, "function": {"arguments": self.text}}


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
