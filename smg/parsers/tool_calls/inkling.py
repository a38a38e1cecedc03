"""`inkling`: blocks of a type each; a call is one of them.

<|message_model|>lookup<|content_invoke_tool_json|>{"name":"lookup","args":{"id":7}}<|end_message|>

Between the first token and the type stands a header, which nobody sees.
"""

from __future__ import annotations

import re

from smg.parsers.engine import EndOfText, MalformedText, Steps
from smg.parsers.markers import Markers
from smg.parsers.tool_calls.json_calls import JsonCalls

HEADER = "<|message_model|>"
TEXT = "<|content_text|>"
THINKING = "<|content_thinking|>"
CALL = "<|content_invoke_tool_json|>"
TEXT_CALL = "<|content_invoke_tool_text|>"
ENDS = ("<|end_message|>", "<|content_model_end_sampling|>")
TYPES = (TEXT, THINKING, CALL, TEXT_CALL)

NAME = re.compile(r"[^<]*")
MAX_NAME = 256  # characters of a header
_FRAME_ENDS = Markers((*ENDS, HEADER, *TYPES))


class Inkling(JsonCalls):
    """Frames of calls that are not declared, cannot be read, or are no JSON are taken out."""

    starts = (HEADER, CALL, TEXT_CALL)
    dropped = (TEXT, THINKING, *ENDS)
    name_keys = ("name",)
    argument_keys = ("args",)
    shows_others = False

    def block(self, marker: str) -> Steps[bool]:
        self.take(len(marker))
        if marker == HEADER:
            yield from self.run_of(NAME, MAX_NAME)
            if (yield from self.ahead(TYPES)) is None:
                raise MalformedText
            self.drop()
            return False
        if marker == CALL:
            try:
                if (yield from self.space()) == "{":
                    yield from self._object()
            except MalformedText:
                pass
            except EndOfText:
                self.drop()
                raise
        self.drop()
        found = yield from self.until(_FRAME_ENDS, _nowhere)
        if found in ENDS:
            self.take(len(found))
        return True


def _nowhere(text: str) -> None:
    """What is left in a frame means nothing to us."""
