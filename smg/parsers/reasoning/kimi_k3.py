"""`kimi_k3`: thoughts in a channel, as everything else is.

<|open|>think<|sep|>What could 7 be?<|close|>think<|sep|><|open|>response<|sep|>A number.
<|close|>response<|sep|>

The channel of the tools is left as it is, for the tool parser. White space inside of tags means
nothing.
"""

from __future__ import annotations

from typing import ClassVar

from smg.parsers.engine import NOTHING, EndOfText, Steps
from smg.parsers.markers import Markers
from smg.parsers.reasoning.token_pair import ReasoningParser
from smg.parsers.tool_calls.kimi_k3 import CHANNELS, CLOSE, OPEN, SEP

_TAGS = Markers((OPEN, CLOSE))
_NAMES = ("think", "tools", *CHANNELS)


class KimiK3(ReasoningParser):
    """Thoughts end with their channel, and where a response or the tools begin. Where the text
    begins in thoughts, a response that ends shows that there were none; those already given stay.
    """

    needs_special_tokens: ClassVar[bool] = True

    def run(self) -> Steps[None]:
        thought = False
        while True:
            give = self.reasoning if self.in_reasoning else self.content
            marker = yield from self.until(_TAGS, give)
            self.hold()
            self.take(len(marker))
            name: str | None = None
            try:
                yield from self.space()
                name = yield from self.skip(*_NAMES)
                yield from self.space()
                if (yield from self.skip(SEP)) is None:
                    name = None
            except EndOfText:
                give(self.held())
                raise
            tag = self.held()
            if name is None:
                give(tag)
            elif name == "think":
                if marker == OPEN and not thought:
                    self.in_reasoning = thought = True
                elif marker == CLOSE and self.in_reasoning:
                    self.in_reasoning = False
                    thought = True
                else:
                    give(tag)
            elif name in CHANNELS:
                if marker == OPEN or not thought:
                    self.in_reasoning = False
                elif self.in_reasoning:
                    give(tag)
            elif marker == OPEN:  # what the tools' channel means, and what follows, is not for us
                self.in_reasoning = False
                self.content(tag)
                yield from self.until(NOTHING, self.content)
            else:
                give(tag)
