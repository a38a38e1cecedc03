"""The engine under all parsers: a parser reads as if the whole text were there.

`run` is a generator over a cursor. A primitive that needs text which has not arrived makes it
yield, goes on with every `feed`, and wakes `run` when it has what it was asked for; so `run` cannot
notice how the text is cut. Every primitive decides only on what no later text can change. A piece
in the middle of a long value or of plain text costs a call and a look at its characters.

Text is consumed as it arrives; only half a marker stays in the buffer, so the cost is linear.
Inside a block that may yet turn out to be plain text, what is consumed is also *held*: `release`
makes it content, `drop` forgets it because the block was what it seemed.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Generator
from types import MethodType
from typing import Any, TypeVar

from smg._speedups.text_scan import JsonScanner, Markers, SourceScanner, go_on, skip_run
from smg.parsers.base import CallArguments, Content, Delta, Parsed, Reasoning, joined

log = logging.getLogger(__name__)

T = TypeVar("T")
#: what `run` and its parts are: they yield where text is wanting, and return T
Steps = Generator[None, None, T]
#: where a primitive puts text: into a list, or as argument of a call
Sink = Callable[[str], object] | list[str]

#: no marker at all: everything up to the end of the text
NOTHING = Markers(())

_WHITE = " \t\r\n"
_ANYTHING = re.compile("")

# The primitive that waits for text.
_NONE = 0
_UNTIL = 1
_JSON = 2
_SPACE = 3
_RUN = 4
_AHEAD = 5
_SOURCE = 6

# How a primitive ended.
_FOUND = 0
_OVER = 1
_MALFORMED = 2

# Kinds of text: content, reasoning, from 0 on the arguments of a call. As sinks also the others.
_CONTENT = -1
_REASONING = -2
_TO_LIST = -3
_TO_CALL = -4


class EndOfText(Exception):
    """The text is over, in the middle of whatever was read."""


class MalformedText(Exception):
    """The block is not what its beginning promised; what is held of it is content."""


class Engine:
    """A parser: subclasses write `run`."""

    def __init__(self) -> None:
        #: `run` failed by a mistake of ours; everything since is content
        self.broken = False
        self._text = ""
        self._at = 0
        self._end = 0  # the length of _text
        self._closed = False
        self._held: list[str] | None = None
        self._out: list[Delta] = []
        self._kind = _CONTENT  # of the pieces
        self._piece = ""
        self._more: list[str] = []  # pieces after the first
        self._want = _NONE
        self._outcome = _FOUND
        self._found: str | None = None
        self._markers = NOTHING
        self._scanner = JsonScanner()
        self._source: SourceScanner | None = None
        self._raw = False  # JSON is given on as it is written, not compact
        self._also = _WHITE
        self._pattern = _ANYTHING
        self._limit = 0
        self._run: list[str] = []  # what the pattern matched so far
        self._options: tuple[str, ...] = ()
        self._sink_kind = _CONTENT
        self._sink: Callable[[str], object] = self.content
        self._list: list[str] = []
        self._results: list[Any] = []
        self._steps: Steps[Any] | None = self.run()

    def run(self) -> Steps[Any] | None:
        """Reads to the end of the text: ends by EndOfText, not by returning."""
        raise NotImplementedError

    # -- what the pipeline calls ------------------------------------------------------------------

    def feed(self, text: str) -> list[Delta]:
        """Takes the next piece of text; gives what is certain by now."""
        if self._at < self._end:
            text = self._text[self._at :] + text
        self._text = text
        self._at = 0
        self._end = len(text)
        if self._end:
            self._advance()
        return self._taken()

    def finish(self) -> list[Delta]:
        """No text will follow: gives what was kept back."""
        if not self._closed:
            self._closed = True
            self._advance()
        return self._taken()

    def parse(self, text: str) -> Parsed:
        """The whole text at once, by the same way. For a parser that was not fed before."""
        return joined(self.feed(text) + self.finish())

    def _advance(self) -> None:
        """Reads what has arrived."""
        if not self.broken:
            try:
                if self._continue():
                    self._drive()
                return
            except EndOfText:
                pass
            except Exception:  # whatever text a model writes, its reader gets it
                self.broken = True
                log.exception("parser %s failed, text is passed on", type(self).__name__)
            self._want = _NONE
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
        if self._steps is None or go_on(self._steps, self._results):
            raise RuntimeError("a parser's run has ended before the text")

    # -- giving -----------------------------------------------------------------------------------

    def content(self, text: str) -> None:
        """Text of the answer."""
        if text:
            self._give(_CONTENT, text)

    def reasoning(self, text: str) -> None:
        """Text that was thought."""
        if text:
            self._give(_REASONING, text)

    def _give(self, kind: int, text: str) -> None:
        """Text of a kind, not empty."""
        if not self._piece:
            self._kind = kind
            self._piece = text
            return
        if kind != self._kind:
            self._seal()
            self._kind = kind
            self._piece = text
            return
        self._more.append(text)

    def _seal(self) -> None:
        """Makes one delta of the pieces, of which there are some."""
        self._out.append(self._delta())

    def _delta(self) -> Delta:
        # Made without calling the class, which costs as much again as the rest.
        text = self._piece
        if self._more:
            text += "".join(self._more)
            self._more.clear()
        self._piece = ""
        if self._kind >= 0:
            arguments = CallArguments.__new__(CallArguments)
            arguments.index = self._kind
            arguments.text = text
            return arguments
        if self._kind == _CONTENT:
            content = Content.__new__(Content)
            content.text = text
            return content
        reasoning = Reasoning.__new__(Reasoning)
        reasoning.text = text
        return reasoning

    def _taken(self) -> list[Delta]:
        if not self._out:
            return [self._delta()] if self._piece else []
        if self._piece:
            self._seal()
        out = self._out
        self._out = []
        return out

    # -- consuming --------------------------------------------------------------------------------

    def take(self, count: int) -> str:
        """Consumes the next `count` characters, which have arrived."""
        return self._take(count)

    def _take(self, count: int) -> str:
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
            self.content(self.held())

    def held(self) -> str:
        """What is held; nothing is held any more."""
        held = self._held
        self._held = None
        return "" if held is None else "".join(held)

    def drop(self) -> None:
        """What is held was syntax; nothing is held any more."""
        self._held = None

    # -- reading ----------------------------------------------------------------------------------

    def peek(self) -> Steps[str]:
        """The next character, not consumed."""
        self._also = ""
        if not self._skip_space():
            self._want = _SPACE
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
        self._pattern = pattern
        self._limit = limit
        run: list[str] = []
        self._run = run
        if not self._read_run():
            self._want = _RUN
            yield
        self.found()
        return "".join(run)

    def ahead(self, options: tuple[str, ...]) -> Steps[str | None]:
        """Which of `options` is next, not consumed; None if none is. None may begin another."""
        self._options = options
        if not self._look_ahead():
            self._want = _AHEAD
            yield
        return self.found()

    def skip(self, *options: str) -> Steps[str | None]:
        """Consumes whichever of `options` stands next, and says which."""
        found = yield from self.ahead(options)
        if found is not None:
            self._take(len(found))
        return found

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
        run = [begun]
        self._run = run
        if not self._read_source():
            self._want = _SOURCE
            yield
        self.found()
        return "".join(run)

    # -- the same without a generator, for what every call passes ---------------------------------
    #
    #    if not self.try_space():
    #        yield
    #    character = self.character()

    def try_space(self, also: str = "") -> bool:
        """Begins `space`; whether it is through, else `yield` must follow."""
        self._also = _WHITE + also if also else _WHITE
        if self._skip_space():
            return True
        self._want = _SPACE
        return False

    def try_until(self, markers: Markers, sink: Sink) -> bool:
        """Begins `until`; as `try_space`."""
        self._markers = markers
        self._route(sink)
        if self._search():
            return True
        self._want = _UNTIL
        return False

    def try_json(self, sink: Sink, depth: int = 0, raw: bool = False) -> bool:
        """Begins `json_value`; as `try_space`."""
        self._scanner.begin(depth)
        self._raw = raw
        self._route(sink)
        if self._read_json():
            return True
        self._want = _JSON
        return False

    def character(self) -> str:
        """What `try_space` came to. EndOfText, if that is what it was."""
        self.found()
        return self._text[self._at]

    def marker(self) -> str:
        """What `try_until` came to. EndOfText, if that is what it was."""
        found = self.found()
        assert found is not None
        return found

    def found(self) -> str | None:
        """What was begun last is through: its result, or EndOfText or MalformedText."""
        self._want = _NONE
        outcome = self._outcome
        if outcome:
            self._outcome = _FOUND
            raise EndOfText if outcome == _OVER else MalformedText
        return self._found

    # -- the primitives' loops: each goes on where it stood, and says whether it is through -------

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
            return self._over()
        self._found = markers.standing(self._text, at)
        return self._found is not None

    def _read_json(self) -> bool:
        scanner = self._scanner
        piece = scanner.scan(self._text, self._at, self._closed)
        if self._raw or self._held is not None:
            taken = self._take(scanner.reached - self._at)
            if self._raw:
                piece = taken
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
        at = skip_run(self._text, self._at, self._also)
        if at > self._at:
            self._take(at - self._at)
        return at < self._end or self._over()

    def _read_run(self) -> bool:
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
        for option in self._options:
            if self._text.startswith(option, self._at):
                self._found = option
                return True
        self._found = None
        if self._closed:
            return True
        rest = self._text[self._at :]
        return not any(option.startswith(rest) for option in self._options)

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
        elif kind == _TO_CALL:
            self._sink(piece)


_content = Engine.__dict__["content"]
_reasoning = Engine.__dict__["reasoning"]
