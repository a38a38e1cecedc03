"""What the gateway knows about one upstream address.

State only: no tasks, no sockets. `status` and `models` are changed through the registry alone, so
that prepared candidate tuples never lag behind. Fields: routing-reliability 12.1, http-api 16.1.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from smg.core import ids
from smg.workers.url import parse_worker_url

UNKNOWN_MODEL = "unknown"


class WorkerStatus(str, enum.Enum):
    """Health of a worker as the health loop sees it (routing-reliability 14)."""

    PENDING = "pending"
    READY = "ready"
    NOT_READY = "not_ready"
    FAILED = "failed"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One model a worker serves. `root` is the model path the engine loaded."""

    id: str
    aliases: tuple[str, ...] = ()
    root: str | None = None
    context_length: int | None = None
    provider: str | None = None


class Worker:
    """One upstream address.

    `url` is canonical (`smg.workers.url`), `address` the same in bytes, ready for a header.
    `models` empty means that none is known: the worker then serves only requests for the wildcard
    model. `transport` belongs to the backend that reaches the worker.
    """

    __slots__ = (
        "__weakref__",
        "address",
        "api_key",
        "base_path",
        "connection_mode",
        "cost",
        "host",
        "id",
        "labels",
        "load",
        "models",
        "port",
        "priority",
        "runtime",
        "status",
        "tls",
        "transport",
        "url",
        "worker_type",
    )

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
    ) -> None:
        address = parse_worker_url(url)
        self.id = id or ids.uuid7()
        self.url = address.url
        self.address = address.url.encode("ascii")
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
        self.cost = cost
        self.status = WorkerStatus.PENDING
        self.load = 0
        self.transport: Any = None

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

    def acquire(self) -> None:
        """One more request in flight on this worker."""
        self.load += 1

    def release(self) -> None:
        """One request fewer; a surplus call is ignored rather than counted below zero."""
        if self.load > 0:
            self.load -= 1

    def __repr__(self) -> str:
        return f"<Worker {self.url} {self.status.value} load={self.load}>"
