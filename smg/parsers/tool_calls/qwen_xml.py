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

from smg.parsers.tool_calls.parameters import ParameterCalls, Tags


class QwenXml(ParameterCalls):
    """Values are literal: entities are not decoded."""

    starts = ("<tool_call>",)
    closers = ("</tool_call>",)
    tags = Tags(
        ("<function=",),
        ">",
        "<parameter=",
        ">",
        "</parameter>",
        "</function>",
        "</tool_call>",
        "<tool_call>",
    )
