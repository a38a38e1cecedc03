"""`qwen`: every call in tags of its own.

<tool_call>
{"name": "lookup", "arguments": {"id": 7}}
</tool_call>
"""

from __future__ import annotations

from smg.parsers.tool_calls.json_calls import JsonCalls


class Qwen(JsonCalls):
    """White space in the tags is optional."""

    starts = ("<tool_call>",)
    closers = ("</tool_call>",)
