"""`sarashina`: a list of calls as Python writes it.

    <|tool_calls|>[{'name': 'lookup', 'arguments': {'id': 7, 'deep': True}}]

The marker is usually stripped on the way. Undeclared names are calls too.
"""

from __future__ import annotations

from typing import Any

from smg.parsers.coercion import dump
from smg.parsers.engine import MalformedText, Steps
from smg.parsers.tool_calls.python_blocks import PythonBlocks
from smg.parsers.tool_calls.python_text import expression, json_value


class Sarashina(PythonBlocks):
    """Without the marker, a list of dicts counts at the beginning of the text only."""

    starts = ("<|tool_calls|>",)

    def lead(self) -> Steps[bool]:
        self.hold()
        if (yield from self.space()) != "[":
            return False
        source = [self.take(1)]
        if (yield from self.space()) != "{":
            return False
        return (yield from self._listed(source))

    def block(self, marker: str) -> Steps[bool]:
        self.take(len(marker))
        self.drop()  # never shown, whatever follows
        self.hold()
        if (yield from self.space()) not in ("[", "{"):
            raise MalformedText
        return (yield from self._listed([self.take(1)]))

    def _listed(self, source: list[str]) -> Steps[bool]:
        yield from self.balanced(source, 1)
        calls = read_calls("".join(source))
        if not calls:
            raise MalformedText
        for name, arguments in calls:
            self.begin(name)
            self.arguments(arguments)
        return True


def read_calls(source: str) -> list[tuple[str, str]]:
    """Names, and arguments as JSON; empty if it is not a list of calls and nothing else."""
    tree = expression(source)
    try:
        value: Any = None if tree is None else json_value(tree)
        items = value if isinstance(value, list) else [value]
        calls = []
        for item in items:
            if not isinstance(item, dict) or not isinstance(item.get("name"), str):
                return []
            arguments = item.get("arguments", item.get("parameters")) or {}
            if not item["name"] or not isinstance(arguments, dict):
                return []
            calls.append((item["name"], dump(arguments)))
    except (ValueError, RecursionError):
        return []
    return calls
