"""`pythonic`: a Python list of calls with keyword arguments.

    Checking.[lookup(id=7, tags=["a", "b"], opts={"deep": True}), ping()]

The list is held until its bracket closes and read by the standard library's parser, never run.
"""

from __future__ import annotations

import ast
import re

from smg.parsers.coercion import dump
from smg.parsers.engine import MalformedText, Steps
from smg.parsers.tool_calls.python_blocks import PythonBlocks
from smg.parsers.tool_calls.python_text import expression, json_value

_IDENTIFIER = re.compile(r"\w*")


class Pythonic(PythonBlocks):
    """A bracket that does not go on like a call is released at once."""

    starts = ("[",)
    dropped = ("<|python_start|>", "<|python_end|>")

    def block(self, marker: str) -> Steps[bool]:
        source = [self.take(1)]
        yield from self.space()
        source.append((yield from self.run_of(_IDENTIFIER, 256)))
        if not source[1].isidentifier() or (yield from self.space()) != "(":
            raise MalformedText
        yield from self.balanced(source, 1)
        text = "".join(source)
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
