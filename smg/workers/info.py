"""Workers as the worker API shows them (http-api 16.2): JSON-ready dicts, keys in the order of the
documents, what is empty left out. Never a key.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import msgspec

from smg.workers.model import Worker, WorkerStatus
from smg.workers.spec import ModelCard, WorkerSpec
from smg.workers.url import parse_worker_url

_CARD = (
    "id",
    "display_name",
    "aliases",
    "model_type",
    "hf_model_type",
    "architectures",
    "root",
    "parent",
    "provider",
    "context_length",
    "tokenizer_path",
    "chat_template",
    "reasoning_parser",
    "tool_parser",
    "metadata",
    "id2label",
    "num_labels",
)
#: optional keys that a worker has from its spec alone
_TRANSFER = ("kv_connector", "kv_role", "kv_engine_id", "kv_block_size")
_OVERRIDES = ("health", "http_pool", "resilience", "overload")
_LAST = (
    "load_monitor_interval_secs",
    "multimodal_tensor_transport",
    "multimodal_shm_min_bytes",
    "zmq_handshake_address",
)


class JobRecord(Protocol):
    """What is known of a job that adds, changes or removes a worker."""

    @property
    def job_type(self) -> str:
        """AddWorker, UpdateWorker or RemoveWorker."""
        ...

    @property
    def worker_url(self) -> str:
        """The worker it is about."""
        ...

    @property
    def status(self) -> str:
        """pending, processing or failed."""
        ...

    @property
    def message(self) -> str | None:
        """Why it failed."""
        ...

    @property
    def timestamp(self) -> int:
        """When the status was reached: Unix time in seconds."""
        ...


def worker_info(worker: Worker, job: JobRecord | None = None) -> dict[str, Any]:
    """A registered worker, and the job that is at work on it, if any."""
    spec = worker.spec
    is_rank = worker.dp_rank >= 0
    shown = _flat(
        spec,
        worker_id=worker.id,
        url=worker.url,
        models=worker.models,
        worker_type=worker.worker_type,
        connection_mode=worker.connection_mode,
        runtime_type=worker.runtime,
        labels=worker.labels,
        priority=worker.priority,
        cost=worker.cost,
        dp_base_url=worker.base_url if is_rank else spec.dp_base_url,
        dp_rank=worker.dp_rank if is_rank else spec.dp_rank,
    )
    return _with_state(shown, worker.status, worker.load, job)


def placeholder_info(
    worker_id: str, spec: WorkerSpec, job: JobRecord | None, failed: bool
) -> dict[str, Any]:
    """A worker that is not registered: as it was posted, `failed` once its job has."""
    shown = _flat(
        spec,
        worker_id=worker_id,
        url=spec.url,
        models=spec.models,
        worker_type=spec.worker_type,
        connection_mode=spec.connection_mode or parse_worker_url(spec.url).connection_mode,
        runtime_type=spec.runtime_type,
        labels=spec.labels,
        priority=spec.priority,
        cost=spec.cost,
        dp_base_url=spec.dp_base_url,
        dp_rank=spec.dp_rank,
    )
    return _with_state(shown, WorkerStatus.FAILED if failed else WorkerStatus.PENDING, 0, job)


def listing(workers: Iterable[Worker]) -> dict[str, Any]:
    """These workers, and how many have each role."""
    chosen = list(workers)
    roles = [worker.worker_type for worker in chosen]
    return {
        "workers": [worker_info(worker) for worker in chosen],
        "total": len(chosen),
        "stats": {
            "prefill_count": roles.count("prefill"),
            "decode_count": roles.count("decode"),
            "regular_count": roles.count("regular"),
        },
    }


def _flat(
    spec: WorkerSpec,
    *,
    worker_id: str,
    url: str,
    models: tuple[ModelCard, ...],
    worker_type: str,
    connection_mode: str,
    runtime_type: str,
    labels: dict[str, str],
    priority: int,
    cost: float,
    dp_base_url: str | None,
    dp_rank: int | None,
) -> dict[str, Any]:
    shown: dict[str, Any] = {"id": worker_id}
    if models:
        shown["model_id"] = models[0].id
    shown["url"] = url
    if models:
        shown["models"] = [_card(card) for card in models]
    shown["worker_type"] = worker_type
    shown["connection_mode"] = connection_mode
    shown["runtime_type"] = runtime_type
    _put(shown, "provider", spec.provider)
    _put(shown, "labels", dict(labels))
    shown["priority"] = priority
    shown["cost"] = cost
    _put(shown, "bootstrap_port", spec.bootstrap_port)
    _put(shown, "dp_base_url", dp_base_url)
    _put(shown, "dp_rank", dp_rank)
    _put(shown, "dp_size", spec.dp_size)
    for key in _TRANSFER:
        _put(shown, key, getattr(spec, key))
    for key in _OVERRIDES:
        _put(shown, key, _given(getattr(spec, key)))
    shown["max_connection_attempts"] = spec.max_connection_attempts
    for key in _LAST:
        _put(shown, key, getattr(spec, key))
    return shown


def _with_state(
    shown: dict[str, Any], status: WorkerStatus, load: int, job: JobRecord | None
) -> dict[str, Any]:
    shown["is_healthy"] = status is WorkerStatus.READY
    shown["status"] = status.value
    shown["load"] = load
    if job is not None:
        shown["job_status"] = {
            "job_type": job.job_type,
            "worker_url": job.worker_url,
            "status": job.status,
            "message": job.message if job.status == "failed" else None,
            "timestamp": job.timestamp,
        }
    return shown


def _card(card: ModelCard) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for key in _CARD:
        value = getattr(card, key)
        _put(shown, key, list(value) if isinstance(value, tuple) else value)
    return shown


def _given(overrides: msgspec.Struct) -> dict[str, Any]:
    """What was said; an empty array says something here: no status is retried."""
    fields = msgspec.structs.asdict(overrides).items()
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in fields
        if value is not None
    }


def _put(shown: dict[str, Any], key: str, value: Any) -> None:
    """Keep what says something: 0 and false do, null and empty collections do not."""
    if value is not None and value != "" and value != {} and value != []:
        shown[key] = value
