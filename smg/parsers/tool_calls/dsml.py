"""`deepseek32`, `deepseek_v4`, `deepseek_v41`: invocations in tags that begin with a sentinel.

    <｜DSML｜function_calls>
    <｜DSML｜invoke name="lookup">
    <｜DSML｜parameter name="id" string="false">7</｜DSML｜parameter>
    </｜DSML｜invoke>
    </｜DSML｜function_calls>

The variants differ in the name of the block, the last also in a space after the sentinel.
"""

from __future__ import annotations

import re
from typing import ClassVar

from smg.parsers.coercion import json_text, quoted
from smg.parsers.engine import EndOfText, MalformedText, Sink, Steps
from smg.parsers.markers import Markers
from smg.parsers.tool_calls.parameters import MAX_NAME, ParameterCalls
from smg.parsers.tool_calls.sections import SectionParser

_END_OF_SENTENCE = "<｜end▁of▁sentence｜>"
_KEY = re.compile(r'[^<>"\n]*')


class Dsml(ParameterCalls, SectionParser):
    """Strings are streamed as they arrive; other values wait for their end."""

    sentinel: ClassVar[str] = "｜DSML｜"
    dropped = (_END_OF_SENTENCE,)
    typed = False

    _parameter: ClassVar[str]
    _invoke_end: ClassVar[str]
    _inside: ClassVar[Markers]
    _value_end: ClassVar[Markers]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._parameter = f'<{cls.sentinel}parameter name="'
        cls._invoke_end = f"</{cls.sentinel}invoke>"
        inside = (cls._parameter, cls._invoke_end, cls.call_begin, cls.section_end)
        cls._inside = Markers((*inside, _END_OF_SENTENCE))
        cls._value_end = Markers((f"</{cls.sentinel}parameter>", _END_OF_SENTENCE))

    def call(self) -> Steps[None]:
        name = yield from self.name('">', self.tools.accepts)
        self.begin(name)
        if (yield from self.space()) == "{":
            yield from self.json_value(self.arguments)
            yield from self.space()
            yield from self.skip(self._invoke_end)
            return
        while True:
            yield from self.space()
            found = yield from self.until(self._inside, self.content)
            if found == self._parameter:
                self.take(len(found))
                yield from self._member()
                continue
            if found == _END_OF_SENTENCE:
                self.take(len(found))
                continue
            if found == self._invoke_end:
                self.take(len(found))
            self.end()
            return

    def _member(self) -> Steps[None]:
        """A parameter, from inside its opening tag on."""
        key = yield from self.run_of(_KEY, MAX_NAME)
        kind = yield from self.skip('" string="true">', '" string="false">')
        if kind is None:
            self.content(self._parameter + key)  # of a call that is announced already
            raise MalformedText
        self.key(key)
        if "true" in kind:
            self.arguments('"')
            yield from self._value(self.escaped_arguments)
            self.arguments('"')
            return
        pieces: list[str] = []
        try:
            yield from self._value(pieces)
        except EndOfText:
            self.arguments("".join(pieces).strip())
            raise
        raw = "".join(pieces).strip()
        self.arguments(json_text(raw) or quoted(raw))

    def _value(self, sink: Sink) -> Steps[None]:
        """A value into `sink`, with its closing tag."""
        while True:
            found = yield from self.until(self._value_end, sink)
            self.take(len(found))
            if found != _END_OF_SENTENCE:
                return


class DeepSeek32(Dsml):
    """V3.2."""

    starts = ("<｜DSML｜function_calls>", '<｜DSML｜invoke name="')
    closers = ("</｜DSML｜function_calls>",)
    call_begin = starts[1]
    section_end = closers[0]


class DeepSeekV4(Dsml):
    """V4."""

    starts = ("<｜DSML｜tool_calls>", '<｜DSML｜invoke name="')
    closers = ("</｜DSML｜tool_calls>",)
    call_begin = starts[1]
    section_end = closers[0]


class DeepSeekV41(Dsml):
    """V4.1: a space after every sentinel."""

    sentinel = "｜DSML｜ "
    starts = ("<｜DSML｜ calls>", '<｜DSML｜ invoke name="')
    closers = ("</｜DSML｜ calls>",)
    call_begin = starts[1]
    section_end = closers[0]
