"""`glm45_moe`, `glm47_moe`: a name, then keys and values in tags; with or without line breaks.

<tool_call>lookup
<arg_key>id</arg_key>
<arg_value>7</arg_value>
</tool_call>
"""

from __future__ import annotations

from smg._speedups.text_scan import Characters
from smg._speedups.text_values import member_text, stripped
from smg.parsers.tool_calls.parameters import ParameterCalls, Tags

# As in the engine and in parameters.py.
_MALFORMED = 2
_BETWEEN = 4
_IN_KEY = 6
_BEHIND_KEY = 7
_AT_VALUE = 8

_VALUE = ("<arg_value>",)


class GlmCalls(ParameterCalls):
    """A call is given whole when its tag closes; one that never closes is content."""

    tags = Tags(
        ("",),  # white space
        "",
        "<arg_key>",
        "</arg_key>",
        "</arg_value>",
        "</tool_call>",
        names=Characters(but="< \t\r\n"),
    )

    def _reset(self) -> None:
        ParameterCalls._reset(self)
        self._written: list[str] = []  # the members of the call

    def _announce(self) -> None:
        self._types = self.tools.types(self._name)
        self._written = []
        self._place_in_call = _BETWEEN

    def _read_tag(self) -> bool:
        tags = self._tags
        assert tags is not None
        if not self._expect_tag():
            return False
        if self._found == tags.parameter:
            self._begin_key()
        elif self._found is not None:
            self.begin(self._name)
            self._members = len(self._written)
            self._write("".join(self._written))
            self._end_call()
        return True

    def _read_key(self) -> bool:
        place = self._place_in_call
        if place == _IN_KEY:
            if not self._gather():
                return False
            self._key = stripped(self._gathered)
            self._place_in_call = _BEHIND_KEY
        elif place == _BEHIND_KEY:
            if not self._skip_white():
                return False
            self._options = _VALUE
            self._place_in_call = _AT_VALUE
        else:
            if not self._expect():
                return False
            if self._found is None:
                self._outcome = _MALFORMED
            else:
                self._begin_value()
        return True

    def _read_value(self) -> bool:
        if not self._gather():
            return False
        if not self._outcome:
            value = self.value(self._key, self._gathered)
            self._written.append(member_text("," if self._written else "{", self._key, value))
            self._place_in_call = _BETWEEN
        return True


class Glm(GlmCalls):
    """The format's marker."""

    starts = ("<tool_call>",)
