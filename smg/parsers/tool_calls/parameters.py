"""Calls whose arguments are written one by one, as in XML: they become the members of an object.

A call that is cut in the middle of a value keeps what there is of it, as JSON that is cut too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import ClassVar

from smg.parsers.coercion import coerce, escaped, infer_json, quoted
from smg.parsers.engine import EndOfText, MalformedText, Steps
from smg.parsers.markers import Markers
from smg.parsers.tool_calls.base import BlockParser, ToolContext

MAX_NAME = 256  # characters; OpenAI allows 64

_NAME = re.compile(r'[^<>"\n]*')


class Tags:
    """The tags of a format: `parameter` opens one up to its key, `call_end` closes the call, as
    any of `others` does, which belong to what follows.
    """

    __slots__ = ("call_end", "inside", "key_end", "parameter", "value_end")

    def __init__(
        self, parameter: str, key_end: str, value_end: str, call_end: str, *others: str
    ) -> None:
        self.parameter = parameter
        self.call_end = call_end
        self.key_end = Markers((key_end,))
        self.value_end = Markers((value_end,))
        self.inside = Markers((parameter, call_end, *others))


class ParameterCalls(BlockParser):
    """Reads values up to a closing tag and writes members."""

    #: whether the schema has a say
    typed: ClassVar[bool] = True
    trims: ClassVar[bool] = True

    def __init__(self, context: ToolContext) -> None:
        super().__init__(context)
        self._types: dict[str, str] = {}
        self._members = 0

    def begin(self, name: str) -> None:
        super().begin(name)
        self._types = self.tools.types(name) if self.typed else {}
        self._members = 0
        self.owed = set(self.closers)

    def key(self, key: str) -> None:
        """The beginning of a member: all before the value."""
        self.arguments(f"{',' if self._members else '{'}{quoted(key)}:")
        self._members += 1

    def infer(self, raw: str) -> str:
        """How a value without a declared type is read."""
        return infer_json(raw)

    def value(self, key: str, raw: str) -> str:
        """The JSON text of a value."""
        return coerce(raw.strip() if self.trims else raw, self._types.get(key), self.infer)

    def end(self) -> None:
        """Closes the object."""
        self.arguments("}" if self._members else "{}")

    def parameter(self, key_end: Markers, value_end: Markers) -> Steps[None]:
        """One parameter, from inside its opening tag to behind its closing tag."""
        key: str | None = None
        pieces: list[str] = []
        try:
            if not self.try_until(key_end, pieces):
                yield
            self.take(len(self.marker()))
            key = "".join(pieces).strip()
            pieces.clear()
            if not self.try_until(value_end, pieces):
                yield
            self.take(len(self.marker()))
        except EndOfText:
            self._cut(key, "".join(pieces))
            raise
        self.key(key)
        self.arguments(self.value(key, "".join(pieces)))

    def parameters(self, tags: Tags) -> Steps[None]:
        """All parameters of a call that is announced, and its end. What stands between them and
        is neither parameter nor end is content.
        """
        while True:
            if not self.try_space():
                yield
            self.found()
            if not self.try_until(tags.inside, self.content):
                yield
            found = self.marker()
            if found == tags.parameter:
                self.take(len(found))
                yield from self.parameter(tags.key_end, tags.value_end)
                continue
            if found == tags.call_end:
                self.take(len(found))
            self.end()
            return

    def _cut(self, key: str | None, rest: str) -> None:
        """Writes what there is of a parameter that is cut."""
        if key is None:
            if rest:
                self.arguments(f'{"," if self._members else "{"}"{escaped(rest)}')
            return
        self.key(key)
        if self.trims:
            rest = rest.lstrip()
        if rest:
            self.arguments(f'"{escaped(rest)}')

    def name(self, end: str, accept: Callable[[str], bool]) -> Steps[str]:
        """A name and the `end` of its tag. MalformedText if it is none, or too long."""
        name = (yield from self.run_of(_NAME, MAX_NAME)).strip()
        if (yield from self.skip(end)) is None or not accept(name):
            raise MalformedText
        return name
