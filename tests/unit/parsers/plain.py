"""Plain twins of `smg._speedups.text_scan`: the same rules in regular expressions, as oracle."""

from __future__ import annotations

import re
from collections.abc import Iterable

from smg._speedups.value_scan import MAX_DEPTH

_PLAIN = re.compile(r"[-+.0-9A-Za-z_:,]*")  # outside of strings: literals and punctuation
_SCALAR = re.compile(r"[-+.0-9A-Za-z_]*")
_SPACE = re.compile(r"[ \t\r\n]+")
# Inside of a string: characters and short escapes, as far as they reach.
_STRING = re.compile(r'[^"\\\x00-\x1f]*(?:\\["\\/bfnrt][^"\\\x00-\x1f]*)*')
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


class Markers:
    """A set of markers to look for at once. None may be part of another: then whichever is found
    first would depend on how the text was cut.
    """

    __slots__ = ("_firsts", "_longest", "_pattern", "texts")

    def __init__(self, texts: Iterable[str]) -> None:
        self.texts = tuple(dict.fromkeys(texts))
        for text in self.texts:
            if not text or any(text in other for other in self.texts if other != text):
                raise ValueError(f"marker {text!r} is empty or part of another")
        self._longest = max(map(len, self.texts), default=0)
        self._firsts = {text[0] for text in self.texts}
        # Without markers: a pattern that never matches.
        self._pattern = re.compile("|".join(map(re.escape, self.texts)) or r"(?!)")

    def search(self, text: str, start: int) -> tuple[int, str] | None:
        """Where the first marker at or after `start` stands, and which it is."""
        found = self._pattern.search(text, start)
        return None if found is None else (found.start(), found.group())

    def held(self, text: str, start: int) -> int:
        """How many characters at the end of `text`, not before `start`, begin a marker: the
        longest such end. For a text in which `search` finds nothing.
        """
        length = len(text)
        begin = max(start, length - self._longest + 1)
        best = length
        for first in self._firsts:
            at = text.find(first, begin)
            while 0 <= at < best:
                tail = text[at:]
                if any(marker.startswith(tail) for marker in self.texts):
                    best = at
                    break
                at = text.find(first, at + 1)
        return length - best
