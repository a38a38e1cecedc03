"""`glm45_moe`, `glm47_moe`: a name, then keys and values in tags; with or without line breaks.

<tool_call>lookup
<arg_key>id</arg_key>
<arg_value>7</arg_value>
</tool_call>
"""

from __future__ import annotations

import re

from smg.parsers.coercion import quoted
from smg.parsers.engine import MalformedText, Steps
from smg.parsers.markers import Markers
from smg.parsers.tool_calls.parameters import MAX_NAME, ParameterCalls

_NAME = re.compile(r"[^\s<]*")
_KEY_END = Markers(("</arg_key>",))
_VALUE_END = Markers(("</arg_value>",))


class Glm(ParameterCalls):
    """A call is given whole when its tag closes; one that never closes is content."""

    starts = ("<tool_call>",)

    def block(self, marker: str) -> Steps[bool]:
        self.take(len(marker))
        yield from self.space()
        name = yield from self.run_of(_NAME, MAX_NAME)
        if not self.tools.accepts(name):
            raise MalformedText
        self._types = self.tools.types(name)
        members: list[str] = []
        while True:
            yield from self.space()
            if (yield from self.skip("</tool_call>")) is not None:
                break
            key = (yield from self._inside("<arg_key>", _KEY_END)).strip()
            yield from self.space()
            value = yield from self._inside("<arg_value>", _VALUE_END)
            members.append(f"{quoted(key)}:{self.value(key, value)}")
        self.begin(name)
        self.arguments("{" + ",".join(members) + "}")
        return True

    def _inside(self, begin: str, end: Markers) -> Steps[str]:
        """The text of an element."""
        if (yield from self.skip(begin)) is None:
            raise MalformedText
        pieces: list[str] = []
        marker = yield from self.until(end, pieces)
        self.take(len(marker))
        return "".join(pieces)
