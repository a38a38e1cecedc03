"""Reasoning between two tokens; most models write it so and differ in the tokens only.

    <think>What could 7 be?</think>It is a number.

Where the prompt already opened the block the text begins inside it: the parser is *armed*, by what
the model always does or by what the request asked for. There is one block; later tokens are text.
"""

from __future__ import annotations

from typing import ClassVar

from smg.parsers.engine import Engine, Steps
from smg.parsers.markers import Markers


class ReasoningParser(Engine):
    """Splits text into reasoning and content. `armed`: whether it begins in reasoning; None: as
    the model always does.
    """

    always_armed: ClassVar[bool] = False
    #: control tokens must reach the parser as text
    needs_special_tokens: ClassVar[bool] = False

    def __init__(self, armed: bool | None = None) -> None:
        super().__init__()
        #: what was read last was reasoning: nothing of it is for a tool parser
        self.in_reasoning = self.always_armed if armed is None else armed


class TokenPair(ReasoningParser):
    """`<think>` and `</think>`."""

    start: ClassVar[str] = "<think>"
    end: ClassVar[str] = "</think>"
    #: taken out of the content
    dropped: ClassVar[tuple[str, ...]] = ()
    _before: ClassVar[Markers]
    _inside: ClassVar[Markers]
    _after: ClassVar[Markers]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._prepare()

    @classmethod
    def _prepare(cls) -> None:
        cls._before = Markers((cls.start, *cls.dropped))
        cls._inside = Markers((cls.end,))
        cls._after = Markers(cls.dropped)

    def run(self) -> Steps[None]:
        if not self.in_reasoning:
            yield from self._content(self._before)
            self.take(len(self.start))
            self.in_reasoning = True
        while (yield from self.peek()) in " \t\r\n":
            self.reasoning(self.take(1))
        yield from self.skip(self.start)  # models repeat it although the prompt had it
        yield from self.until(self._inside, self.reasoning)
        self.take(len(self.end))
        self.in_reasoning = False
        yield from self._content(self._after)  # to the end of the text

    def _content(self, markers: Markers) -> Steps[None]:
        """Content up to the start token."""
        while (found := (yield from self.until(markers, self.content))) != self.start:
            self.take(len(found))


TokenPair._prepare()


class Think(TokenPair):
    """Armed by the request."""


class AlwaysThink(TokenPair):
    """The template of these models always opens the block."""

    always_armed = True


class Kimi(TokenPair):
    """Triangles around the word."""

    start = "◁think▷"
    end = "◁/think▷"


class MiniMaxM3(TokenPair):
    """In the model's own name space."""

    start = "<mm:think>"
    end = "</mm:think>"


class CohereCommand(TokenPair):
    """The response has markers too, which nobody should see."""

    start = "<|START_THINKING|>"
    end = "<|END_THINKING|>"
    dropped = ("<|START_RESPONSE|>", "<|END_RESPONSE|>")
