"""What the gateway knows about one upstream address.

State only: no tasks, no sockets. `status` and `models` are changed through the registry alone, so
that prepared candidate tuples never lag behind. Fields: routing-reliability 12.1, http-api 16.1.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Any

from smg._speedups.loads import TABLE, LoadTable
from smg.core import ids
from smg.reliability.breaker import Breaker
from smg.workers.spec import ModelCard, WorkerSpec
from smg.workers.url import parse_worker_url

UNKNOWN_MODEL = "unknown"


class WorkerStatus(str, enum.Enum):
    """Health of a worker as the health loop sees it (routing-reliability 14)."""

    PENDING = "pending"
    READY = "ready"
    NOT_READY = "not_ready"
    FAILED = "failed"
    DRAINING = "draining"


class Worker:
    """One upstream address.

    `url` is canonical (`smg.workers.url`) and names the worker, `address` is the same in bytes,
    ready for a header. `base_url` is what to connect to: the same, but for a data-parallel rank,
    whose `url` ends in `@rank`. `spec` is what an operator said, the `url` and `models` of it
    aside; `revision` counts its changes. `models` empty means that none is known: the worker then
    serves only requests for the wildcard model. `transport` belongs to the backend that reaches the
    worker. `load` and `cost` live in a table, under the worker's `slot`: who compares many workers
    reads them there.
    """

    def __init__(
        self,
        url: str,
        *,
        id: str | None = None,
        worker_type: str = "regular",
        connection_mode: str | None = None,
        runtime: str = "generic",
        models: Sequence[ModelCard] = (),
        api_key: str | None = None,
        labels: Mapping[str, str] | None = None,
        priority: int = 50,
        cost: float = 1.0,
        dp_rank: int = -1,
        spec: WorkerSpec | None = None,
        table: LoadTable = TABLE,
    ) -> None:
        address = parse_worker_url(url)
        self.id = id or ids.uuid7()
        self.base_url = address.url
        self.dp_rank = dp_rank
        self.url = address.url if dp_rank < 0 else f"{address.url}@{dp_rank}"
        self.address = self.url.encode("ascii")
        self.spec = spec or WorkerSpec(url=address.url)
        self.revision = 0
        self.host = address.host
        self.port = address.port
        self.tls = address.tls
        self.base_path = address.base_path
        self.worker_type = worker_type
        self.connection_mode = connection_mode or address.connection_mode
        self.runtime = runtime
        self.models: tuple[ModelCard, ...] = tuple(models)
        self.api_key = api_key
        self.labels: dict[str, str] = dict(labels or {})
        self.priority = priority
        self._table = table
        self.slot = table.attach()
        self.cost = cost
        self.status = WorkerStatus.PENDING
        self.transport: Any = None
        #: judges the worker by its answers; None while there are no circuit breakers
        self.breaker: Breaker | None = None
        #: its own reports say that it has too much (`smg.fleet.overload`)
        self.overloaded = False

    @property
    def model_ids(self) -> tuple[str, ...]:
        """The names the worker is indexed under; the wildcard name when no model is known."""
        if not self.models:
            return (UNKNOWN_MODEL,)
        return tuple(dict.fromkeys(card.id for card in self.models))

    @property
    def is_healthy(self) -> bool:
        """What the API calls healthy: the status is `ready`."""
        return self.status is WorkerStatus.READY

    @property
    def load(self) -> int:
        """Requests in flight through this gateway."""
        return self._table.load(self.slot)

    @load.setter
    def load(self, value: int) -> None:
        self._table.set_load(self.slot, value)

    @property
    def cost(self) -> float:
        """What the load is multiplied with wherever loads are compared; above 0."""
        return self._table.cost(self.slot)

    @cost.setter
    def cost(self, value: float) -> None:
        self._table.set_cost(self.slot, value)

    def acquire(self) -> None:
        """One more request in flight on this worker."""
        self._table.acquire(self.slot)

    def release(self) -> None:
        """One request fewer; a surplus call is ignored rather than counted below zero."""
        self._table.release(self.slot)

    def __del__(self) -> None:
        # Whoever has a request in flight holds the worker, so no count can reach a later owner.
        self._table.detach(self.slot)

    def __repr__(self) -> str:
        return f"<Worker {self.url} {self.status.value} load={self.load}>"
