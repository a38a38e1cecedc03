"""Sticky routing on top of any policy (`--routing-key-override`, routing-reliability 10.2).

A key is pinned to a worker; the policy beneath decides for requests without a key and, unless
another mode of assignment is set, for keys that need a worker.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from smg.policies.base import Policy, PolicyContext, RoutingView
from smg.policies.keyed import KeyedPolicy

if TYPE_CHECKING:
    from smg.config.settings import RouterConfig
    from smg.workers import Worker

#: requests of one key in flight at which its worker is full
CAP = 2
MAX_KEY_BYTES = 128


def without_lineage(key: bytes) -> bytes:
    """The key of a whole conversation: without one `_r<digits>` (retry), then one `_t<digits>`
    (turn) at the end. The key itself if nothing else is in it.
    """
    return _without(_without(key, b"_r"), b"_t") or key


def _without(key: bytes, mark: bytes) -> bytes:
    at = key.rfind(mark)
    return key[:at] if at >= 0 and key[at + len(mark) :].isdigit() else key


class RoutingKeyOverride(KeyedPolicy):
    """Looks like the policy it wraps to everybody else."""

    def __init__(self, inner: Policy, context: PolicyContext) -> None:
        mode = context.config.assignment_mode or "delegate"
        super().__init__(context, mode)
        self.name = inner.name
        self.needs_text = inner.needs_text
        self.needs_loads = inner.needs_loads
        self.tracks_first_byte = inner.tracks_first_byte
        self._inner = inner
        self._delegates = mode == "delegate"
        #: requests whose worker the inner policy chose: it hears of these only
        self._asked: set[int] = set()

    def select(self, workers: Sequence[Worker], view: RoutingView) -> Worker | None:
        """The key's worker, unless it is full; else a fresh one, pinned in front."""
        self.score = -1.0
        if not workers:
            self._decided("no_healthy_workers")
            return None
        key = self._key(view)
        if key is None:
            self._branches.count("no_routing_id")
            return self._ask(workers, view)
        pinned = self._keys.find(key, self._prepared.of(workers))
        worker: Worker | None = pinned
        branch = "occupied_hit"
        if pinned is None:
            branch = "occupied_miss" if key in self._keys else "vacant"
            worker = self._fresh(workers, view)
            if worker is not None:
                self._keys.prefer(key, worker)
        elif self._active.count(key, pinned) >= CAP:
            branch = "cap_respill"
            worker = self._fresh(workers, view)
            if (
                worker is not None
                and worker is not pinned
                and self._active.count(key, worker) < CAP
            ):
                self._keys.prefer(key, worker)
        self._decided(branch)
        if worker is not None:
            self._active.begin(view, key, worker)
        self._show_entries()
        return worker

    def _key(self, view: RoutingView) -> bytes | None:
        """The request's own id, else a header; counted by where it came from."""
        rid = view.request_key()
        if rid:
            rid = without_lineage(rid)
            if len(rid) <= MAX_KEY_BYTES:
                self._keyed("rid")
                return self._prefix + rid
        key = view.routing_key()
        if key is None:
            return None
        self._keyed("header")
        return self._prefix + without_lineage(key)

    def _fresh(self, workers: Sequence[Worker], view: RoutingView) -> Worker | None:
        return self._ask(workers, view) if self._delegates else self._assignment.choose(workers)

    def _ask(self, workers: Sequence[Worker], view: RoutingView) -> Worker | None:
        inner = self._inner
        worker = inner.select(workers, view)
        self.reason, self.score = inner.reason, inner.score
        if worker is not None:
            self._asked.add(id(view))
        return worker

    def first_byte(self, worker: Worker, view: RoutingView) -> None:
        """Pass it on, if the inner policy chose the worker."""
        if id(view) in self._asked:
            self._inner.first_byte(worker, view)

    def ended(self, worker: Worker, view: RoutingView) -> None:
        """Pass the end on, if the inner policy chose the worker."""
        super().ended(worker, view)
        if id(view) in self._asked:
            self._asked.discard(id(view))
            if self._inner.tracks_requests:
                self._inner.ended(worker, view)

    def worker_added(self, worker: Worker) -> None:
        """For the inner policy."""
        self._inner.worker_added(worker)

    def worker_removed(self, worker: Worker) -> None:
        """For both."""
        super().worker_removed(worker)
        self._inner.worker_removed(worker)

    def reconfigure(self, config: RouterConfig) -> None:
        """For both."""
        super().reconfigure(config)
        self._inner.reconfigure(config)

    def tick(self) -> None:
        """For both."""
        super().tick()
        self._inner.tick()

    def close(self) -> None:
        """For both."""
        super().close()
        self._inner.close()
