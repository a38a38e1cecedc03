"""Prompts that begin alike go to the same worker, unless it has more than its share to do.

A hash ring over the beginning of the prompt: no memory, and several gateways agree without talking.
Rules: routing-reliability 9.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from smg.policies.base import Policy, PolicyContext, RoutingView
from smg.policies.branches import Branches
from smg.policies.candidates import CandidateCache
from smg.policies.ring import Ring

if TYPE_CHECKING:
    from typing_extensions import Self

    from smg._speedups.loads import Candidates
    from smg.workers import Worker

BRANCHES = (
    "no_healthy_workers",
    "no_routing_key",
    "ring_hit",
    "load_balance_walk",
    "fallback_least_load",
)
CHARACTERS_PER_TOKEN = 4


class PrefixHash(Policy):
    """See the module. With several boundaries the longest shared beginning is tried first."""

    name = "prefix_hash"
    needs_text = True

    def __init__(self, context: PolicyContext | None = None) -> None:
        context = context or PolicyContext()
        config = context.config
        metrics = context.metrics
        self._branches = Branches(metrics.prefix_hash_branch if metrics else None, BRANCHES)
        self._bits = context.random.getrandbits
        self._lengths = tuple(sorted(config.cache_boundaries, reverse=True))  # tokens
        self._shortest = config.prefix_token_count  # for prompts that reach no boundary
        self._factor = config.prefix_hash_load_factor
        self._slack = config.prefix_hash_balance_abs_threshold  # requests
        self._ring = Ring()
        self._prepared = CandidateCache(context.loads)

    @classmethod
    def create(cls, context: PolicyContext) -> Self:
        """With the operator's lengths and bounds."""
        return cls(context)

    def select(self, workers: Sequence[Worker], view: RoutingView) -> Worker | None:
        """The prefix's worker; the least loaded if that has too much to do, or without prompt."""
        worker = self._select(workers, view)
        self._branches.count(self.reason)
        return worker

    def _select(self, workers: Sequence[Worker], view: RoutingView) -> Worker | None:
        if not workers:
            self.reason = "no_healthy_workers"
            return None
        candidates = self._prepared.of(workers)
        bound = self._bound(candidates)
        self.reason = "no_routing_key"
        for key in self._keys(view):
            worker = self._ring.find(key, candidates, workers)
            if worker is None:
                self.reason = "fallback_least_load"
                break
            if candidates.weight(candidates.place(worker.slot)) <= bound:
                self.reason = "ring_hit"
                return worker
            self.reason = "load_balance_walk"
        # It is within the bound, being at or below the average.
        return workers[candidates.least(self._bits(32))]

    def _bound(self, candidates: Candidates) -> float:
        """The load up to which a worker keeps its prefixes. This request counts as placed."""
        average = (candidates.total() + 1) / candidates.count
        return max(average * self._factor, average + self._slack)

    def _keys(self, view: RoutingView) -> Iterator[bytes]:
        """What to hash, the longest beginning first; nothing for a request without a prompt."""
        key = view.routing_key()
        if key is not None:
            yield key
            return
        tokens = view.tokens()
        if tokens:
            for length in self._reached(len(tokens)):
                yield array("I", tokens[:length]).tobytes()
            return
        text = view.text()
        if text:
            for length in self._reached(len(text) // CHARACTERS_PER_TOKEN):
                yield text[: length * CHARACTERS_PER_TOKEN].encode("utf-8", "surrogatepass")

    def _reached(self, length: int) -> Sequence[int]:
        """Boundaries within a prompt of `length` tokens; without any, the one fixed length."""
        return [reach for reach in self._lengths if reach <= length] or (self._shortest,)

    def worker_added(self, worker: Worker) -> None:
        """Put the worker on the ring."""
        self._ring.add(worker)

    def worker_removed(self, worker: Worker) -> None:
        """Take it off; only its prefixes move."""
        self._ring.remove(worker)
        self._prepared.clear()
