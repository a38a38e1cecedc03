"""`mistral`: an array after a marker, or the newer form with the name before the arguments.

[TOOL_CALLS] [{"name": "lookup", "arguments": {"id": 7}}]
[TOOL_CALLS]lookup[ARGS]{"id": 7}[TOOL_CALLS]ping[ARGS]{}
"""

from __future__ import annotations

import re

from smg.parsers.engine import MalformedText, Steps
from smg.parsers.tool_calls.base import Rest
from smg.parsers.tool_calls.json_calls import JsonCalls

_NAME = re.compile(r"[\w.:/-]*")
_MAX_NAME = 256


class Mistral(JsonCalls):
    """Any white space may stand between marker and array."""

    starts = ("[TOOL_CALLS]",)

    def block(self, marker: str) -> Steps[Rest]:
        self.take(len(marker))
        if (yield from self.space()) in ("[", "{"):
            return self.values()
        name = yield from self.run_of(_NAME, _MAX_NAME)
        if not self.tools.accepts(name):
            raise MalformedText
        if (yield from self.skip("[CALL_ID]")) is not None:
            yield from self.run_of(_NAME, _MAX_NAME)
        if (yield from self.skip("[ARGS]")) is None or (yield from self.space()) != "{":
            raise MalformedText
        self.begin(name)
        yield from self.json_value(self.arguments)
        return True
