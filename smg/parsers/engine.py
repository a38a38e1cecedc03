"""The engine under all parsers: a parser reads as if the whole text were there.

`run` is a generator over a cursor. Where it needs text that has not arrived it yields, and goes on
with the next `feed`; so it cannot notice how the text is cut. Every primitive here decides only on
what no later text can change.

Text is consumed as it arrives; only half a marker stays in the buffer, so the cost is linear.
Inside a block that may yet turn out to be plain text, what is consumed is also *held*: `release`
makes it content, `drop` forgets it because the block was what it seemed.
"""

from __future__ import annotations

import logging
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

from smg.parsers.base import CallArguments, Content, Delta, Parsed, Reasoning, joined
from smg.parsers.markers import Markers

log = logging.getLogger(__name__)

T = TypeVar("T")
#: what `run` and its parts are: they yield where text is wanting, and return T
Steps = Generator[None, None, T]

_SPACE = re.compile(r"[ \t\r\n]*")
_CONTENT = -1
_REASONING = -2


class EndOfText(Exception):
    """The text is over, in the middle of whatever was read."""


class MalformedText(Exception):
    """The block is not what its beginning promised; what is held of it is content."""


class Engine(ABC):
    """A parser: subclasses write `run`."""

    #: `run` failed by a mistake of ours; everything since is content
    broken = False

    def __init__(self) -> None:
        self._text = ""
        self._at = 0
        self._closed = False
        self._held: list[str] | None = None
        self._out: list[Delta] = []
        self._kind = _CONTENT  # of the pieces: content, reasoning, or the index of a call
        self._pieces: list[str] = []
        # Set while `run` waits where text of a plain kind goes to one sink, whatever follows.
        self._plain: re.Pattern[str] | None = None
        self._plain_sink: Callable[[str], object] = self.content
        self._steps = self.run()

    @abstractmethod
    def run(self) -> Steps[None]:
        """Reads to the end of the text: ends by EndOfText, not by returning."""

    # -- what the pipeline calls ------------------------------------------------------------------

    def feed(self, text: str) -> list[Delta]:
        """Takes the next piece of text; gives what is certain by now."""
        if not text:
            return []
        if self._at < len(self._text):
            self._text = self._text[self._at :] + text
        elif self._plain is not None and self._plain.fullmatch(text):
            self._plain_sink(text)  # most pieces of most texts, at a third of the cost
            return self._taken()
        else:
            self._text = text
        self._at = 0
        self._resume()
        return self._taken()

    def finish(self) -> list[Delta]:
        """No text will follow: gives what was kept back."""
        if not self._closed:
            self._closed = True
            self._resume()
        return self._taken()

    def parse(self, text: str) -> Parsed:
        """The whole text at once, by the same way. For a parser that was not fed before."""
        return joined(self.feed(text) + self.finish())

    def _resume(self) -> None:
        if not self.broken:
            try:
                next(self._steps)
                return
            except EndOfText:
                pass
            except Exception as error:  # whatever text a model writes, its reader gets it
                self.broken = True
                if not isinstance(error, StopIteration):
                    log.exception("parser %s failed, text is passed on", type(self).__name__)
        self.release()
        self.content(self.take(len(self._text) - self._at))

    # -- giving -----------------------------------------------------------------------------------

    def content(self, text: str) -> None:
        """Text of the answer."""
        self._give(_CONTENT, text)

    def reasoning(self, text: str) -> None:
        """Text that was thought."""
        self._give(_REASONING, text)

    def _give(self, kind: int, text: str) -> None:
        if text:
            if kind != self._kind:
                self._seal()
                self._kind = kind
            self._pieces.append(text)

    def _seal(self) -> None:
        """Makes one delta of the pieces."""
        if not self._pieces:
            return
        text = "".join(self._pieces)
        self._pieces.clear()
        if self._kind == _CONTENT:
            self._out.append(Content(text))
        elif self._kind == _REASONING:
            self._out.append(Reasoning(text))
        else:
            self._out.append(CallArguments(self._kind, text))

    def _taken(self) -> list[Delta]:
        self._seal()
        out, self._out = self._out, []
        return out

    # -- consuming --------------------------------------------------------------------------------

    def take(self, count: int) -> str:
        """Consumes the next `count` characters, which have arrived."""
        piece = self._text[self._at : self._at + count]
        self._at += count
        if self._held is not None:
            self._held.append(piece)
        return piece

    def hold(self) -> None:
        """From here on, what is consumed may yet be content."""
        if self._held is None:
            self._held = []

    def release(self) -> None:
        """What is held is content; nothing is held any more."""
        if self._held is not None:
            held, self._held = self._held, None
            self.content("".join(held))

    def drop(self) -> None:
        """What is held was syntax; nothing is held any more."""
        self._held = None

    def wait(self, plain: re.Pattern[str] | None, sink: Callable[[str], object]) -> Steps[None]:
        """Yields once. Pieces that `plain` matches go to `sink` and do not end the wait: a short
        cut for what the caller would do with them. None: there are no such pieces.
        """
        if self._held is None:
            self._plain = plain
            self._plain_sink = sink
        yield
        self._plain = None

    # -- reading ----------------------------------------------------------------------------------

    def peek(self) -> Steps[str]:
        """The next character, not consumed."""
        while self._at == len(self._text):
            if self._closed:
                raise EndOfText
            yield
        return self._text[self._at]

    def space(self, pattern: re.Pattern[str] = _SPACE) -> Steps[str]:
        """Consumes white space, or what else `pattern` matches; gives the character after it, not
        consumed.
        """
        while True:
            found = pattern.match(self._text, self._at)
            assert found is not None  # such patterns match the empty string
            if found.end() > self._at:
                self.take(found.end() - self._at)
            if self._at < len(self._text):
                return self._text[self._at]
            if self._closed:
                raise EndOfText
            yield

    def run_of(self, pattern: re.Pattern[str], limit: int) -> Steps[str]:
        """Consumes and gives all that `pattern` matches character by character. MalformedText
        beyond `limit` characters.
        """
        pieces: list[str] = []
        length = 0
        while True:
            found = pattern.match(self._text, self._at)
            assert found is not None
            if found.end() > self._at:
                pieces.append(self.take(min(found.end() - self._at, limit + 1 - length)))
                length += len(pieces[-1])
                if length > limit:
                    raise MalformedText
            if self._at < len(self._text):
                return "".join(pieces)
            if self._closed:
                raise EndOfText
            yield

    def ahead(self, options: Sequence[str]) -> Steps[str | None]:
        """Which of `options` is next, not consumed; None if none is. None may begin another."""
        longest = max(map(len, options), default=0)
        while True:
            rest = self._text[self._at : self._at + longest]
            for option in options:
                if rest.startswith(option):
                    return option
            if self._closed or not any(option.startswith(rest) for option in options):
                return None
            yield

    def skip(self, *options: str) -> Steps[str | None]:
        """Consumes whichever of `options` stands next, and says which."""
        found = yield from self.ahead(options)
        if found is not None:
            self.take(len(found))
        return found

    def until(self, markers: Markers, sink: Callable[[str], object]) -> Steps[str]:
        """Consumes text into `sink` up to the first marker, which is given and not consumed. At
        the end of the text the rest goes to `sink` before EndOfText.
        """
        while True:
            found = markers.search(self._text, self._at)
            if found is not None:
                if found[0] > self._at:
                    sink(self.take(found[0] - self._at))
                return found[1]
            ready = len(self._text) - self._at
            if not self._closed:
                ready -= markers.held(self._text, self._at)
            if ready:
                sink(self.take(ready))
            if self._closed:
                raise EndOfText
            yield from self.wait(markers.plain, sink)
