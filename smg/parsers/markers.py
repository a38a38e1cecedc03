"""Finding markers in text that arrives in pieces: what may be half a marker is kept back."""

from __future__ import annotations

import re
from collections.abc import Iterable


class Markers:
    """A set of markers to look for at once. None may be part of another: then whichever is found
    first would depend on how the text was cut.
    """

    __slots__ = ("_firsts", "_longest", "_pattern", "plain", "texts")

    def __init__(self, texts: Iterable[str]) -> None:
        self.texts = tuple(dict.fromkeys(texts))
        for text in self.texts:
            if not text or any(text in other for other in self.texts if other != text):
                raise ValueError(f"marker {text!r} is empty or part of another")
        self._longest = max(map(len, self.texts), default=0)
        self._firsts = {text[0] for text in self.texts}
        #: text in which no marker begins
        firsts = re.escape("".join(self._firsts))
        self.plain = re.compile(f"[^{firsts}]*" if firsts else ".*", re.DOTALL)
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
