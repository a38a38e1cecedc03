"""What tool-call parsers share: announcing calls, and the way between blocks."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

from smg._speedups.deltas import CallStart
from smg._speedups.text_scan import WAITS, Markers, go_on
from smg._speedups.text_values import escaped
from smg.parsers.engine import Engine, MalformedText, Steps
from smg.parsers.ids import MakeId, call_id
from smg.parsers.tools import Tools

log = logging.getLogger(__name__)

# Where a parser stands between blocks.
_AT_START = 0
_IN_TEXT = 1
_AT_MARKER = 2
_BEHIND_CALL = 3
_BEHIND_SPACE = 4
_AT_NEXT = 5

# As in the engine.
_NONE = 0
_UNTIL = 1
_JSON = 2
_SPACE = 3
_AHEAD = 5
_CONTENT = -1
_TO_NOBODY = -5  # no sink of the engine
_ESCAPED = -6
_WHITE = " \t\r\n"


_NO_MARKERS: tuple[str, ...] = ()

#: how a block ends: whether a call was the last thing in it. Or not yet: with steps that read on,
#: which costs less than `yield from`, where every piece of text goes through all that wait.
Rest = bool | Steps[Any]


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a parser is built from. `parallel` false: calls after the first are dropped."""

    tools: Tools = field(default_factory=Tools)
    make_id: MakeId = call_id
    parallel: bool = True


class ToolParser(Engine):
    """Splits text into content and calls. One instance per choice of a request."""

    def __init__(self, context: ToolContext) -> None:
        self.tools = context.tools
        self._make_id = context.make_id
        self._parallel = context.parallel
        self._reset()

    def _reset(self) -> None:
        Engine._reset(self)
        self._calls = 0
        self._muted = False

    def begin(self, name: str) -> None:
        """Announces a call; what is held was its beginning."""
        self.drop()
        if self._calls and not self._parallel:
            self._muted = True
            log.debug("dropped a parallel call of %s", name)
            return
        if self._piece:
            self._seal()
        start = CallStart.__new__(CallStart)  # as in deltas.py
        start.index = self._calls
        start.id = self._make_id(self._calls, name)
        start.name = name
        self._out.append(start)
        self._calls += 1

    def arguments(self, text: str) -> None:
        """More argument text of the call announced last."""
        self._write(text)

    def _write(self, text: str) -> None:
        """`arguments`, for those that are compiled too."""
        if text and not self._muted:
            self._give(self._calls - 1, text)

    # The engine's `try_json` for what every call passes.

    def try_arguments(self) -> bool:
        """Begins a JSON value that is the arguments; as `try_json`."""
        self._scanner.begin(0)
        self._raw = False
        self._sink_kind = _TO_NOBODY if self._muted else self._calls - 1
        return self._read_json() or self._wait(_JSON)

    def _kind_of(self, function: object) -> int:
        if function is _arguments:
            return _TO_NOBODY if self._muted else self._calls - 1
        return Engine._kind_of(self, function)

    def _put(self, piece: str) -> None:
        if self._sink_kind == _ESCAPED:
            self._give(self._calls - 1, escaped(piece))
        else:
            Engine._put(self, piece)


