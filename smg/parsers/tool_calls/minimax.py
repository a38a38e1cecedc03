"""`minimax_m2`: any number of invocations in a wrapper.

<minimax:tool_call>
<invoke name="lookup">
<parameter name="id">7</parameter>
</invoke>
</minimax:tool_call>
"""

from __future__ import annotations

from smg.parsers.coercion import infer_bracketed
from smg.parsers.tool_calls.parameters import ParameterCalls, Tags

_WRAPPER_END = "</minimax:tool_call>"
_INVOKE = '<invoke name="'


class MiniMax(ParameterCalls):
    """Entities in values are decoded, white space is kept. Undeclared names are calls too."""

    starts = ("<minimax:tool_call>", _INVOKE)
    closers = (_WRAPPER_END,)
    call_begin = _INVOKE
    section_end = _WRAPPER_END
    tags = Tags(
        (), '">', '<parameter name="', '">', "</parameter>", "</invoke>", _WRAPPER_END, _INVOKE
    )
    trims = False
    decodes = True

    def accepts(self, name: str) -> bool:
        return bool(name)

    def infer(self, raw: str) -> str:
        return infer_bracketed(raw)
