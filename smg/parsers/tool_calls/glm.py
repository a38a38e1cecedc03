"""`glm45_moe`, `glm47_moe`: a name, then keys and values in tags; with or without line breaks.

<tool_call>lookup
<arg_key>id</arg_key>
<arg_value>7</arg_value>
</tool_call>
"""

from __future__ import annotations

from smg._speedups.text_scan import Characters
from smg._speedups.text_values import quoted
from smg.parsers.engine import MalformedText, Steps
from smg.parsers.tool_calls.base import Rest, ToolContext
from smg.parsers.tool_calls.parameters import MAX_NAME, ParameterCalls, Tags

_NAME = Characters(but="< \t\r\n")
_TAGS = Tags("<arg_key>", "</arg_key>", "</arg_value>", "</tool_call>")
_NEXT = (_TAGS.parameter, _TAGS.call_end)
_VALUE = ("<arg_value>",)

# As in the engine and in parameters.py.
_MALFORMED = 2
_WHITE = " \t\r\n"
_BETWEEN = 0
_AT_TAG = 1
_IN_KEY = 2
_BEHIND_KEY = 3
_AT_VALUE = 4
_IN_VALUE = 5


class GlmCalls(ParameterCalls):
    """A call is given whole when its tag closes; one that never closes is content."""

    def __init__(self, context: ToolContext) -> None:
        super().__init__(context)
        self._name = ""
        self._written: list[str] = []  # the members of the call

    def block(self, marker: str) -> Steps[Rest]:
        self.take(len(marker))
        if not self.try_space():
            yield
        self.found()
        if not self.try_run_of(_NAME, MAX_NAME):
            yield
        self._name = self.matched()
        if not self.tools.accepts(self._name):
            raise MalformedText
        self._types = self.tools.types(self._name)
        self._written = []
        return self.parameters(_TAGS)

    def _read_parameters(self) -> bool:
        while True:
            place = self._place_in_call
            if place in (_BETWEEN, _BEHIND_KEY):
                self._also = _WHITE
                if not self._skip_space():
                    return False
                self._options = _NEXT if place == _BETWEEN else _VALUE
                self._place_in_call = _AT_TAG if place == _BETWEEN else _AT_VALUE
            elif self._outcome:
                return True
            elif place in (_AT_TAG, _AT_VALUE):
                if not self._look_ahead():
                    return False
                found = self._found
                if found is None:
                    self._outcome = _MALFORMED
                    return True
                self._pass(len(found))
                if place == _AT_VALUE:
                    self._collect(_TAGS.value_end, _IN_VALUE)
                elif found == _TAGS.parameter:
                    self._collect(_TAGS.key_end, _IN_KEY)
                else:
                    self.begin(self._name)
                    self.arguments("{" + ",".join(self._written) + "}")
                    return True
            elif not self._search():
                return False
            else:
                found = self._found
                if self._outcome or found is None:
                    return True
                self._pass(len(found))
                text = "".join(self._list)
                if place == _IN_KEY:
                    self._key = text.strip()
                    self._place_in_call = _BEHIND_KEY
                else:
                    self._written.append(f"{quoted(self._key)}:{self.value(self._key, text)}")
                    self._place_in_call = _BETWEEN


class Glm(GlmCalls):
    """The format's marker."""

    starts = ("<tool_call>",)
