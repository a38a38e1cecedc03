"""`passthrough`: no text is a call."""

from __future__ import annotations

from smg.parsers.engine import Steps
from smg.parsers.markers import Markers
from smg.parsers.tool_calls.base import ToolParser

_NOTHING = Markers(())


class Passthrough(ToolParser):
    """Gives the text on as it comes."""

    def run(self) -> Steps[None]:
        yield from self.until(_NOTHING, self.content)
