"""Sections of calls: each call has a marker of its own, and counts only inside a section.

A call that cannot be read is content; those after it in the same section still count.
"""

from __future__ import annotations

from smg.parsers.engine import MalformedText, Steps
from smg.parsers.tool_calls.base import BlockParser, Rest


class SectionParser(BlockParser):
    """`starts` has the section's marker and `call_begin`; `closers` has `section_end`."""

    call_begin = ""
    section_end = ""

    def call(self) -> Steps[Rest]:
        """Reads one call, from behind its marker. Result and MalformedText as of `block`."""
        raise NotImplementedError

    def block(self, marker: str) -> Steps[Rest]:
        self.take(len(marker))
        call_begin = self.call_begin
        if marker != call_begin:
            self.in_section = True
            self.owed = ()
            if not self.try_space():
                yield
            self.found()
            if not self.try_ahead((call_begin,)):
                yield
            if self.skipped() is None:
                raise MalformedText
        elif not self.in_section:
            raise MalformedText
        return self.call()

    def closed_by(self, marker: str) -> None:
        super().closed_by(marker)
        if marker == self.section_end:
            self.in_section = False
