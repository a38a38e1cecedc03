"""Reads one JSON value as it arrives and gives its text on, compact.

White space between tokens is dropped. A piece never ends inside an escape or between the halves of
a surrogate pair. Two things that models write and JSON forbids are repaired, because what they
mean is clear: raw control characters in strings are escaped, the backslash of an unknown escape is
doubled. The structure is not validated beyond what tells JSON from other text.
"""

from __future__ import annotations

import re

MAX_DEPTH = 512  # levels; deeper nesting is an attack or a loop of the model

_PLAIN = re.compile(r"[-+.0-9A-Za-z_:,]*")  # outside of strings: literals and punctuation
_SCALAR = re.compile(r"[-+.0-9A-Za-z_]*")
_SPACE = re.compile(r"[ \t\r\n]+")
# Inside of a string: characters and short escapes, as far as they reach.
_STRING = re.compile(r'[^"\\\x00-\x1f]*(?:\\["\\/bfnrt][^"\\\x00-\x1f]*)*')
_PLAIN_STRING = re.compile(r'[^"\\\x00-\x1f]*')
_UNICODE = re.compile(r"\\u[0-9a-fA-F]{4}")
_HALF_UNICODE = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?")
_HIGH = re.compile(r"\\u[dD][89abAB]")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}


class JsonScanner:
    """The place in one value. `depth` > 0: begins inside that many brackets."""

    __slots__ = ("_in_scalar", "_in_string", "bad", "depth", "done")

    def __init__(self, depth: int = 0) -> None:
        self.depth = depth
        self._in_string = False
        self._in_scalar = False  # a number or literal that is the value itself
        #: the value is complete
        self.done = False
        #: what stands at the place is no JSON
        self.bad = False

    @property
    def plain(self) -> re.Pattern[str] | None:
        """What text may come next that `scan` would give on as it is."""
        return _PLAIN_STRING if self._in_string else None

    def scan(self, text: str, at: int, closed: bool, out: list[str]) -> int:
        """Reads `text` from `at`, appends to `out`, and gives the place reached: before the end
        of `text` only if the value is done or bad, or half an escape stands there. `closed`: no
        text will follow.
        """
        length = len(text)
        while at < length:
            if self._in_string:
                reached = self._string(text, at, closed, out)
                if self.done:
                    return reached
                if reached == at:
                    return at  # half an escape
                at = reached
                continue
            if self._in_scalar or (self.depth == 0 and text[at] not in ' \t\r\n"{['):
                return self._scalar(text, at, out)
            end = self._structure(text, at, out)
            if self.done or self.bad:
                return end
            at = end
        if closed and self._in_scalar:
            self.done = True
        return at

    def _structure(self, text: str, at: int, out: list[str]) -> int:
        """Literals and punctuation up to the next bracket or quote, and that."""
        if self.depth:
            found = _PLAIN.match(text, at)
            assert found is not None
            if found.end() > at:
                out.append(found.group())
                at = found.end()
                if at == len(text):
                    return at
        character = text[at]
        if character == '"':
            self._in_string = True
        elif character in "{[":
            if self.depth == MAX_DEPTH:
                self.bad = True
                return at
            self.depth += 1
        elif character in "}]":
            self.depth -= 1
            self.done = self.depth == 0
        else:
            space = _SPACE.match(text, at)
            if space is None:
                self.bad = True
                return at
            return space.end()
        out.append(character)
        return at + 1

    def _scalar(self, text: str, at: int, out: list[str]) -> int:
        found = _SCALAR.match(text, at)
        assert found is not None
        end = found.end()
        if end > at:
            out.append(found.group())
            self._in_scalar = True
        if end < len(text):
            if self._in_scalar:
                self.done = True
            else:
                self.bad = True
        return end

    def _string(self, text: str, at: int, closed: bool, out: list[str]) -> int:
        """Inside a string: to its end, or as far as it can be read. Gives `at` if nothing can."""
        found = _STRING.match(text, at)
        assert found is not None
        if found.end() > at:
            out.append(found.group())
            return found.end()
        character = text[at]
        if character == '"':
            out.append(character)
            self._in_string = False
            self.done = self.depth == 0
            return at + 1
        if character != "\\":  # a control character
            out.append(_SHORT.get(character) or f"\\u{ord(character):04x}")
            return at + 1
        if _UNICODE.match(text, at):
            end = at + 6
            if not closed and _HIGH.match(text, at) and _half(text, end):
                return at
            out.append(text[at:end])
            return end
        if not closed and _half(text, at):
            return at
        out.append("\\" if closed and _half(text, at) else "\\\\")
        return at + 1


def _half(text: str, at: int) -> bool:
    """Whether all that stands from `at` on may be the beginning of a unicode escape."""
    if at == len(text):
        return True
    if len(text) - at > 5:
        return False
    return _HALF_UNICODE.fullmatch(text, at) is not None
