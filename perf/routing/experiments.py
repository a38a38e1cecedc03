"""Policies that are not part of the gateway, for comparison in virtual time.

`ReferenceCacheAware` follows the written rule of the reference's cache_aware (routing-reliability
5.1, 5.2 and 6 of the specification), plainly and without a bound on memory. `Oracle` sees into the
workers, which no gateway can: it shows how much is left to win. `LeastInFlight` is least_load
before engines that report no load.
"""

from __future__ import annotations

import random as random_module
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from smg.workers import Worker

if TYPE_CHECKING:
    from perf.routing.model import WorkerModel

MOST_HOLDERS = 8  # the rule looks at no more tenants of a node


class Node:
    """A stretch of text and the workers that were given a prompt through it."""

    __slots__ = ("children", "holders", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.children: dict[str, Node] = {}
        self.holders: dict[Worker, None] = {}


class PromptTree:
    """A radix tree over characters."""

    def __init__(self) -> None:
        self._root = Node("")

    def match(self, text: str) -> tuple[int, list[Worker]]:
        """How many characters are known, and who holds the deepest node; a child that is matched
        in part counts as that node.
        """
        node, place = self._root, 0
        while place < len(text):
            child = node.children.get(text[place])
            if child is None:
                break
            shared = common(child.text, text, place)
            node, place = child, place + shared
            if shared < len(child.text):
                break
        return place, list(node.holders)[:MOST_HOLDERS] if place else []

    def insert(self, text: str, worker: Worker) -> None:
        node, place = self._root, 0
        node.holders[worker] = None
        while place < len(text):
            child = node.children.get(text[place])
            if child is None:
                child = node.children[text[place]] = Node(text[place:])
            shared = common(child.text, text, place)
            if shared < len(child.text):
                upper = Node(child.text[:shared])
                upper.holders.update(child.holders)
                child.text = child.text[shared:]
                upper.children[child.text[0]] = child
                node.children[text[place]] = child = upper
            child.holders[worker] = None
            node, place = child, place + shared


def common(label: str, text: str, place: int) -> int:
    """Length of the common beginning of `label` and `text[place:]`."""
    if text.startswith(label, place):
        return len(label)
    pairs = zip(label, text[place : place + len(label)], strict=False)
    return next(
        (shared for shared, (one, other) in enumerate(pairs) if one != other),
        min(len(label), len(text) - place),
    )


class ReferenceCacheAware:
    """Longest known prefix above a share of the prompt, unless its holder is far above the mean
    load; else the least loaded.
    """

    def __init__(
        self,
        random: random_module.Random,
        *,
        cache_threshold: float = 0.3,
        balance_abs_threshold: float = 64,
        balance_rel_threshold: float = 1.5,
    ) -> None:
        self._choice = random.choice
        self._threshold = cache_threshold
        self._abs, self._rel = balance_abs_threshold, balance_rel_threshold
        self._tree = PromptTree()
        self._processed: dict[Worker, int] = {}

    def select(self, workers: Sequence[Worker], view: Any) -> Worker | None:
        if not workers:
            return None
        text = view.text()
        processed = self._processed
        least = min(workers, key=lambda worker: (worker.load, processed.get(worker, 0)))
        mean = sum(worker.load for worker in workers) / len(workers)
        matched, holders = self._tree.match(text)
        chosen = least
        if matched > self._threshold * len(text):
            able = [worker for worker in holders if worker in workers]
            if not able:
                return workers[0]
            lowest = min(worker.load for worker in able)
            chosen = self._choice([worker for worker in able if worker.load == lowest])
            if chosen.load > max(mean * self._rel, mean + self._abs):
                chosen = least
        self._tree.insert(text, chosen)
        processed[chosen] = processed.get(chosen, 0) + 1
        return chosen


class LeastInFlight:
    """The fewest requests in flight, of equals one by chance."""

    def __init__(self, random: random_module.Random) -> None:
        self._random = random.random

    def select(self, workers: Sequence[Worker], view: Any) -> Worker | None:
        return min(workers, key=lambda worker: (worker.load, self._random()), default=None)


class Oracle:
    """The worker where a request makes the least waiting: its own, and `others` times what its
    prompt keeps the worker busy, because somebody will wait for that.
    """

    def __init__(self, random: random_module.Random, *, others: float = 1.0) -> None:
        self._models: Mapping[Worker, WorkerModel] = {}
        self._others = others

    def look_into(self, models: Mapping[Worker, WorkerModel]) -> None:
        """Called by the virtual driver before the first request."""
        self._models = models

    def select(self, workers: Sequence[Worker], view: Any) -> Worker | None:
        text, now = view.text(), view.now

        def cost(worker: Worker) -> tuple[float, int]:
            model = self._models[worker]
            reading = model.reading_seconds(text)
            return max(0.0, model.prefill_free - now) + (1 + self._others) * reading, worker.load

        return min(workers, key=cost, default=None)
