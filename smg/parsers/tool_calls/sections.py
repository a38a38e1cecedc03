"""Sections of calls: each call has a marker of its own, and counts only inside a section.

A call that cannot be read is content; those after it in the same section still count.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from smg.parsers.engine import MalformedText, Steps
from smg.parsers.tool_calls.base import BlockParser, ToolContext


class SectionParser(BlockParser):
    """`starts` has the section's marker and `call_begin`; `closers` has `section_end`."""

    call_begin: ClassVar[str]
    section_end: ClassVar[str]

    def __init__(self, context: ToolContext) -> None:
        super().__init__(context)
        self._in_section = False

    @abstractmethod
    def call(self) -> Steps[None]:
        """Reads one call, from behind its marker. MalformedText as for `block`."""

    def block(self, marker: str) -> Steps[bool]:
        self.take(len(marker))
        if marker != self.call_begin:
            self._in_section = True
            self.owed = set()
            yield from self.space()
            if (yield from self.skip(self.call_begin)) is None:
                raise MalformedText
        elif not self._in_section:
            raise MalformedText
        yield from self.call()
        return True

    def closed_by(self, marker: str) -> None:
        super().closed_by(marker)
        if marker == self.section_end:
            self._in_section = False
