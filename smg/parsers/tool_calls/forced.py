"""The answer of an engine that was made to write the arguments of one named tool.

No marker announces the call: the text is a JSON object and nothing else.
"""

from __future__ import annotations

from smg.parsers.engine import NOTHING, EndOfText, MalformedText, Steps
from smg.parsers.tool_calls.base import ToolContext, ToolParser


class ForcedCall(ToolParser):
    """One call of `name`; text that is no object is content."""

    def __init__(self, context: ToolContext, name: str) -> None:
        super().__init__(context)
        self._name = name

    def run(self) -> Steps[None]:
        self.hold()
        if (yield from self.space()) == "{":
            self.begin(self._name)
            try:
                yield from self.json_value(self.arguments)
                self.hold()
                yield from self.space()
            except MalformedText:
                pass
            except EndOfText:
                self.drop()
                raise
        self.release()
        yield from self.until(NOTHING, self.content)
