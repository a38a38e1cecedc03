"""Sections of calls: each call has a marker of its own, and counts only inside a section.

A call that cannot be read is content; those after it in the same section still count.
"""

from __future__ import annotations

from smg.parsers.engine import MalformedText, Steps
from smg.parsers.tool_calls.base import BlockParser, Rest


class SectionParser(BlockParser):
    """`starts` has the section's marker and `call_begin`; `closers` has `section_end`."""

    def call(self) -> Steps[Rest]:
        """Reads one call, from behind its marker. Result and MalformedText as of `block`."""
        raise NotImplementedError

    def block(self, marker: str) -> Steps[Rest] | None:
        self._take(len(marker))
        return self._section() if self._enters(marker) else self.call()

    def _section(self) -> Steps[Rest]:
        if not self.try_space():
            yield
        self.found()
        if not self.try_ahead((self.call_begin,)):
            yield
        if self.skipped() is None:
            raise MalformedText
        return self.call()
