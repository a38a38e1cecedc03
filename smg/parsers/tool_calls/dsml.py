"""`deepseek32`, `deepseek_v4`, `deepseek_v41`: invocations in tags that begin with a sentinel.

    <｜DSML｜function_calls>
    <｜DSML｜invoke name="lookup">
    <｜DSML｜parameter name="id" string="false">7</｜DSML｜parameter>
    </｜DSML｜invoke>
    </｜DSML｜function_calls>

The variants differ in the name of the block, the last also in a space after the sentinel.
"""

from __future__ import annotations

from typing import ClassVar

from smg._speedups.text_scan import Characters
from smg.parsers.coercion import json_or_text
from smg.parsers.engine import EndOfText, MalformedText, Steps
from smg.parsers.markers import Markers
from smg.parsers.tool_calls.parameters import MAX_NAME, ParameterCalls
from smg.parsers.tool_calls.sections import SectionParser

_END_OF_SENTENCE = "<｜end▁of▁sentence｜>"
_KEY = Characters(but='<>"\n')
_STRING = '" string="true">'
_KINDS = (_STRING, '" string="false">')


class DsmlCalls(ParameterCalls):
    """Strings are streamed as they arrive; other values wait for their end."""

    typed = False

    # Of the variant.
    parameter_begin = ""
    invoke_end = ""
    inside = Markers(())
    value_end = Markers(())

    def call(self) -> Steps[bool]:
        """Reads one invocation."""
        self.begin((yield from self.name('">', self.tools.accepts)))
        parameter_begin, invoke_end = self.parameter_begin, self.invoke_end
        inside, value_end = self.inside, self.value_end
        if not self.try_space():
            yield
        if self.character() == "{":
            if not self.try_arguments():
                yield
            self.found()
            if not self.try_space():
                yield
            self.found()
            if not self.try_ahead((invoke_end,)):
                yield
            self.skipped()
            return True
        while True:
            if not self.try_space():
                yield
            self.found()
            if not self.try_text(inside):
                yield
            found = self.marker()
            if found == _END_OF_SENTENCE:
                self.take(len(found))
                continue
            if found != parameter_begin:
                if found == invoke_end:
                    self.take(len(found))
                self.end()
                return True
            self.take(len(found))
            if not self.try_run_of(_KEY, MAX_NAME):
                yield
            key = self.matched()
            if not self.try_ahead(_KINDS):
                yield
            kind = self.skipped()
            if kind is None:
                self.content(parameter_begin + key)  # of a call that is announced already
                raise MalformedText
            self.key(key)
            pieces: list[str] = []
            if kind == _STRING:
                self.arguments('"')
            try:
                while True:
                    if kind == _STRING:
                        through = self.try_string(value_end)
                    else:
                        through = self.try_until(value_end, pieces)
                    if not through:
                        yield
                    if self.passed() != _END_OF_SENTENCE:
                        break
            except EndOfText:
                self.arguments("".join(pieces).strip())
                raise
            if kind == _STRING:
                self.arguments('"')
            else:
                self.arguments(json_or_text("".join(pieces).strip()))


class Dsml(DsmlCalls, SectionParser):
    """The tags of a variant."""

    sentinel: ClassVar[str] = "｜DSML｜"
    dropped = (_END_OF_SENTENCE,)

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.parameter_begin = f'<{cls.sentinel}parameter name="'
        cls.invoke_end = f"</{cls.sentinel}invoke>"
        tags = (cls.parameter_begin, cls.invoke_end, cls.call_begin, cls.section_end)
        cls.inside = Markers((*tags, _END_OF_SENTENCE))
        cls.value_end = Markers((f"</{cls.sentinel}parameter>", _END_OF_SENTENCE))


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
