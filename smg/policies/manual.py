"""Sticky routing: a routing key stays with the worker it was first given to.

Rules: routing-reliability 10.1. The memory is this gateway's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from smg.policies.base import PolicyContext, RoutingView
from smg.policies.keyed import KeyedPolicy

if TYPE_CHECKING:
    from typing_extensions import Self

    from smg.workers import Worker


class Manual(KeyedPolicy):
    """Key to worker and one replacement; back to the first as soon as it is available again."""

    name = "manual"

    def __init__(self, context: PolicyContext | None = None) -> None:
        context = context or PolicyContext()
        super().__init__(context, context.config.assignment_mode or "random")

    @classmethod
    def create(cls, context: PolicyContext) -> Self:
        """With the operator's mode of assignment."""
        return cls(context)

    def select(self, workers: Sequence[Worker], view: RoutingView) -> Worker | None:
        """The key's worker; without a key, any by the mode of assignment."""
        if not workers:
            self._decided("no_healthy_workers")
            return None
        key = view.routing_key()
        if key is None:
            self._decided("no_routing_id")
            return self._assignment.choose(workers)
        self._keyed("header")
        key = self._prefix + key
        worker = self._keys.find(key, self._prepared.of(workers))
        if worker is not None:
            self._decided("occupied_hit")
        else:
            self._decided("occupied_miss" if key in self._keys else "vacant")
            worker = self._assignment.choose(workers)
            self._keys.append(key, worker)
        self._active.begin(view, key, worker)
        self._show_entries()
        return worker
