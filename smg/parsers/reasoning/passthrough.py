"""`passthrough`: everything is content."""

from __future__ import annotations

from smg.parsers.engine import NOTHING, Steps
from smg.parsers.reasoning.token_pair import ReasoningParser


class Passthrough(ReasoningParser):
    """Gives the text on as it comes, armed or not."""

    def __init__(self, armed: bool | None = None) -> None:
        super().__init__(False)

    def run(self) -> Steps[None]:
        yield from self.until(NOTHING, self.content)
