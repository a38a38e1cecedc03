"""Harmony that is there as text, with its special tokens written out: as a log has it, or who
tries it out. Answers of engines are ids, which `output` reads; here they are made of the text.

The same text has other ids when it is cut elsewhere. What is read from them does not depend on
that, as long as no special token is cut.
"""

from __future__ import annotations

import re

from smg.parsers.base import Content, Delta, Parsed, joined
from smg.parsers.harmony.encoding import load
from smg.parsers.harmony.output import HarmonyParser
from smg.parsers.tool_calls.base import ToolContext

#: characters that are encoded in one call, which holds the interpreter's lock
_PIECE = 4096
# The prompt ends with it; who copies the text of a conversation has it too.
_START = "<|start|>assistant"
# An answer begins with a token, or with the one whom it is for.
_BEGINNINGS = ("<|", " to=")
_END = re.compile(r"<\|(?:end|call|return)\|>")
_LONGEST = 32  # characters of a special token
_HALF_TOKEN = re.compile(r"<(?:\|\w*\|?)?")


class HarmonyText:
    """A parser like those of `tool_calls` and `reasoning`, and both in one: gives content,
    reasoning and calls. Text that does not begin like Harmony is content.

    ConfigError if the library or its vocabulary is not there (`encoding.load`).
    """

    def __init__(self, context: ToolContext | None = None) -> None:
        self._encoding = load()
        self._parser = HarmonyParser(context or ToolContext(), self._encoding)
        self._text = ""  # not read yet
        self._begun = False
        self._plain = False
        self._between = False  # a message is over, the next has not begun

    @property
    def broken(self) -> bool:
        """It was no Harmony from some place on; everything since is content."""
        return self._parser.broken

    def feed(self, text: str) -> list[Delta]:
        """Takes the next piece of text; gives what is certain by now."""
        return self._read(text, last=False)

    def finish(self) -> list[Delta]:
        """No text will follow: gives what was kept back."""
        deltas = self._read("", last=True)
        return deltas if self._plain else deltas + self._parser.finish()

    def parse(self, text: str) -> Parsed:
        """A whole text. For a parser that was not fed before."""
        return joined(self.feed(text) + self.finish())

    def _read(self, text: str, *, last: bool) -> list[Delta]:
        text = self._text + text
        self._text = ""
        if not self._begun and not self._plain:
            rest = self._beginning(text, last)
            if rest is None:
                self._text = text
                return []
            text = rest
        if self._plain:
            return [Content(text)] if text else []
        if not last:
            text, self._text = _whole_tokens(text)
        deltas: list[Delta] = []
        at = 0
        while at < len(text):
            piece = text[at : at + _PIECE]
            if at + _PIECE < len(text):
                piece, _ = _whole_tokens(piece)
            at += len(piece)
            deltas += self._messages(piece)
        return deltas

    def _beginning(self, text: str, last: bool) -> str | None:
        """What is to be read of the beginning; None while it cannot be told what it is."""
        if not last and _START.startswith(text):
            return None
        rest = text.removeprefix(_START)
        if not last and any(mark.startswith(rest) for mark in _BEGINNINGS):
            return None
        if rest.startswith(_BEGINNINGS):
            self._begun = True
            return rest
        self._plain = True
        return text

    def _messages(self, text: str) -> list[Delta]:
        """Reads text that cuts no token. Between two messages white space is nothing: files end
        with a line.
        """
        deltas: list[Delta] = []
        at = 0
        while at < len(text):
            if self._between:
                at = len(text) - len(text[at:].lstrip())
                if at == len(text):
                    break
            end = _END.search(text, at)
            stop = len(text) if end is None else end.end()
            deltas += self._parser.feed(self._ids(text[at:stop]))
            self._between = end is not None
            at = stop
        return deltas

    def _ids(self, text: str) -> list[int]:
        return list(self._encoding.encode(text, allowed_special="all"))


def _whole_tokens(text: str) -> tuple[str, str]:
    """The text without the beginning of a special token at its end, and that beginning."""
    at = text.rfind("<", max(0, len(text) - _LONGEST))
    if at < 0 or not _HALF_TOKEN.fullmatch(text, at) or _is_whole(text[at:]):
        return text, ""
    return text[:at], text[at:]


def _is_whole(token: str) -> bool:
    return len(token) > 4 and token.endswith("|>")
