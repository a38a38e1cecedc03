"""Whether a chat template reads message contents as text or as a list of parts.

Read off the template's syntax tree: a template that walks over a message's content, or counts and
indexes it, wants the list. Tests such as `content is string` say nothing, most templates have them
for tool results. Nodes inside `set`, `with` and `call` blocks are not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from smg.tokenization.template_language import environment

# "string": one text; "openai": the parts of the API, media without their data.
ContentFormat = Literal["string", "openai"]


def content_format(template: str) -> ContentFormat:
    """The format that a template text wants; "string" for one that cannot be parsed."""
    try:
        tree = environment().parse(template)
    except Exception:
        return "string"
    return "openai" if _Reader().wants_parts(tree.body) else "string"


class _Reader:
    """Walks the statements of a template; knows the loop variables that are messages."""

    def __init__(self) -> None:
        from jinja2 import nodes

        self._nodes = nodes
        self._messages: list[str] = []

    def wants_parts(self, body: list[Any]) -> bool:
        return any(map(self._statement, body))

    def _statement(self, node: Any) -> bool:
        nodes = self._nodes
        if isinstance(node, nodes.For):
            if self._reaches_content(node.iter):
                return True
            over_messages = isinstance(node.iter, nodes.Name) and node.iter.name == "messages"
            named = over_messages and isinstance(node.target, nodes.Name)
            if named:
                self._messages.append(node.target.name)
            found = self.wants_parts(node.body) or self.wants_parts(node.else_)
            if named:
                self._messages.pop()
            return found
        if isinstance(node, nodes.If):
            return (
                self._expression(node.test)
                or self.wants_parts(node.body)
                or self.wants_parts(node.elif_)
                or self.wants_parts(node.else_)
            )
        if isinstance(node, nodes.Output):
            return any(map(self._expression, node.nodes))
        if isinstance(node, nodes.Macro):
            return self._renders_parts(node)
        return False

    def _is_content(self, node: Any) -> bool:
        """`content`, or `m.content` and `m["content"]` of a message m."""
        nodes = self._nodes
        if isinstance(node, nodes.Name):
            return bool(node.name == "content")
        if isinstance(node, nodes.Getattr):
            return node.attr == "content" and self._is_message(node.node)
        if isinstance(node, nodes.Getitem):
            key = node.arg
            named = isinstance(key, nodes.Const) and key.value == "content"
            return named and self._is_message(node.node)
        return False

    def _is_message(self, node: Any) -> bool:
        return isinstance(node, self._nodes.Name) and node.name in self._messages

    def _reaches_content(self, node: Any) -> bool:
        """Whether an iterated expression is the content or something below it."""
        nodes = self._nodes
        while not self._is_content(node):
            if not isinstance(node, (nodes.Getattr, nodes.Getitem, nodes.Filter)):
                return False
            node = node.node
        return True

    def _expression(self, node: Any) -> bool:
        """Whether a condition or an output counts or indexes the content."""
        nodes = self._nodes
        if isinstance(node, nodes.Getitem) and self._is_content(node.node):
            key = node.arg
            return isinstance(key, nodes.Const) and type(key.value) is int
        if isinstance(node, nodes.Filter) and node.name == "length":
            return node.node is not None and self._is_content(node.node)
        return any(map(self._expression, self._operands(node)))

    def _operands(self, node: Any) -> Iterator[Any]:
        nodes = self._nodes
        if isinstance(node, (nodes.And, nodes.Or)):
            yield node.left
            yield node.right
        elif isinstance(node, nodes.Compare):
            yield node.expr
            yield from (operand.expr for operand in node.ops)
        elif isinstance(node, (nodes.Not, nodes.Filter, nodes.Test, nodes.Getattr, nodes.Getitem)):
            # A filter block has no operand.
            yield from () if node.node is None else (node.node,)

    def _renders_parts(self, macro: Any) -> bool:
        """A macro that asks what its argument is, and loops: the usual renderer of parts."""
        nodes = self._nodes
        asks = any(isinstance(node.test, nodes.Test) for node in macro.find_all(nodes.If))
        return asks and macro.find(nodes.For) is not None
