"""Where a text may be cut so that its pieces encode like the whole.

A tokenizer first looks for added tokens in the text and encodes what lies between them on its own:
behind such a token everything starts anew. The scan here finds them as the libraries do: leftmost
first, of several at one place the longest, without overlaps; tokens that are matched on normalised
text only in what the others leave.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from smg.tokenization.encoder import AddedToken

# A shorter piece is not worth an entry and goes with what follows it.
SHORTEST_PIECE = 16


class Cutter:
    """Cuts texts behind the added tokens of one tokenizer."""

    def __init__(self, added: Iterable[AddedToken]) -> None:
        tokens = [token for token in added if token.content]
        # Tokens that take blanks along, or look at their neighbours, are found but not cut behind.
        self._unfit = frozenset(token.content for token in tokens if not token.plain)
        self._first = _any_of(token.content for token in tokens if not token.normalized)
        self._then = _any_of(token.content for token in tokens if token.normalized)

    @property
    def finds_any(self) -> bool:
        """Whether there is a token to cut behind."""
        return self._first is not None or self._then is not None

    def ends(self, text: str) -> list[int]:
        """The ends of all tokens behind which one may cut, ascending."""
        found: list[int] = []
        at = 0
        if self._first is not None:
            for match in self._first.finditer(text):
                self._between(text, at, match.start(), found)
                at = match.end()
                if match[0] not in self._unfit:
                    found.append(at)
        self._between(text, at, len(text), found)
        return found

    def _between(self, text: str, start: int, end: int, found: list[int]) -> None:
        if self._then is None or start == end:
            return
        matches = self._then.finditer(text, start, end)
        found.extend(match.end() for match in matches if match[0] not in self._unfit)

    def pieces(self, text: str) -> list[str]:
        """The text in pieces; all but the last, which may be empty, end with a token.

        Where a piece ends depends on what is before it only: the pieces of a chat are the same
        after the next message has been added.
        """
        pieces = []
        start = 0
        for end in self.ends(text):
            if end - start >= SHORTEST_PIECE:
                pieces.append(text[start:end])
                start = end
        pieces.append(text[start:])
        return pieces


# A tree of characters; a word ends where there is an empty one.
_Tree = dict[str, "_Tree"]


def _any_of(words: Iterable[str]) -> re.Pattern[str] | None:
    """A pattern that finds the longest of the words at a place."""
    tree: _Tree = {}
    for word in words:
        node = tree
        for character in word:
            node = node.setdefault(character, {})
        node[""] = {}
    return re.compile(_pattern(tree)) if tree else None


def _pattern(node: _Tree) -> str:
    """The tree as a regular expression: thousands of words, one step per character."""
    branches = [
        re.escape(character) + _pattern(below) for character, below in node.items() if character
    ]
    if not branches:
        return ""
    either = branches[0] if len(branches) == 1 else f"(?:{'|'.join(branches)})"
    return f"(?:{either})?" if "" in node else either
