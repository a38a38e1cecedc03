"""`pythonic`: a Python list of calls with keyword arguments.

    Checking.[lookup(id=7, tags=["a", "b"], opts={"deep": True}), ping()]

The list is held until its bracket closes, and read then; it is never run.
"""

from __future__ import annotations

import ast
import re

from smg._speedups import python_text
from smg.parsers.coercion import dump
from smg.parsers.engine import MalformedText, Steps
from smg.parsers.tool_calls.base import BlockParser
from smg.parsers.tool_calls.python_text import MAX_SOURCE, expression, json_value

_IDENTIFIER = re.compile(r"\w*")


class Pythonic(BlockParser):
    """A bracket that does not go on like a call is released at once."""

    starts = ("[",)
    dropped = ("<|python_start|>", "<|python_end|>")

    def block(self, marker: str) -> Steps[bool]:
        self.take(1)
        yield from self.space()
        name = yield from self.run_of(_IDENTIFIER, 256)
        if not name.isidentifier() or (yield from self.space()) != "(":
            raise MalformedText
        text = yield from self.source(f"[{name}", MAX_SOURCE)
        calls = read_calls(text)
        if calls is None or not any(self.tools.accepts(name) for name, _, _ in calls):
            raise MalformedText
        for name, arguments, written in calls:
            if self.tools.accepts(name):
                self.begin(name)
                self.arguments(arguments)
            else:
                self.drop()
                self.content(written)
        return True


def read_calls(source: str) -> list[tuple[str, str, str]] | None:
    """Name, arguments as JSON, and source text of each call; None if it is no list of calls."""
    usual = python_text.calls(source)
    if usual is not None:
        return [(name, dump(members), written) for name, members, written in usual]
    tree = expression(source)
    if not isinstance(tree, ast.List) or not tree.elts:
        return None
    calls = []
    try:
        for element in tree.elts:
            if not isinstance(element, ast.Call) or not isinstance(element.func, ast.Name):
                return None
            if element.args or any(keyword.arg is None for keyword in element.keywords):
                return None
            if len({keyword.arg for keyword in element.keywords}) < len(element.keywords):
                return None  # one would be lost
            members = {keyword.arg: json_value(keyword.value) for keyword in element.keywords}
            written = ast.get_source_segment(source, element) or ""
            calls.append((element.func.id, dump(members), written))
    except (ValueError, RecursionError):
        return None
    return calls
