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
from smg.parsers.markers import Markers
from smg.parsers.tool_calls.parameters import MAX_NAME, ParameterCalls

_NAME = Characters(but="< \t\r\n")
_KEY_END = Markers(("</arg_key>",))
_VALUE_END = Markers(("</arg_value>",))
_NEXT = ("<arg_key>", "</tool_call>")
_VALUE = ("<arg_value>",)


class GlmCalls(ParameterCalls):
    """A call is given whole when its tag closes; one that never closes is content."""

    def block(self, marker: str) -> Steps[bool]:
        self.take(len(marker))
        if not self.try_space():
            yield
        self.found()
        if not self.try_run_of(_NAME, MAX_NAME):
            yield
        name = self.matched()
        if not self.tools.accepts(name):
            raise MalformedText
        self._types = self.tools.types(name)
        members: list[str] = []
        while True:
            if not self.try_space():
                yield
            self.found()
            if not self.try_ahead(_NEXT):
                yield
            found = self.skipped()
            if found != "<arg_key>":
                break
            key: list[str] = []
            if not self.try_until(_KEY_END, key):
                yield
            self.passed()
            if not self.try_space():
                yield
            self.found()
            if not self.try_ahead(_VALUE):
                yield
            if self.skipped() is None:
                raise MalformedText
            value: list[str] = []
            if not self.try_until(_VALUE_END, value):
                yield
            self.passed()
            text = "".join(key).strip()
            members.append(f"{quoted(text)}:{self.value(text, ''.join(value))}")
        if found is None:
            raise MalformedText
        self.begin(name)
        self.arguments("{" + ",".join(members) + "}")
        return True


class Glm(GlmCalls):
    """The format's marker."""

    starts = ("<tool_call>",)
