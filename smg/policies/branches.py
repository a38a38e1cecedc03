"""Which rule decided, counted: one counter child per branch, resolved once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smg.observability.metrics import CounterFamily


class Branches:
    """Counts the branches of one policy; without a family it counts nothing."""

    __slots__ = ("_children",)

    def __init__(self, family: CounterFamily | None, names: Iterable[str]) -> None:
        self._children = {} if family is None else {name: family.labels(name) for name in names}

    def count(self, name: str) -> None:
        """One more decision by this branch."""
        child = self._children.get(name)
        if child is not None:
            child.inc()
