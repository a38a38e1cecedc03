"""`inkling`: blocks of a type each; a call is one of them.

<|message_model|>lookup<|content_invoke_tool_json|>{"name":"lookup","args":{"id":7}}<|end_message|>

Between the first token and the type stands a header, which nobody sees.
"""

from __future__ import annotations

from smg._speedups.text_scan import Characters, Markers
from smg.parsers.engine import EndOfText, MalformedText, Steps
from smg.parsers.tool_calls.json_calls import JsonCalls

HEADER = "<|message_model|>"
TEXT = "<|content_text|>"
THINKING = "<|content_thinking|>"
CALL = "<|content_invoke_tool_json|>"
TEXT_CALL = "<|content_invoke_tool_text|>"
ENDS = ("<|end_message|>", "<|content_model_end_sampling|>")
TYPES = (TEXT, THINKING, CALL, TEXT_CALL)

NAME = Characters(but="<")
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
        return self._header() if marker == HEADER else self._frame(marker == CALL)

    def _header(self) -> Steps[bool]:
        """A header, up to the type of its block."""
        if not self.try_run_of(NAME, MAX_NAME):
            yield
        self.found()
        if not self.try_ahead(TYPES):
            yield
        if self.found() is None:
            raise MalformedText
        self.drop()
        return False

    def _frame(self, is_json: bool) -> Steps[bool]:
        """A call, and what else there is up to the end of its block."""
        if is_json:
            try:
                if not self.try_space():
                    yield
                if self.character() == "{":
                    yield from self._object()
            except MalformedText:
                pass
            except EndOfText:
                self.drop()
                raise
        self.drop()
        if not self.try_until(_FRAME_ENDS, _nowhere):
            yield
        if self.marker() in ENDS:
            self.passed()
        return True


def _nowhere(text: str) -> None:
    """What is left in a frame means nothing to us."""
