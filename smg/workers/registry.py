"""The one source of truth about workers.

Workers are kept in registration order and grouped by model, role and transport. Groups hold tuples
that are replaced, never mutated: a request that holds one is not disturbed, and work that grows
with the fleet is done when the fleet changes, never per request. Called on the event loop only.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from smg.workers.aliases import AliasIndex
from smg.workers.group import ModelGroup
from smg.workers.model import UNKNOWN_MODEL, Worker, WorkerStatus
from smg.workers.spec import ModelCard
from smg.workers.url import normalise

log = logging.getLogger(__name__)

EventKind = Literal["added", "removed", "status", "models", "changed"]


@dataclass(frozen=True, slots=True)
class WorkerEvent:
    """Something changed; the registry already shows the new state.

    `changed` is what an operator said of a worker (`spec`), and what follows from it. `left` names
    the groups the worker is no longer part of (kinds `removed`, `models` and `changed`), `joined`
    those it is now part of (kinds `added`, `models` and `changed`).
    """

    kind: EventKind
    worker: Worker
    left: tuple[str, ...] = ()
    joined: tuple[str, ...] = ()


class DuplicateWorker(ValueError):
    """A worker with this id or URL is registered already."""


Pool = dict[str, ModelGroup]  # the groups of one role and transport, by model


class WorkerRegistry:
    """Registered workers, their groups, and who wants to know about changes.

    Subscribers are called in order, after the change; they must not change the registry themselves.
    `aliases` are pairs of alias and model id besides those in model cards.
    """

    def __init__(self, aliases: Iterable[tuple[str, str]] = ()) -> None:
        self._workers: dict[str, Worker] = {}
        self._by_url: dict[str, Worker] = {}
        self._order: dict[str, int] = {}  # worker id -> place in registration order
        self._registered = 0
        self._all: tuple[Worker, ...] = ()
        self._regular: Pool = {}
        self._pools: dict[tuple[str, str], Pool] = {("regular", "http"): self._regular}
        self._aliases = AliasIndex(aliases)
        self._subscribers: list[Callable[[WorkerEvent], None]] = []
        self._availability_watchers: list[Callable[[], None]] = []

    # Reading

    def __len__(self) -> int:
        return len(self._workers)

    def __contains__(self, worker: object) -> bool:
        return isinstance(worker, Worker) and self._workers.get(worker.id) is worker

    def get(self, worker_id: str) -> Worker | None:
        """The worker with this id."""
        return self._workers.get(worker_id)

    def by_url(self, url: str) -> Worker | None:
        """The worker at this address, in whatever spelling."""
        try:
            return self._by_url.get(normalise(url))
        except ValueError:
            return None

    def all(self) -> tuple[Worker, ...]:
        """Every worker, in registration order."""
        return self._all

    def group(self, model: str, role: str = "regular", mode: str = "http") -> ModelGroup | None:
        """The workers of a model, or of all models for the wildcard name; None if there is none."""
        if role == "regular" and mode == "http":
            return self._regular.get(model)
        pool = self._pools.get((role, mode))
        return None if pool is None else pool.get(model)

    def canonical(self, name: str) -> str:
        """The id of the model that a client means by `name`: a registered id means itself, an alias
        its model; any other name stays as it is.
        """
        model = self._aliases.model(name)
        if model is None or any(name in pool for pool in self._pools.values()):
            return name
        return model

    def models(self) -> list[ModelCard]:
        """Known models, distinct by id, in registration order; whatever the workers' health."""
        cards: dict[str, ModelCard] = {}
        for worker in self._all:
            for card in worker.models:
                cards.setdefault(card.id, card)
        return list(cards.values())

    # Changing

    def add(self, worker: Worker) -> None:
        """Register a worker; DuplicateWorker if its id or address is taken."""
        if worker.id in self._workers or worker.url in self._by_url:
            raise DuplicateWorker(f"worker {worker.url} is registered already")
        self._workers[worker.id] = worker
        self._by_url[worker.url] = worker
        self._order[worker.id] = self._registered
        self._registered += 1
        self._all = (*self._all, worker)
        self._aliases.change((), worker.models)
        joined = _group_names(worker)
        self._join(worker, joined)
        self._publish(WorkerEvent("added", worker, joined=joined))

    def remove(self, worker_id: str) -> Worker | None:
        """Forget a worker. Requests that run on it go on."""
        worker = self._workers.pop(worker_id, None)
        if worker is None:
            return None
        del self._by_url[worker.url]
        del self._order[worker_id]
        self._all = tuple(other for other in self._all if other is not worker)
        self._aliases.change(worker.models, ())
        left = _group_names(worker)
        self._leave(worker, left)
        self._publish(WorkerEvent("removed", worker, left))
        return worker

    def set_status(self, worker: Worker, status: WorkerStatus) -> bool:
        """Change a worker's status; False if it is not registered (any more) or nothing changes."""
        if worker not in self or worker.status is status:
            return False
        worker.status = status
        self.availability_changed(worker)
        self._publish(WorkerEvent("status", worker))
        return True

    def set_models(self, worker: Worker, cards: Sequence[ModelCard]) -> bool:
        """Change what a worker serves; False if it is not registered or nothing changes."""
        if worker not in self or worker.models == tuple(cards):
            return False
        before = _group_names(worker)
        self._aliases.change(worker.models, cards)
        worker.models = tuple(cards)
        after = _group_names(worker)
        left = tuple(name for name in before if name not in after)
        joined = tuple(name for name in after if name not in before)
        self._leave(worker, left)
        self._join(worker, joined)
        self._publish(WorkerEvent("models", worker, left, joined))
        return True

    def reconfigure(self, worker: Worker, apply: Callable[[], None]) -> bool:
        """Let `apply` change anything about a worker but its id and address; False if it is not
        registered (any more). The worker moves to the groups that follow.
        """
        if worker not in self:
            return False
        pool, before, cards = self._pool(worker), _group_names(worker), worker.models
        apply()
        self._aliases.change(cards, worker.models)
        after = _group_names(worker)
        moved = self._pool(worker) is not pool
        left = before if moved else tuple(name for name in before if name not in after)
        joined = after if moved else tuple(name for name in after if name not in before)
        self._leave(worker, left, pool)
        self._join(worker, joined)
        self.availability_changed(worker)
        self._publish(WorkerEvent("changed", worker, left, joined))
        return True

    def availability_changed(self, worker: Worker) -> None:
        """Prepare the candidates of the worker's groups anew."""
        if worker in self:
            pool = self._pool(worker)
            for name in _group_names(worker):
                pool[name].refresh()
            for callback in tuple(self._availability_watchers):
                callback()

    def watch_availability(self, callback: Callable[[], None]) -> None:
        """Call `callback()` whenever a registered worker may have become available, or not: also
        when its breaker or its load decides so, of which there are no events. It may be called in
        the middle of a change: it must only note that something is to be done.
        """
        self._availability_watchers.append(callback)

    def subscribe(self, callback: Callable[[WorkerEvent], None]) -> Callable[[], None]:
        """Call `callback` after every change, until the returned function is called."""
        self._subscribers.append(callback)

        def unsubscribe() -> None:
            if callback in self._subscribers:
                self._subscribers.remove(callback)

        return unsubscribe

    def _pool(self, worker: Worker) -> Pool:
        return self._pools.setdefault((worker.worker_type, worker.connection_mode), {})

    def _join(self, worker: Worker, names: Sequence[str]) -> None:
        pool = self._pool(worker)
        for name in names:
            group = pool.setdefault(name, ModelGroup(name))
            members = sorted((*group.workers, worker), key=lambda member: self._order[member.id])
            group.replace(tuple(members))

    def _leave(self, worker: Worker, names: Sequence[str], pool: Pool | None = None) -> None:
        pool = self._pool(worker) if pool is None else pool
        for name in names:
            group = pool[name]
            group.replace(tuple(member for member in group.workers if member is not worker))
            if not group.workers:
                del pool[name]

    def _publish(self, event: WorkerEvent) -> None:
        for callback in tuple(self._subscribers):
            try:
                callback(event)
            except Exception:  # one subscriber's bug must not hide the change from the others
                log.exception("a subscriber failed on %s of %s", event.kind, event.worker.url)


def _group_names(worker: Worker) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*worker.model_ids, UNKNOWN_MODEL)))
