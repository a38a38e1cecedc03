"""The text that has arrived, how far it has been read, and the loops that read it.

Text is consumed as it arrives; only half a marker stays in the buffer, so the cost is linear.
Inside a block that may yet turn out to be plain text, what is consumed is also *held*: `release`
makes it content, `drop` forgets it because the block was what it seemed.

Most pieces change nothing, and the next one is only compared, put away or given on. Such a wait is
*half*: a marker has begun, and its rest is expected; or *quiet*: text is gathered up to a marker,
and none can end before its last character comes; or the text *flows*: up to a marker it is for
somebody, and none has begun.

A loop (`_search`, `_read_json`, ...) goes on where it stood and says whether it is through. It
decides only on what no later text can change.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from types import MethodType

from smg._speedups.text_scan import Characters, Markers, Unread, begun, skip_run, skip_white
from smg._speedups.value_scan import JsonScanner, SourceScanner
from smg.parsers.deltas import Deltas

#: where a primitive puts text: into a list, or as argument of a call
Sink = Callable[[str], object] | list[str]

#: no marker at all: everything up to the end of the text
NOTHING = Markers(())

_ANYTHING = re.compile("")
_NO_UNREAD = Unread()  # of those that were never quiet

# How a loop ended.
_FOUND = 0
_OVER = 1
_MALFORMED = 2

# Kinds of text as in deltas.py, from 0 on the arguments of a call; and other sinks.
_CONTENT = -1
_REASONING = -2
_TO_LIST = -3
_TO_CALL = -4

_NOT_HELD = -1
_NO_LIMIT = sys.maxsize


class Cursor(Deltas):
    """A place in text that goes on."""

    def _reset(self) -> None:
        Deltas._reset(self)
        self._text = ""
        self._at = 0
        self._end = 0  # how far it has arrived: the length of _text, but
        self._half = False  # then _text is a whole marker
        self._passes = False  # then whoever waits for it goes on behind it
        self._completed = False  # it has come, and is passed
        self._quiet = False
        self._unread = _NO_UNREAD  # what came since
        self._flows = False
        self._closed = False
        self._mark = _NOT_HELD  # where in _text begins what is held
        self._kept: list[str] = []  # what is held of text before
        self._outcome = _FOUND
        self._found: str | None = None
        self._markers = NOTHING
        self._scanner = JsonScanner()
        self._source: SourceScanner | None = None
        self._raw = False  # JSON is given on as it is written, not compact
        self._also = ""
        self._characters: Characters | None = None  # else:
        self._pattern = _ANYTHING
        self._limit = 0
        self._run: list[str] = []  # what the pattern matched so far
        self._options: tuple[str, ...] = ()
        self._sink_kind = _CONTENT
        self._sink: Callable[[str], object] | None = None
        self._list: list[str] = []
        self._patience = _NO_LIMIT  # how many characters may be gathered yet
        self._parts: list[str] | None = None  # of what is gathered
        self._gathered = ""

    # -- consuming --------------------------------------------------------------------------------

    def take(self, count: int) -> str:
        """Consumes the next `count` characters, which have arrived."""
        return self._take(count)

    def _take(self, count: int) -> str:
        piece = self._text[self._at : self._at + count]
        self._at += count
        return piece

    def _give_back(self, marker: str) -> None:
        """A marker that was passed is for whoever reads on. Nothing is held."""
        if self._at < len(marker):
            self._replace(marker + self._text[self._at :])
        else:
            self._at -= len(marker)

    def hold(self) -> None:
        """From here on, what is consumed may yet be content."""
        if self._mark == _NOT_HELD:
            self._mark = self._at

    def release(self) -> None:
        """What is held is content; nothing is held any more."""
        if self._mark != _NOT_HELD:
            self.content(self.held())

    def held(self) -> str:
        """What is held; nothing is held any more."""
        if self._mark == _NOT_HELD:
            return ""
        held = self._text[self._mark : self._at]
        if self._kept:
            held = "".join(self._kept) + held
        self.drop()
        return held

    def drop(self) -> None:
        """What is held was syntax; nothing is held any more."""
        self._mark = _NOT_HELD
        if self._kept:
            self._kept = []

    # -- how text arrives -------------------------------------------------------------------------

    def _replace(self, text: str) -> None:
        """Reads on in other text, which begins where the old has been read to."""
        self._keep()
        self._text = text
        self._at = 0
        self._end = len(text)

    def _keep(self) -> None:
        """The text goes, but for what is held of it."""
        if self._mark != _NOT_HELD:
            if self._at > self._mark:
                self._kept.append(self._text[self._mark : self._at])
            self._mark = 0

    def _wait_for_rest(self, marker: str) -> None:
        """All that is left is the beginning of a marker. The next pieces mostly have its rest: then
        they are compared with it, and neither put together nor searched.
        """
        if self._at < self._end:
            self._keep()
            self._end -= self._at
            self._at = 0
            self._text = marker
            self._half = True
            self._passes = False

    def _complete(self, text: str, at: int) -> None:
        """A marker for which something waited ends in the next text, there."""
        if self._quiet:
            self._quiet = False
            marker = self._unread.marker
            self._gathered = self._unread.take()
        else:
            marker = self._text
            self._gathered = ""
        if self._mark != _NOT_HELD:
            self._keep()
            self._kept.append(f"{self._gathered}{marker}")
            self._mark = at
        self._completed = True
        self._found = marker
        self._text = text
        self._at = at
        self._end = len(text)

    def _be_quiet(self) -> None:
        """No piece before the one that may end a marker need be looked at."""
        if self._unread is _NO_UNREAD:
            self._unread = Unread()
        self._unread.add(self._text, self._at, self._markers)
        self._quiet = True

    def _wake(self) -> None:
        """The text is over in a quiet time: reads what came."""
        self._quiet = False
        self._replace(self._unread.take())

    # -- the loops --------------------------------------------------------------------------------

    def _over(self) -> bool:
        """At the end of what has arrived: whether it is the end of the text."""
        if self._closed:
            self._outcome = _OVER
            return True
        return False

    def _search(self) -> bool:
        markers = self._markers
        at = markers.find(self._text, self._at, self._closed)
        if at > self._at:
            self._put(self._take(at - self._at))
        if at == self._end:
            # Other people's functions may fail, and text that is held is counted.
            self._flows = self._sink_kind != _TO_CALL and self._mark == _NOT_HELD
            return self._over()
        return self._stands(markers.texts)

    # What the markers of a call are read with: they go on behind what they find.

    def _find(self) -> bool:
        """`_search`, and past the marker."""
        if self._completed:
            self._completed = False
        elif not self._search():
            self._passes = self._half
            return False
        else:
            self._pass_found()
        return True

    def _expect(self) -> bool:
        """`_look_ahead`, and past the option."""
        if self._completed:
            self._completed = False
        elif not self._stands(self._options):
            self._passes = self._half
            return False
        else:
            self._pass_found()
        return True

    def _gather(self) -> bool:
        """All the text up to a marker, and past it. Then `_gathered` has it. Where no marker can
        end in more text than `_patience` allows, it is malformed, and that text not consumed.
        """
        if self._completed:
            self._completed = False
            piece = self._gathered
        else:
            markers = self._markers
            if not self._closed and not markers.may_end(self._text, self._at):
                if self._end - self._at <= self._patience:
                    self._be_quiet()
                    return False
                self._outcome = _MALFORMED
                self._gathered = "" if self._parts is None else "".join(self._parts)
                self._parts = None
                return True
            piece = self._take(markers.find(self._text, self._at, self._closed) - self._at)
            through = self._over() if self._at == self._end else self._stands(markers.texts)
            if not through:
                if piece:
                    if self._parts is None:
                        self._parts = []
                    self._parts.append(piece)
                    self._patience -= len(piece)
                self._passes = self._half
                return False
            self._pass_found()
        if self._parts is not None:
            piece = "".join(self._parts) + piece
            self._parts = None
        self._gathered = piece
        return True

    def _pass_found(self) -> None:
        if not self._outcome and self._found is not None:
            self._at += len(self._found)

    def _read_json(self) -> bool:
        scanner = self._scanner
        piece = scanner.scan(self._text, self._at, self._closed)
        if self._raw:
            piece = self._take(scanner.reached - self._at)
        else:
            self._at = scanner.reached
        if piece:
            self._put(piece)
        if scanner.done:
            return True
        if scanner.bad:
            self._outcome = _MALFORMED
            return True
        return self._over()

    def _read_source(self) -> bool:
        source = self._source
        assert source is not None
        at = source.scan(self._text, self._at)
        if at > self._at:
            self._run.append(self._take(at - self._at))
        if source.done:
            return True
        if source.bad:
            self._outcome = _MALFORMED
            return True
        return self._over()

    def _skip_space(self) -> bool:
        self._at = skip_run(self._text, self._at, self._also)
        return self._at < self._end or self._over()

    def _skip_white(self) -> bool:
        self._at = skip_white(self._text, self._at)
        return self._at < self._end or self._over()

    def _read_run(self) -> bool:
        if self._characters is not None:
            end = self._characters.end(self._text, self._at)
        else:
            match = self._pattern.match(self._text, self._at)
            assert match is not None  # such patterns match the empty string
            end = match.end()
        if end > self._at:
            piece = self._take(min(end - self._at, self._limit + 1))
            self._limit -= len(piece)
            self._run.append(piece)
            if self._limit < 0:
                self._outcome = _MALFORMED
                return True
        return self._at < self._end or self._over()

    def _look_ahead(self) -> bool:
        return self._stands(self._options)

    def _stands(self, options: tuple[str, ...]) -> bool:
        """Which of `options` stands here; false if that cannot be said yet."""
        option = begun(options, self._text, self._at)
        if option is not None and len(option) > self._end - self._at:
            if not self._closed:
                self._wait_for_rest(option)
                return False
            option = None
        self._found = option
        return True

    # -- where text goes --------------------------------------------------------------------------

    def _route(self, sink: Sink) -> None:
        """Where `_put` puts text. Methods of ours are told apart once, not called per piece."""
        if isinstance(sink, list):
            self._sink_kind = _TO_LIST
            self._list = sink
            return
        self._sink = sink
        if isinstance(sink, MethodType) and sink.__self__ is self:
            self._sink_kind = self._kind_of(sink.__func__)
        else:
            self._sink_kind = _TO_CALL

    def _kind_of(self, function: object) -> int:
        if function is _content:
            return _CONTENT
        if function is _reasoning:
            return _REASONING
        return _TO_CALL

    def _put(self, piece: str) -> None:
        kind = self._sink_kind
        if kind >= _REASONING:
            self._give(kind, piece)
        elif kind == _TO_LIST:
            self._list.append(piece)
        elif kind == _TO_CALL and self._sink is not None:
            self._sink(piece)


_content = Deltas.__dict__["content"]
_reasoning = Deltas.__dict__["reasoning"]
