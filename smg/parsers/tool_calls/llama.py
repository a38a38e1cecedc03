"""`llama`: calls after a tag, or bare if they are all there is.

<|python_tag|>{"name": "lookup", "parameters": {"id": 7}}
{"name": "lookup", "parameters": {"id": 7}};{"name": "ping", "parameters": {}}
"""

from __future__ import annotations

from smg.parsers.engine import Steps
from smg.parsers.tool_calls.base import Rest
from smg.parsers.tool_calls.json_calls import JsonCalls


class Llama(JsonCalls):
    """A brace begins a call at the beginning of the text, or after a call."""

    starts = ("<|python_tag|>",)

    def lead(self) -> Steps[Rest]:
        self.hold()
        if (yield from self.space()) != "{":
            return False
        return self.values()
