"""`json`: calls stand bare in the text.

{"name":"lookup","arguments":{"id":7}}
[{"name":"lookup","parameters":{"id":7}},{"name":"ping","arguments":{}}]
"""

from __future__ import annotations

from smg.parsers.tool_calls.json_calls import JsonCalls


class PlainJson(JsonCalls):
    """Any brace may begin a call; text that goes on differently is released at once."""

    starts = ("{", "[")
    name_keys = ("name", "tool_name", "function")
