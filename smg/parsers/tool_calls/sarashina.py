"""`sarashina`: a list of calls as Python writes it.

    <|tool_calls|>[{'name': 'lookup', 'arguments': {'id': 7, 'deep': True}}]

The marker is usually stripped on the way. Undeclared names are calls too.
"""

from __future__ import annotations

from typing import Any

from smg._speedups import python_text
from smg.parsers.coercion import dump
from smg.parsers.engine import MalformedText, Steps
from smg.parsers.tool_calls.base import BlockParser
from smg.parsers.tool_calls.python_text import MAX_SOURCE, expression, json_value


class Sarashina(BlockParser):
    """Without the marker, a list of dicts counts at the beginning of the text only."""

    starts = ("<|tool_calls|>",)

    def lead(self) -> Steps[bool]:
        self.hold()
        if (yield from self.space()) != "[":
            return False
        bracket = self.take(1)
        if (yield from self.space()) != "{":
            return False
        return (yield from self._listed(bracket))

    def block(self, marker: str) -> Steps[bool]:
        self.take(len(marker))
        self.drop()  # never shown, whatever follows
        self.hold()
        if (yield from self.space()) not in ("[", "{"):
            raise MalformedText
        return (yield from self._listed(self.take(1)))

    def _listed(self, bracket: str) -> Steps[bool]:
        calls = read_calls((yield from self.source(bracket, MAX_SOURCE)))
        if not calls:
            raise MalformedText
        for name, arguments in calls:
            self.begin(name)
            self.arguments(arguments)
        return True


def read_calls(source: str) -> list[tuple[str, str]]:
    """Names, and arguments as JSON; empty if it is not a list of calls and nothing else."""
    usual = python_text.literal(source)
    tree = None if usual is not None else expression(source)
    try:
        value: Any = (
            usual[0] if usual is not None else json_value(tree) if tree is not None else None
        )
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
