"""Blocks of Python source: held from bracket to bracket, with an eye on strings."""

from __future__ import annotations

import re

from smg.parsers.engine import MalformedText, Steps
from smg.parsers.tool_calls.base import BlockParser

MAX_SOURCE = 64 << 10  # characters: bounds what Python's own parser has to bear

# Between strings and brackets; other characters cannot stand in a literal or a call.
_PLAIN = re.compile(r"[^\"'()\[\]{}`?$!;<>@]*")
_STRING = {quote: re.compile(rf"[^{quote}\\]*") for quote in "\"'"}


class PythonBlocks(BlockParser):
    """Reads source text; what it means is for subclasses."""

    def balanced(self, source: list[str], depth: int) -> Steps[None]:
        """Consumes into `source` up to the bracket that closes the first; `depth` are open."""
        length = 0
        while depth:
            if length > MAX_SOURCE:
                raise MalformedText
            source.append((yield from self.run_of(_PLAIN, MAX_SOURCE)))
            length += len(source[-1]) + 1
            character = self._text[self._at]
            if character in "\"'":
                length += yield from self._string(source, character, MAX_SOURCE - length)
                continue
            if character in "([{":
                depth += 1
            elif character in ")]}":
                depth -= 1
            else:
                raise MalformedText
            source.append(self.take(1))

    def _string(self, source: list[str], quote: str, limit: int) -> Steps[int]:
        """A string with its quotes; gives its length."""
        length = 2
        source.append(self.take(1))
        while True:
            piece = yield from self.run_of(_STRING[quote], max(limit, 0))
            source.append(piece)
            length += len(piece)
            character = self.take(1)
            source.append(character)
            if character == quote:
                return length
            yield from self.peek()
            source.append(self.take(1))
            length += 2
            if length > limit:
                raise MalformedText
