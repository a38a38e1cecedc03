"""`qwen_xml`, `qwen_coder`, `nemotron`: a function and its parameters in tags.

<tool_call>
<function=lookup>
<parameter=id>
7
</parameter>
</function>
</tool_call>
"""

from __future__ import annotations

from smg.parsers.engine import MalformedText, Steps
from smg.parsers.tool_calls.base import Rest
from smg.parsers.tool_calls.parameters import ParameterCalls, Tags

_TAGS = Tags("<parameter=", ">", "</parameter>", "</function>", "</tool_call>", "<tool_call>")


class QwenXml(ParameterCalls):
    """Values are literal: entities are not decoded."""

    starts = ("<tool_call>",)
    closers = ("</tool_call>",)

    def block(self, marker: str) -> Steps[Rest]:
        self.take(len(marker))
        yield from self.space()
        if (yield from self.skip("<function=")) is None:
            raise MalformedText
        self.begin((yield from self.name(">", self.tools.accepts)))
        return self.parameters(_TAGS)
