"""From pieces of text to deltas: neighbours of one kind and one feed become one delta."""

from __future__ import annotations

from smg._speedups.deltas import CallArguments, Content, Reasoning
from smg.parsers.base import Delta

# Kinds of text: content, reasoning, from 0 on the arguments of a call.
_CONTENT = -1
_REASONING = -2


class Deltas:
    """What a parser has given since it was last asked."""

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        """As for the first piece. No part of `__init__`: that would be a call by name per class."""
        self._out: list[Delta] = []
        self._kind = _CONTENT  # of the pieces
        self._piece = ""
        self._more: list[str] | None = None  # pieces after the first

    def content(self, text: str) -> None:
        """Text of the answer."""
        if text:
            self._give(_CONTENT, text)

    def reasoning(self, text: str) -> None:
        """Text that was thought."""
        if text:
            self._give(_REASONING, text)

    def _give(self, kind: int, text: str) -> None:
        """Text of a kind, not empty."""
        if not self._piece:
            self._kind = kind
            self._piece = text
            return
        if kind != self._kind:
            self._seal()
            self._kind = kind
            self._piece = text
            return
        if self._more is None:
            self._more = [text]
        else:
            self._more.append(text)

    def _seal(self) -> None:
        """Makes one delta of the pieces, of which there are some."""
        self._out.append(self._delta())

    def _delta(self) -> Delta:
        # Made without calling the class, which costs as much again as the rest.
        text = self._piece
        if self._more is not None:
            text += "".join(self._more)
            self._more = None
        self._piece = ""
        if self._kind >= 0:
            arguments = CallArguments.__new__(CallArguments)
            arguments.index = self._kind
            arguments.text = text
            return arguments
        if self._kind == _CONTENT:
            content = Content.__new__(Content)
            content.text = text
            return content
        reasoning = Reasoning.__new__(Reasoning)
        reasoning.text = text
        return reasoning

    def _taken(self) -> tuple[Delta, ...]:
        """All deltas; there are none any more."""
        if not self._out:
            return (self._delta(),) if self._piece else ()
        if self._piece:
            self._seal()
        out = tuple(self._out)
        self._out.clear()
        return out
