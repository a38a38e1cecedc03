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

from smg._speedups.text_scan import Markers
from smg._speedups.text_values import stripped
from smg.parsers.coercion import json_or_text
from smg.parsers.engine import Steps
from smg.parsers.tool_calls.base import BlockParser
from smg.parsers.tool_calls.parameters import MAX_NAME, ParameterCalls, Tags

_END_OF_SENTENCE = "<｜end▁of▁sentence｜>"
_KEY_END = Markers((">", "<", "\n"))
# What stands behind a key.
_STRING = '" string="true"'
_OTHER = '" string="false"'

# As in the engine, base.py and parameters.py.
_MALFORMED = 2
_TO_NOBODY = -5
_ESCAPED = -6
_BETWEEN = 4
_IN_KEY = 6
_BEHIND_CALL = 10
# One more place in a call.
_AT_ARGUMENTS = 11


class DsmlCalls(ParameterCalls):
    """Strings are streamed as they arrive; other values wait for their end. All arguments may also
    be one JSON object.
    """

    typed = False

    def _reset(self) -> None:
        ParameterCalls._reset(self)
        self._is_string = False

    def _announce(self) -> None:
        self.begin(self._name)
        self._place_in_call = _AT_ARGUMENTS

    def _read_block(self) -> bool:
        if self._steps is None and not ParameterCalls._read_block(self):
            return False
        return self._steps is None or BlockParser._read_block(self)

    def _object(self) -> Steps[bool]:
        """Arguments that are one object, and the end of the call."""
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

    def _begin_key(self) -> None:
        self._markers = _KEY_END
        self._place_in_call = _IN_KEY

    def _read_key(self) -> bool:
        if self._place_in_call == _AT_ARGUMENTS:
            if not self._skip_white():
                return False
            if self._outcome or self._text[self._at] != "{":
                self._place_in_call = _BETWEEN
            else:
                self._steps = self._object()
                self._place_in_call = _BEHIND_CALL
            return True
        if not self._gather():
            return False
        text = self._gathered
        quote = text.find('"')
        if 0 <= quote <= MAX_NAME and not self._outcome and self._found == ">":
            size = len(text) - quote
            self._is_string = size == len(_STRING) and text.endswith(_STRING)
            if self._is_string or (size == len(_OTHER) and text.endswith(_OTHER)):
                self._key = text[:quote]
                self._begin_value()
                return True
        if quote < 0:
            if self._outcome:
                return True
            quote = len(text)
        self._key = text[:quote]
        behind = text[quote:]
        if not self._outcome and self._found is not None:
            behind += self._found
        assert self._tags is not None
        self.content(self._tags.parameter + self._key)  # of a call that is announced already
        self._give_back(behind)
        self._outcome = _MALFORMED
        return True

    def _begin_value(self) -> None:
        ParameterCalls._begin_value(self)
        if self._is_string:
            self._write_member(self._key, '"')
            self._sink_kind = _TO_NOBODY if self._muted else _ESCAPED

    def _read_value(self) -> bool:
        tags = self._tags
        assert tags is not None
        if not (self._find() if self._is_string else self._gather()):
            return False
        dropped = not self._outcome and self._found != tags.value_end.texts[0]
        if self._is_string:
            if not self._outcome and not dropped:
                self._write('"')
        elif dropped:
            self._go_on_behind(self._gathered)
        else:
            value = stripped(self._whole_with(self._gathered))
            self._write_member(self._key, value if self._outcome else json_or_text(value))
        if not dropped:
            self._place_in_call = _BETWEEN
        return True


class Dsml(DsmlCalls):
    """The tags of a variant."""

    sentinel: ClassVar[str] = "｜DSML｜"
    dropped = (_END_OF_SENTENCE,)

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.tags = Tags(
            (),
            '">',
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
