"""`step3`: sections of calls in markers, each a function in XML of its own name space.

<｜tool_calls_begin｜><｜tool_call_begin｜>function<｜tool_sep｜>
<steptml:invoke name="lookup"><steptml:parameter name="id">7</steptml:parameter>
</steptml:invoke><｜tool_call_end｜><｜tool_calls_end｜>
"""

from __future__ import annotations

from smg.parsers.engine import MalformedText, Steps
from smg.parsers.tool_calls.base import Rest
from smg.parsers.tool_calls.parameters import ParameterCalls, Tags
from smg.parsers.tool_calls.sections import SectionParser

_CALL = "<｜tool_call_begin｜>"
_TAGS = Tags(
    '<steptml:parameter name="',
    '">',
    "</steptml:parameter>",
    "</steptml:invoke>",
    "<｜tool_call_end｜>",
    "<｜tool_calls_end｜>",
)


class Step3(ParameterCalls, SectionParser):
    """Values are guessed; the schema has no say."""

    starts = ("<｜tool_calls_begin｜>", _CALL)
    closers = ("<｜tool_call_end｜>", "<｜tool_calls_end｜>")
    call_begin = _CALL
    section_end = "<｜tool_calls_end｜>"
    typed = False

    def call(self) -> Steps[Rest]:
        for part in ("function", "<｜tool_sep｜>", '<steptml:invoke name="'):
            yield from self.space()
            if (yield from self.skip(part)) is None:
                raise MalformedText
        self.begin((yield from self.name('">', self.tools.accepts)))
        return self.parameters(_TAGS)
