"""Parsers for a model that writes `->lookup {"id": 7}` and thinks between `(((` and `)))`."""

from __future__ import annotations

import re

from smg.parsers import BlockParser, MalformedText, Steps, TokenPair

NAME = re.compile(r"[\w.-]*")


class ArrowCalls(BlockParser):
    """An arrow, a name and a JSON object."""

    starts = ("->",)

    def block(self, marker: str) -> Steps[bool]:
        """From the arrow to the end of the object; what does not go on like a call is content."""
        self.take(len(marker))
        name = yield from self.run_of(NAME, 64)
        if not self.tools.accepts(name) or (yield from self.space()) != "{":
            raise MalformedText
        self.begin(name)
        yield from self.json_value(self.arguments)
        return True


class ArrowThoughts(TokenPair):
    """Everything else is inherited."""

    start = "((("
    end = ")))"
