"""`step3`: sections of calls in markers, each a function in XML of its own name space.

<｜tool_calls_begin｜><｜tool_call_begin｜>function<｜tool_sep｜>
<steptml:invoke name="lookup"><steptml:parameter name="id">7</steptml:parameter>
</steptml:invoke><｜tool_call_end｜><｜tool_calls_end｜>
"""

from __future__ import annotations

from smg.parsers.tool_calls.parameters import ParameterCalls, Tags

_CALL = "<｜tool_call_begin｜>"


class Step3(ParameterCalls):
    """Values are guessed; the schema has no say."""

    starts = ("<｜tool_calls_begin｜>", _CALL)
    closers = ("<｜tool_call_end｜>", "<｜tool_calls_end｜>")
    call_begin = _CALL
    section_end = "<｜tool_calls_end｜>"
    tags = Tags(
        ("function", "<｜tool_sep｜>", '<steptml:invoke name="'),
        '">',
        '<steptml:parameter name="',
        '">',
        "</steptml:parameter>",
        "</steptml:invoke>",
        *closers,
    )
    typed = False
