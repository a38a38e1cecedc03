"""`passthrough`: everything is content."""

from __future__ import annotations

from smg.parsers.engine import Steps
from smg.parsers.markers import Markers
from smg.parsers.reasoning.token_pair import ReasoningParser

_NOTHING = Markers(())


class Passthrough(ReasoningParser):
    """Gives the text on as it comes, armed or not."""

    def __init__(self, armed: bool | None = None) -> None:
        super().__init__(False)

    def run(self) -> Steps[None]:
        yield from self.until(_NOTHING, self.content)
