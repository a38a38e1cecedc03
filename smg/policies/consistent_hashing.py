"""The same key goes to the same worker; when the fleet changes, few keys move.

The key is what the request says about its sender: a routing key, else credentials, address or
cookie. `X-SMG-Target-Worker` names a worker outright. Rules: routing-reliability 9; 30, row 18.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from smg.auth import Access
from smg.policies.base import Policy, PolicyContext, RoutingView
from smg.policies.branches import Branches
from smg.policies.candidates import CandidateCache
from smg.policies.ring import Ring
from smg.workers import parse_worker_url

if TYPE_CHECKING:
    from typing_extensions import Self

    from smg._speedups.loads import Candidates
    from smg.config.settings import RouterConfig
    from smg.workers import Worker

BRANCHES = (
    "no_healthy_workers",
    "target_worker_hit",
    "target_worker_miss",
    "routing_key_hit",
    "random_fallback",
)
_TARGET = b"x-smg-target-worker"
_SENDER = (b"authorization", b"x-forwarded-for", b"cookie")
_READ = frozenset((_TARGET, *_SENDER))
_MAX_TARGET = 2048  # bytes; longer than any URL that could be registered


class ConsistentHashing(Policy):
    """See the module."""

    name = "consistent_hashing"

    def __init__(self, context: PolicyContext | None = None) -> None:
        context = context or PolicyContext()
        metrics = context.metrics
        self._branches = Branches(metrics.consistent_hashing_branch if metrics else None, BRANCHES)
        self._random = context.random.random
        self._access = Access.from_config(context.config)
        self._ring = Ring()
        self._prepared = CandidateCache(context.loads)
        #: in order of registration; and by URL and by id
        self._registered: list[Worker] = []
        self._named: dict[str, Worker] = {}

    @classmethod
    def create(cls, context: PolicyContext) -> Self:
        """With the gateway's own keys, which say nothing about the sender."""
        return cls(context)

    def select(self, workers: Sequence[Worker], view: RoutingView) -> Worker | None:
        """The named worker, else the key's, else any."""
        worker = self._select(workers, view)
        self._branches.count(self.reason)
        return worker

    def _select(self, workers: Sequence[Worker], view: RoutingView) -> Worker | None:
        if not workers:
            self.reason = "no_healthy_workers"
            return None
        candidates = self._prepared.of(workers)
        headers = _relevant(view.headers)
        target = headers.get(_TARGET)
        if target is not None:
            worker = self._target(target, candidates)
            self.reason = "target_worker_miss" if worker is None else "target_worker_hit"
            return worker
        key = view.routing_key() or self._sender(headers)
        worker = self._ring.find(key, candidates, workers) if key else None
        if worker is None:
            self.reason = "random_fallback"
            return workers[int(self._random() * len(workers))]
        self.reason = "routing_key_hit"
        return worker

    def _sender(self, headers: dict[bytes, bytes]) -> bytes | None:
        """The first header there is that tells senders apart; None if there is nothing in it."""
        for name in _SENDER:
            value = headers.get(name)
            if value is None:
                continue
            # A key of the gateway is shared by many and would send them all to one worker.
            if self._access is not None and self._access.owns(((name, value),)):
                continue
            return value if value and _is_text(value) else None
        return None

    def _target(self, target: bytes, candidates: Candidates) -> Worker | None:
        """The worker with this place in the order of registration, URL or id, if available."""
        worker: Worker | None = None
        if target.isdigit():
            # Places of registered workers, not of available ones, which shift with every failure.
            place = int(target) if len(target) < 10 else len(self._registered)
            if place < len(self._registered):
                worker = self._registered[place]
        elif len(target) <= _MAX_TARGET:
            name = target.decode("latin-1")
            worker = self._named.get(name) or self._named.get(_canonical(name))
        if worker is None or candidates.place(worker.slot) < 0:
            return None
        return worker

    def reconfigure(self, config: RouterConfig) -> None:
        """The gateway has other keys now."""
        self._access = Access.from_config(config)

    def worker_added(self, worker: Worker) -> None:
        """Give the worker a place and points on the ring."""
        if self._named.get(worker.id) is not worker:
            self._registered.append(worker)
            self._named[worker.id] = self._named[worker.url] = worker
            self._ring.add(worker)

    def worker_removed(self, worker: Worker) -> None:
        """Take both from it; only its keys move."""
        if self._named.get(worker.id) is worker:
            self._registered.remove(worker)
            del self._named[worker.id]
            self._named.pop(worker.url, None)
            self._ring.remove(worker)
            self._prepared.clear()


def _relevant(headers: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """The first of each header that is read here."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _READ and name not in found:
            found[name] = value
    return found


def _canonical(url: str) -> str:
    try:
        return parse_worker_url(url).url
    except ValueError:
        return url


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
