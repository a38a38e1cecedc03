"""What the policy `manual` and the routing-key override share: memory, counts, metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smg.policies.active_keys import ActiveKeys
from smg.policies.assignment import Assignment
from smg.policies.base import Policy, PolicyContext, RoutingView
from smg.policies.branches import Branches
from smg.policies.candidates import CandidateCache
from smg.policies.sticky import StickyMap

if TYPE_CHECKING:
    from smg.observability.metrics import Counter, Gauge
    from smg.workers import Worker

BRANCHES = (
    "no_healthy_workers",
    "occupied_hit",
    "occupied_miss",
    "vacant",
    "no_routing_id",
    "cap_respill",
)


class KeyedPolicy(Policy):
    """A policy that remembers which worker a routing key belongs to. `mode`: see `Assignment`."""

    tracks_requests = True

    def __init__(self, context: PolicyContext, mode: str) -> None:
        metrics = context.metrics
        self._branches = Branches(metrics.manual_branch if metrics else None, BRANCHES)
        self._sources: dict[str, Counter] = {}
        self._entries: Gauge | None = None
        if metrics is not None:
            for source in ("rid", "header"):
                self._sources[source] = metrics.routing_key_source.labels(source)
            self._entries = metrics.manual_cache_entries.labels()
        self._shown = 0  # our part of that gauge, which all models share
        self._keys = StickyMap(context.config.max_idle_secs, context.clock)
        self._active = ActiveKeys(metrics.worker_routing_keys_active if metrics else None)
        self._prepared = CandidateCache(context.loads)
        self._assignment = Assignment(mode, context.random, self._prepared, self._active)
        # The two legs of a request may share a memory one day; their keys never meet.
        self._prefix = b"" if context.leg == "single" else context.leg.encode() + b":"

    def _decided(self, branch: str) -> None:
        self.reason = branch
        self._branches.count(branch)

    def _keyed(self, source: str) -> None:
        counter = self._sources.get(source)
        if counter is not None:
            counter.inc()

    def _show_entries(self) -> None:
        if self._entries is not None and self._shown != len(self._keys):
            self._entries.inc(len(self._keys) - self._shown)
            self._shown = len(self._keys)

    def ended(self, worker: Worker, view: RoutingView) -> None:
        """One request of its key fewer."""
        self._active.end(view, worker)

    def worker_removed(self, worker: Worker) -> None:
        """No key belongs to the worker any more."""
        self._keys.forget(worker)
        self._active.forget(worker)
        self._prepared.clear()
        self._assignment.clear()

    def tick(self) -> None:
        """Drop keys that were not used for `--max-idle-secs`."""
        self._keys.sweep()
        self._show_entries()

    def close(self) -> None:
        """Give the gauges back."""
        self._keys.clear()
        self._show_entries()
        self._active.close()
