# cython: always_allow_keywords=False
"""The engine under all parsers: a parser reads as if the whole text were there.

`run` is a generator over a cursor. A primitive that needs text which has not arrived makes it
yield, goes on with every `feed`, and wakes `run` when it has what it was asked for; so `run` cannot
notice how the text is cut. Every primitive decides only on what no later text can change. A piece
in the middle of a long value or of plain text costs a call and a look at its characters.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Generator
from typing import Any, TypeVar

from smg._speedups.text_scan import WAITS, Characters, Markers, behind, go_on, rest_in
from smg._speedups.value_scan import SourceScanner
from smg.parsers.base import Delta, Parsed, joined
from smg.parsers.cursor import NOTHING, Cursor, Sink

__all__ = ["NOTHING", "EndOfText", "Engine", "MalformedText", "Sink", "Steps"]

log = logging.getLogger(__name__)

T = TypeVar("T")
#: what `run` and its parts are: they yield where text is wanting, and return T
Steps = Generator[None, None, T]

_WHITE = " \t\r\n"

# The primitive that waits for text.
_NONE = 0
_UNTIL = 1
_JSON = 2
_SPACE = 3
_RUN = 4
_AHEAD = 5
_SOURCE = 6

# As in the cursor.
_FOUND = 0
_OVER = 1


class EndOfText(Exception):
    """The text is over, in the middle of whatever was read."""


class MalformedText(Exception):
    """The block is not what its beginning promised; what is held of it is content."""


class Engine(Cursor):
    """A parser: subclasses write `run`."""

    def _reset(self) -> None:
        Cursor._reset(self)
        #: `run` failed by a mistake of ours; everything since is content
        self.broken = False
        self._want = _NONE
        self._steps: Steps[Any] | None = self._begin()

    def _begin(self) -> Steps[Any] | None:
        return self.run()

    def run(self) -> Steps[Any]:
        """Reads to the end of the text: ends by EndOfText, not by returning."""
        raise NotImplementedError

    # -- what the pipeline calls ------------------------------------------------------------------

    def feed(self, text: str) -> tuple[Delta, ...]:
        """Takes the next piece of text; gives what is certain by now."""
        if self._quiet:
            at = self._unread.add(text, 0, self._markers)
            if at > 0:
                self._complete(text, at)
            elif self._unread.used <= self._patience:
                return ()
            else:
                self._wake()
        elif self._flows:
            if text and self._markers.find(text, 0, False) == len(text):
                self._put(text)
                return self._taken()
            self._flows = False
            self._replace(text)
        elif self._half:
            at = rest_in(self._text, self._end, text)
            if at == 0:
                self._end += len(text)
                return ()
            self._half = False
            if at > 0 and self._passes:
                self._complete(text, at)
            else:
                self._replace(behind(self._text, 0, self._end, text))
        elif self._at < self._end:
            self._replace(behind(self._text, self._at, self._end, text))
        else:
            self._replace(text)
        if self._end:
            self._advance()
        return self._taken()

    def finish(self) -> tuple[Delta, ...]:
        """No text will follow: gives what was kept back."""
        if not self._closed:
            self._closed = True
            if self._half:
                self._half = False
                self._text = self._text[: self._end]
            elif self._quiet:
                self._wake()
            self._advance()
        return self._taken()

    def parse(self, text: str) -> Parsed:
        """The whole text at once, by the same way. For a parser that was not fed before."""
        return joined(self.feed(text) + self.finish())

    def _advance(self) -> None:
        """Reads what has arrived."""
        if not self.broken:
            try:
                if self._want == _NONE or self._continue():
                    self._drive()
                return
            except EndOfText:
                pass
            except Exception:  # whatever text a model writes, its reader gets it
                self.broken = True
                log.exception("parser %s failed, text is passed on", type(self).__name__)
            self._want = _NONE
            self._half = self._quiet = self._flows = False
        self.release()
        self.content(self._take(self._end - self._at))

    def _continue(self) -> bool:
        """Goes on with the primitive that waits; whether `run` has to go on."""
        want = self._want
        if want == _JSON:
            return self._read_json()
        if want == _UNTIL:
            return self._search()
        if want == _SPACE:
            return self._skip_space()
        if want == _RUN:
            return self._read_run()
        if want == _AHEAD:
            return self._look_ahead()
        if want == _SOURCE:
            return self._read_source()
        return True

    def _drive(self) -> None:
        """Lets `run` go on until text is wanting."""
        if self._steps is None or go_on(self._steps) is not WAITS:
            raise RuntimeError("a parser's run has ended before the text")

    # -- reading ----------------------------------------------------------------------------------

    def peek(self) -> Steps[str]:
        """The next character, not consumed."""
        if not self.try_peek():
            yield
        return self.character()

    def space(self, also: str = "") -> Steps[str]:
        """Consumes white space and what stands in `also`; gives the character after it, not
        consumed.
        """
        if not self.try_space(also):
            yield
        return self.character()

    def run_of(self, pattern: re.Pattern[str], limit: int) -> Steps[str]:
        """Consumes and gives all that `pattern` matches character by character. MalformedText
        beyond `limit` characters.
        """
        self._characters = None
        self._pattern = pattern
        self._limit = limit
        self._run = []
        if not self._read_run():
            self._want = _RUN
            yield
        return self.matched()

    def ahead(self, options: tuple[str, ...]) -> Steps[str | None]:
        """Which of `options` is next, not consumed; None if none is. None may begin another."""
        if not self.try_ahead(options):
            yield
        return self.found()

    def skip(self, *options: str) -> Steps[str | None]:
        """Consumes whichever of `options` stands next, and says which."""
        if not self.try_ahead(options):
            yield
        return self.skipped()

    def until(self, markers: Markers, sink: Sink) -> Steps[str]:
        """Consumes text into `sink` up to the first marker, which is given and not consumed. At
        the end of the text the rest goes to `sink` before EndOfText.
        """
        if not self.try_until(markers, sink):
            yield
        return self.marker()

    def json_value(self, sink: Sink, depth: int = 0, raw: bool = False) -> Steps[None]:
        """Consumes a JSON value; its compact text goes to `sink` as it arrives, what there is of
        it also before EndOfText and MalformedText. `depth`: begins inside that many brackets.
        `raw`: the text goes to `sink` as it is.
        """
        if not self.try_json(sink, depth, raw):
            yield
        self.found()

    def source(self, begun: str, limit: int) -> Steps[str]:
        """Consumes Python source up to the bracket that closes the one in `begun`, which has been
        consumed; gives all of it. MalformedText beyond `limit` characters.
        """
        self._source = SourceScanner(1, limit)
        self._run = [begun]
        if not self._read_source():
            self._want = _SOURCE
            yield
        return self.matched()

    # -- the same without a generator, for what every call passes ---------------------------------
    #
    #    if not self.try_space():
    #        yield
    #    character = self.character()

    def try_peek(self) -> bool:
        """Begins `peek`; whether it is through, else `yield` must follow. Then: `character`."""
        self._also = ""
        return self._skip_space() or self._wait(_SPACE)

    def try_space(self, also: str = "") -> bool:
        """Begins `space`; as `try_peek`. Then: `character`."""
        self._also = _WHITE + also if also else _WHITE
        return self._skip_space() or self._wait(_SPACE)

    def try_run_of(self, characters: Characters, limit: int) -> bool:
        """Begins `run_of` for a set of characters; as `try_peek`. Then: `matched`."""
        self._characters = characters
        self._limit = limit
        self._run = []
        return self._read_run() or self._wait(_RUN)

    def try_ahead(self, options: tuple[str, ...]) -> bool:
        """Begins `ahead` or `skip`; as `try_peek`. Then: `found` or `skipped`."""
        self._options = options
        return self._look_ahead() or self._wait(_AHEAD)

    def try_until(self, markers: Markers, sink: Sink) -> bool:
        """Begins `until`; as `try_peek`. Then: `marker`, or `passed` to consume it too."""
        self._markers = markers
        self._route(sink)
        return self._search() or self._wait(_UNTIL)

    def try_json(self, sink: Sink, depth: int = 0, raw: bool = False) -> bool:
        """Begins `json_value`; as `try_peek`. Then: `found`."""
        self._scanner.begin(depth)
        self._raw = raw
        self._route(sink)
        return self._read_json() or self._wait(_JSON)

    def _wait(self, want: int) -> bool:
        """A primitive waits for text: false."""
        self._want = want
        return False

    # What the primitive that was begun last came to; EndOfText or MalformedText, if it is that.

    def character(self) -> str:
        """The next character."""
        self.found()
        return self._text[self._at]

    def matched(self) -> str:
        """All that was consumed."""
        self.found()
        return "".join(self._run)

    def marker(self) -> str:
        """The marker that stands here."""
        found = self.found()
        assert found is not None
        return found

    def passed(self) -> str:
        """The marker that stood here and is consumed."""
        found = self.marker()
        self._at += len(found)
        return found

    def skipped(self) -> str | None:
        """Which of the options stood here and is consumed; None if none did."""
        found = self.found()
        if found is not None:
            self._at += len(found)
        return found

    def found(self) -> str | None:
        """What was found, if it was a marker or an option."""
        self._want = _NONE
        outcome = self._outcome
        if outcome:
            self._outcome = _FOUND
            raise EndOfText if outcome == _OVER else MalformedText
        return self._found
