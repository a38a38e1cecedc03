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
from smg.parsers.engine import Steps
from smg.parsers.tool_calls.base import Rest, ToolContext
from smg.parsers.tool_calls.parameters import MAX_NAME, ParameterCalls, Tags
from smg.parsers.tool_calls.sections import SectionParser

_END_OF_SENTENCE = "<｜end▁of▁sentence｜>"
_KEY = Characters(but='<>"\n')
_STRING = '" string="true">'
_KINDS = (_STRING, '" string="false">')

# As in the engine, base.py and parameters.py.
_MALFORMED = 2
_TO_NOBODY = -5
_ESCAPED = -6
_CONTENT = -1
_WHITE = " \t\r\n"
_BETWEEN = 0
_AT_TAG = 1
_IN_KEY = 2
_BEHIND_KEY = 3
_IN_VALUE = 5


class DsmlCalls(ParameterCalls):
    """Strings are streamed as they arrive; other values wait for their end."""

    typed = False
    #: variants have a sentinel in them
    tags = Tags('<parameter name="', '"', "</parameter>", "</invoke>")

    def __init__(self, context: ToolContext) -> None:
        super().__init__(context)
        self._is_string = False

    def call(self) -> Steps[Rest]:
        """Reads one invocation."""
        self.begin((yield from self.name('">', self.tools.accepts)))
        if not self.try_space():
            yield
        if self.character() != "{":
            return self.parameters(self.tags)
        if not self.try_arguments():
            yield
        self.found()
        if not self.try_space():
            yield
        self.found()
        if not self.try_ahead((self.tags.call_end,)):
            yield
        self.skipped()
        return True

    def _read_parameters(self) -> bool:
        tags = self._tags
        assert tags is not None
        while True:
            place = self._place_in_call
            if place == _BETWEEN:
                self._also = _WHITE
                if not self._skip_space():
                    return False
                self._markers = tags.inside
                self._sink_kind = _CONTENT
                self._place_in_call = _AT_TAG
            elif place == _AT_TAG:
                if not self._search():
                    return False
                found = self._found
                if self._outcome or found is None or not self._enter(found):
                    return True
            elif place == _IN_KEY:
                if not self._read_run():
                    return False
                if self._outcome:
                    return True
                self._key = "".join(self._run)
                self._options = _KINDS
                self._place_in_call = _BEHIND_KEY
            elif place == _BEHIND_KEY:
                if not self._look_ahead():
                    return False
                found = self._found
                if found is None:
                    self.content(tags.parameter + self._key)  # of a call that is announced already
                    self._outcome = _MALFORMED
                    return True
                self._begin_value(found)
            else:
                if not self._search():
                    return False
                found = self._found
                if self._outcome or found is None:
                    self.arguments("".join(self._list).strip())
                    return True
                self._pass(len(found))
                if found not in tags.dropped:
                    self._end_value()
                    self._place_in_call = _BETWEEN

    def _enter(self, marker: str) -> bool:
        """Reads a tag between parameters; whether the call goes on."""
        tags = self._tags
        assert tags is not None
        if marker == tags.parameter:
            self._pass(len(marker))
            self._characters = _KEY
            self._limit = MAX_NAME
            self._run = []
            self._place_in_call = _IN_KEY
        elif marker in tags.dropped:
            self._pass(len(marker))
            self._place_in_call = _BETWEEN
        else:
            if marker == tags.call_end:
                self._pass(len(marker))
            self.end()
            return False
        return True

    def _begin_value(self, kind: str) -> None:
        """Writes a key, and sets out for the value."""
        tags = self._tags
        assert tags is not None
        self._pass(len(kind))
        self.key(self._key)
        self._collect(tags.value_end, _IN_VALUE)
        self._is_string = kind == _STRING
        if self._is_string:
            self.arguments('"')
            self._sink_kind = _TO_NOBODY if self._muted else _ESCAPED

    def _end_value(self) -> None:
        """Writes what is left of a value."""
        if self._is_string:
            self.arguments('"')
        else:
            self.arguments(json_or_text("".join(self._list).strip()))


class Dsml(DsmlCalls, SectionParser):
    """The tags of a variant."""

    sentinel: ClassVar[str] = "｜DSML｜"
    dropped = (_END_OF_SENTENCE,)

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.tags = Tags(
            f'<{cls.sentinel}parameter name="',
            '"',
            f"</{cls.sentinel}parameter>",
            f"</{cls.sentinel}invoke>",
            cls.call_begin,
            cls.section_end,
            dropped=cls.dropped,
        )


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
