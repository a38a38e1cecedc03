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
from smg.parsers.tool_calls.parameters import ParameterCalls, Tags
from smg.parsers.tool_calls.sections import SectionParser

_WRAPPER_END = "</minimax:tool_call>"
_INVOKE = '<invoke name="'
_TAGS = Tags('<parameter name="', '">', "</parameter>", "</invoke>", _WRAPPER_END, _INVOKE)
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"), ("&quot;", '"'), ("&apos;", "'"))


class MiniMax(ParameterCalls, SectionParser):
    """Entities in values are decoded, white space is kept. Undeclared names are calls too."""

    starts = ("<minimax:tool_call>", _INVOKE)
    closers = (_WRAPPER_END,)
    call_begin = _INVOKE
    section_end = _WRAPPER_END
    trims = False

    def call(self) -> Steps[None]:
        self.begin((yield from self.name('">', bool)))
        yield from self.parameters(_TAGS)

    def infer(self, raw: str) -> str:
        return infer_bracketed(raw)

    def value(self, key: str, raw: str) -> str:
        for entity, character in _ENTITIES:
            raw = raw.replace(entity, character)
        return super().value(key, raw)
