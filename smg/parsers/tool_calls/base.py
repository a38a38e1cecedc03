"""What tool-call parsers share: announcing calls, reading JSON, and the way between blocks."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

from smg.parsers.base import CallStart
from smg.parsers.engine import EndOfText, Engine, MalformedText, Steps
from smg.parsers.ids import MakeId, call_id
from smg.parsers.json_stream import JsonScanner
from smg.parsers.markers import Markers
from smg.parsers.tools import Tools

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a parser is built from. `parallel` false: calls after the first are dropped."""

    tools: Tools = field(default_factory=Tools)
    make_id: MakeId = call_id
    parallel: bool = True


class ToolParser(Engine):
    """Splits text into content and calls. One instance per choice of a request."""

    def __init__(self, context: ToolContext) -> None:
        super().__init__()
        self.tools = context.tools
        self._make_id = context.make_id
        self._parallel = context.parallel
        self._calls = 0
        self._muted = False

    # -- giving -----------------------------------------------------------------------------------

    def begin(self, name: str) -> None:
        """Announces a call; what is held was its beginning."""
        self.drop()
        if self._calls and not self._parallel:
            self._muted = True
            log.debug("dropped a parallel call of %s", name)
            return
        self._seal()
        self._out.append(CallStart(self._calls, self._make_id(self._calls, name), name))
        self._calls += 1

    def arguments(self, text: str) -> None:
        """More argument text of the call announced last."""
        if not self._muted:
            self._give(self._calls - 1, text)

    # -- reading JSON -----------------------------------------------------------------------------

    def json_value(self, sink: Callable[[str], object], depth: int = 0) -> Steps[None]:
        """Consumes a JSON value; its compact text goes to `sink` as it arrives, what there is of
        it also before EndOfText and MalformedText.
        """
        scanner = JsonScanner(depth)
        out: list[str] = []
        while True:
            reached = scanner.scan(self._text, self._at, self._closed, out)
            if reached > self._at:
                self.take(reached - self._at)
            for piece in out:
                sink(piece)
            out.clear()
            if scanner.done:
                return
            if scanner.bad:
                raise MalformedText
            if self._closed:
                raise EndOfText
            yield from self.wait(scanner.plain, sink)

    def json_as_content(self, depth: int) -> Steps[None]:
        """Consumes the rest of a JSON value, `depth` brackets deep, and passes it on as it is."""
        scanner = JsonScanner(depth)
        while True:
            reached = scanner.scan(self._text, self._at, self._closed, [])
            if reached > self._at:
                self.content(self.take(reached - self._at))
            if scanner.done or scanner.bad:
                return
            if self._closed:
                raise EndOfText
            yield


class BlockParser(ToolParser):
    """Text in which blocks stand, each from a start marker on.

    White space between a call and the next marker belongs to the syntax. A closer belongs to it
    when a call owes it: `owed` has those that the last call still does.
    """

    #: a block may begin here; `block` is called
    starts: ClassVar[tuple[str, ...]] = ()
    #: end of a block
    closers: ClassVar[tuple[str, ...]] = ()
    #: taken out wherever they stand between blocks
    dropped: ClassVar[tuple[str, ...]] = ()
    _markers: ClassVar[Markers] = Markers(())

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._markers = Markers(cls.starts + cls.closers + cls.dropped)

    def __init__(self, context: ToolContext) -> None:
        super().__init__(context)
        self.owed: set[str] = set()

    @abstractmethod
    def block(self, marker: str) -> Steps[bool]:
        """Reads a block; the cursor is at its marker, and the text is held. Consumes something.
        Gives whether a call was the last thing in it. MalformedText: what is held, and what
        follows, is content.
        """

    def lead(self) -> Steps[bool]:
        """Reads what may stand at the very beginning only; result as of `block`."""
        yield from ()
        return False

    def closed_by(self, marker: str) -> None:
        """A closer that was owed has been read."""
        self.owed.discard(marker)

    def run(self) -> Steps[None]:
        after_call = yield from self._tried(self.lead())
        while True:
            marker: str | None
            if after_call:
                self.hold()
                try:
                    yield from self.space()
                except EndOfText:
                    self.drop()
                    raise
                marker = yield from self.ahead(self._markers.texts)
                if marker is None:
                    self.release()
                    after_call = False
                    continue
            else:
                marker = yield from self.until(self._markers, self.content)
            if marker in self.starts:
                self.hold()
                after_call = yield from self._tried(self.block(marker))
                continue
            if marker in self.dropped:
                self.drop()
                self.take(len(marker))
            elif marker in self.owed:
                self.drop()
                self.take(len(marker))
                self.closed_by(marker)
                after_call = True
            else:
                self.release()
                self.content(self.take(len(marker)))
                after_call = False

    def _tried(self, part: Steps[bool]) -> Steps[bool]:
        try:
            after_call = yield from part
        except MalformedText:
            after_call = False
        if not after_call:
            self.release()
        return after_call
