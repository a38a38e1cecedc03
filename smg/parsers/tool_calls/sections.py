"""Sections of calls: each call has a marker of its own, and counts only inside a section.

A call that cannot be read is content; those after it in the same section still count.
"""

from __future__ import annotations

from smg.parsers.engine import MalformedText, Steps
from smg.parsers.tool_calls.base import BlockParser, Rest
from smg.parsers.tool_calls.parameters import ParameterCalls


class SectionParser(BlockParser):
    """`starts` has the section's marker and `call_begin`; `closers` has `section_end`."""

    call_begin = ""
    section_end = ""

    def call(self) -> Steps[Rest]:
        """Reads one call, from behind its marker. Result and MalformedText as of `block`."""
        raise NotImplementedError

    def block(self, marker: str) -> Steps[Rest] | None:
        return self._block(marker)

    def _block(self, marker: str) -> Steps[Rest]:
        self.take(len(marker))
        if self.enters(marker):
            if not self.try_space():
                yield
            self.found()
            if not self.try_ahead((self.call_begin,)):
                yield
            if self.skipped() is None:
                raise MalformedText
        return self.call()

    def enters(self, marker: str) -> bool:
        """Whether a section begins; then `call_begin` has to follow. MalformedText: neither a
        section nor a call in one.
        """
        if marker == self.call_begin:
            if not self.in_section:
                raise MalformedText
            return False
        self.in_section = True
        self.owed = ()
        return True

    def closed_by(self, marker: str) -> None:
        super().closed_by(marker)
        if marker == self.section_end:
            self.in_section = False


class ParameterSections(ParameterCalls, SectionParser):
    """Sections of calls whose arguments are written one by one."""

    def block(self, marker: str) -> None:
        self.take(len(marker))
        head = self.tags.head
        self.open((self.call_begin, *head) if self.enters(marker) else head)
