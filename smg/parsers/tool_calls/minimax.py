"""`minimax_m2`: any number of invocations in a wrapper.

<minimax:tool_call>
<invoke name="lookup">
<parameter name="id">7</parameter>
</invoke>
</minimax:tool_call>
"""

from __future__ import annotations

from smg.parsers.coercion import infer_bracketed
from smg.parsers.engine import Steps
from smg.parsers.tool_calls.base import Rest
from smg.parsers.tool_calls.parameters import ParameterCalls, Tags
from smg.parsers.tool_calls.sections import SectionParser

_WRAPPER_END = "</minimax:tool_call>"
_INVOKE = '<invoke name="'
_TAGS = Tags('<parameter name="', '">', "</parameter>", "</invoke>", _WRAPPER_END, _INVOKE)


class MiniMax(ParameterCalls, SectionParser):
    """Entities in values are decoded, white space is kept. Undeclared names are calls too."""

    starts = ("<minimax:tool_call>", _INVOKE)
    closers = (_WRAPPER_END,)
    call_begin = _INVOKE
    section_end = _WRAPPER_END
    trims = False
    decodes = True

    def call(self) -> Steps[Rest]:
        self.begin((yield from self.name('">', bool)))
        return self.parameters(_TAGS)

    def infer(self, raw: str) -> str:
        return infer_bracketed(raw)
