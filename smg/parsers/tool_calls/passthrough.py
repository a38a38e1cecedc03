"""`passthrough`: no text is a call."""

from __future__ import annotations

from smg.parsers.engine import NOTHING, Steps
from smg.parsers.tool_calls.base import ToolParser


class Passthrough(ToolParser):
    """Gives the text on as it comes."""

    def run(self) -> Steps[None]:
        yield from self.until(NOTHING, self.content)
