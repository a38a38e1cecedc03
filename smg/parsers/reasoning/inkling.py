"""`inkling`: blocks of a type each; thoughts are one of them.

<|message_model|><|content_thinking|>What could 7 be?<|end_message|>
<|message_model|><|content_text|>A number.<|end_message|>

Calls that are JSON are left as they are, for the tool parser. No other token of the format is
shown.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from smg.parsers.engine import EndOfText, MalformedText, Steps
from smg.parsers.markers import Markers
from smg.parsers.reasoning.token_pair import ReasoningParser
from smg.parsers.tool_calls.inkling import (
    CALL,
    ENDS,
    HEADER,
    MAX_NAME,
    NAME,
    TEXT_CALL,
    THINKING,
    TYPES,
)

_OTHERS = (
    "<|endoftext|>",
    "<|message_user|>",
    "<|message_system|>",
    "<|message_tool|>",
    "<|content_image|>",
    "<|content_audio_input|>",
    "<|content_tool_error|>",
    "<|content_xml|>",
    "<|audio_end|>",
)
_TOKENS = Markers((HEADER, *TYPES, *ENDS, *_OTHERS))


class Inkling(ReasoningParser):
    """Text outside of blocks is content."""

    needs_special_tokens: ClassVar[bool] = True

    def run(self) -> Steps[None]:
        while True:
            give = self.reasoning if self.in_reasoning else self.content
            token = yield from self.until(_TOKENS, give)
            if token == CALL:
                yield from self._frame(self.content)
            elif token == TEXT_CALL:
                yield from self._frame(_nowhere)
            else:
                if token == HEADER:
                    self.hold()
                self.take(len(token))
                if token == HEADER:
                    yield from self._header()
            self.in_reasoning = token == THINKING

    def _frame(self, give: Callable[[str], object]) -> Steps[None]:
        """A block with its tokens, as it is, into `give`."""
        give(self.take(len(CALL)))
        token = yield from self.until(_TOKENS, give)
        if token in ENDS:
            give(self.take(len(token)))

    def _header(self) -> Steps[None]:
        """What stands before the type, held with its token; content, if no type follows."""
        try:
            if not self.try_run_of(NAME, MAX_NAME):
                yield
            self.found()
            known = yield from self.ahead(TYPES)
        except MalformedText:
            known = None
        except EndOfText:
            self.release()
            raise
        if known is None:
            self.release()
        else:
            self.drop()


def _nowhere(text: str) -> None:
    """Calls that are no JSON are not shown."""
