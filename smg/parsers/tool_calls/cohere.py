"""`cohere`: actions beside a response, each in markers.

<|START_RESPONSE|>One moment.<|END_RESPONSE|>
<|START_ACTION|>[{"tool_name": "lookup", "parameters": {"id": 7}}]<|END_ACTION|>
"""

from __future__ import annotations

from smg.parsers.tool_calls.json_calls import JsonCalls


class Cohere(JsonCalls):
    """The response's markers never reach the client."""

    starts = ("<|START_ACTION|>",)
    closers = ("<|END_ACTION|>",)
    dropped = ("<|START_RESPONSE|>", "<|END_RESPONSE|>", "<|START_TEXT|>", "<|END_TEXT|>")
    name_keys = ("tool_name", "name")
    argument_keys = ("parameters", "arguments")