class BlockParser(ToolParser):
    """Text in which blocks stand, each from a start marker on; `block` reads one. There is a
    generator inside of blocks only: plain text needs none.

    White space between a call and the next marker belongs to the syntax. A closer belongs to it
    when a call owes it: `owed` has those that the last call still does.
    """

    #: a block may begin here; `block` is called
    starts = _NO_MARKERS
    #: end of a block
    closers = _NO_MARKERS
    #: taken out wherever they stand between blocks
    dropped = _NO_MARKERS
    # Of formats in which calls stand in sections, and have a marker of their own there; else empty.
    call_begin = ""
    section_end = ""

    def _reset(self) -> None:
        ToolParser._reset(self)
        self.owed: tuple[str, ...] = ()
        self.in_section = False
        self._place = _AT_START
        self._in_block = False
        self._after_call = False  # a call was the last thing in the block
        self._all = _markers_of(type(self))

    def block(self, marker: str) -> Steps[Rest] | None:
        """Reads a block; the cursor is at its marker, and the text is held. Consumes something.
        Gives whether a call was the last thing in it, or what reads on. MalformedText: what is
        held, and what follows, is content. None: `_read_block` reads it.
        """
        raise NotImplementedError

    def lead(self) -> Steps[Rest] | None:
        """Reads what may stand at the very beginning only; result as of `block`. None: nothing."""
        return None

    def closed_by(self, marker: str) -> None:
        """A closer that was owed has been read."""
        self.owed = tuple([other for other in self.owed if other != marker])
        if marker == self._all.section_end:
            self.in_section = False

    def _enters(self, marker: str) -> bool:
        """Whether a section begins; then `call_begin` has to follow. MalformedText: it is a call's
        marker, outside of any.
        """
        if marker == self._all.call_begin:
            if not self.in_section:
                raise MalformedText
            return False
        self.in_section = True
        self.owed = ()
        return True

    def _begin(self) -> Steps[Any] | None:
        return None  # blocks run

    def _drive(self) -> None:
        while True:
            if self._in_block:
                if not self._read_block():
                    return
                self._in_block = False
                self._steps = None
                self._want = _NONE
                if not self._after_call:
                    self.release()
                self._place = _BEHIND_CALL if self._after_call else _IN_TEXT
            if not self._between():
                return

    def _read_block(self) -> bool:
        """Goes on with a block; whether it is over, and then `_after_call` is known."""
        try:
            while True:
                assert self._steps is not None
                result = go_on(self._steps)
                if result is WAITS:
                    return False
                if result is None or isinstance(result, bool):
                    self._after_call = bool(result)
                    return True
                self._steps = result
        except MalformedText:
            self._after_call = False
        return True

    def _between(self) -> bool:
        """Reads on between blocks: up to a block (true), or as far as the text goes."""
        while True:
            place = self._place
            if place == _IN_TEXT:
                self._place = _AT_MARKER
                self._markers = self._all.markers
                self._sink_kind = _CONTENT
                if not self._search():
                    self._want = _UNTIL
                    return False
            elif place == _AT_MARKER:
                if self._outcome:  # the text is over, and all of it given
                    return False
                if self._found is not None and self._begun(self._found):
                    return True
            elif place == _BEHIND_CALL:
                self._place = _BEHIND_SPACE
                self.hold()
                self._also = _WHITE
                if not self._skip_white():
                    self._want = _SPACE
                    return False
            elif place == _BEHIND_SPACE:
                if self._outcome:
                    self.drop()
                    return False
                self._place = _AT_NEXT
                self._options = self._all.markers.texts
                if not self._look_ahead():
                    self._want = _AHEAD
                    return False
            elif place == _AT_NEXT:
                if self._found is None:
                    self.release()
                    self._place = _IN_TEXT
                elif self._begun(self._found):
                    return True
            else:
                self._place = _IN_TEXT
                self._steps = self.lead()
                if self._steps is not None:
                    self._in_block = True
                    return True

    def _begun(self, marker: str) -> bool:
        """Reads a marker between blocks; whether a block begins with it."""
        self._want = _NONE
        if marker in self._all.starts:
            self.hold()
            self._in_block = True
            try:
                self._steps = self.block(marker)
            except MalformedText:
                self._in_block = False
                self.release()
                self._place = _IN_TEXT
                return False
            return True
        if marker in self._all.dropped:
            self.drop()
            self._at += len(marker)
            self._place = _BEHIND_CALL if self._place == _AT_NEXT else _IN_TEXT
        elif marker in self.owed:
            self.drop()
            self._at += len(marker)
            self.closed_by(marker)
            self._place = _BEHIND_CALL
        else:
            self.release()
            self.content(self._take(len(marker)))
            self._place = _IN_TEXT
        return False


class BlockMarkers:
    """What a format says about its blocks."""

    def __init__(self, kind: type[BlockParser]) -> None:
        self.starts = kind.starts
        self.dropped = kind.dropped
        self.call_begin = kind.call_begin
        self.section_end = kind.section_end
        self.markers = Markers(kind.starts + kind.closers + kind.dropped)


_MARKERS: dict[type[BlockParser], BlockMarkers] = {}


def _markers_of(kind: type[BlockParser]) -> BlockMarkers:
    """The markers of a format, made once: there are no more classes than formats."""
    markers = _MARKERS.get(kind)
    if markers is None:
        markers = _MARKERS[kind] = BlockMarkers(kind)
    return markers


_arguments = ToolParser.__dict__["arguments"]
