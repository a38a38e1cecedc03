"""What an operator says about a worker, as posted to `/workers`, and as the API shows it again.

Values only; reading and checking JSON is `smg.workers.decode`, showing is `smg.workers.info`. Keys
and defaults: http-api 16.1. Unset optionals are None and are left out of answers.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

WORKER_TYPES = ("regular", "prefill", "decode", "encode")
CONNECTION_MODES = ("http", "grpc", "zmq")
RUNTIMES = (
    "unspecified",
    "sglang",
    "vllm",
    "trtllm",
    "mlx",
    "tokenspeed",
    "generic",
    "external",
)
#: in the order of the bit field that `model_type` may be given as
MODEL_TYPES = (
    "chat",
    "completions",
    "responses",
    "embeddings",
    "rerank",
    "generate",
    "vision",
    "tools",
    "reasoning",
    "image_gen",
    "audio",
    "moderation",
)
LLM = ("chat", "completions", "responses", "tools")


class ModelCard(msgspec.Struct, frozen=True, omit_defaults=True):
    """One model a worker serves. `root` is the model path the engine loaded, `parent` the id of the
    model that an adapter was made for; `context_length` is in tokens.
    """

    id: str
    aliases: tuple[str, ...] = ()
    root: str | None = None
    parent: str | None = None
    context_length: int | None = None
    provider: str | None = None
    display_name: str | None = None
    model_type: tuple[str, ...] = LLM
    hf_model_type: str | None = None
    architectures: tuple[str, ...] = ()
    tokenizer_path: str | None = None
    chat_template: str | None = None
    reasoning_parser: str | None = None
    tool_parser: str | None = None
    metadata: Any = None
    id2label: dict[str, str] | None = None
    num_labels: int | None = None


class HealthSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """Overrides of the router's health settings; seconds and numbers of probes."""

    timeout_secs: float | None = None
    check_interval_secs: float | None = None
    success_threshold: int | None = None
    failure_threshold: int | None = None
    disable_health_check: bool | None = None
    drain_settle_secs: float | None = None


class HttpPoolSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """Overrides for the connections to the worker; seconds."""

    pool_max_idle_per_host: int | None = None
    pool_idle_timeout_secs: float | None = None
    timeout_secs: float | None = None
    connect_timeout_secs: float | None = None


class ResilienceSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """Overrides of retry and circuit breaker settings."""

    max_retries: int | None = None
    initial_backoff_ms: int | None = None
    max_backoff_ms: int | None = None
    backoff_multiplier: float | None = None
    jitter_factor: float | None = None
    disable_retry: bool | None = None
    cb_failure_threshold: int | None = None
    cb_success_threshold: int | None = None
    cb_timeout_secs: float | None = None
    cb_window_secs: float | None = None
    disable_circuit_breaker: bool | None = None
    retryable_status_codes: tuple[int, ...] | None = None
    capacity_status_codes: tuple[int, ...] | None = None


class OverloadSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """When the worker's own reports say that it has too much."""

    waiting_requests: int | None = None
    token_usage: float | None = None


class WorkerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Everything an operator may say. `runtime_type` "unspecified" and `connection_mode` None mean:
    find out. `models` empty: whatever the worker names, or the wildcard. `api_key` is the worker's
    own and is never shown.
    """

    url: str
    models: tuple[ModelCard, ...] = ()
    worker_type: str = "regular"
    connection_mode: str | None = None
    runtime_type: str = "unspecified"
    provider: str | None = None
    labels: dict[str, str] = {}
    priority: int = 50
    cost: float = 1.0
    api_key: str | None = None
    bootstrap_port: int | None = None
    dp_base_url: str | None = None
    dp_rank: int | None = None
    dp_size: int | None = None
    kv_connector: str | None = None
    kv_role: str | None = None
    kv_engine_id: str | None = None
    kv_block_size: int | None = None
    health: HealthSpec = HealthSpec()
    http_pool: HttpPoolSpec = HttpPoolSpec()
    resilience: ResilienceSpec = ResilienceSpec()
    overload: OverloadSpec = OverloadSpec()
    max_connection_attempts: int = 20
    load_monitor_interval_secs: float | None = None
    multimodal_tensor_transport: str | None = None
    multimodal_shm_min_bytes: int | None = None
    zmq_handshake_address: str | None = None

    def __repr__(self) -> str:
        return f"<WorkerSpec {self.url}>"  # keys must not reach a log


class WorkerPatch(msgspec.Struct, frozen=True, kw_only=True):
    """Changes; None keeps. `labels` are merged key by key, `health` field by field."""

    priority: int | None = None
    cost: float | None = None
    labels: dict[str, str] | None = None
    api_key: str | None = None
    health: HealthSpec | None = None

    def __repr__(self) -> str:
        return "<WorkerPatch>"


def merged(spec: WorkerSpec, patch: WorkerPatch) -> WorkerSpec:
    """A spec after a patch: labels merged, health field by field, the rest replaced where given."""
    changes: dict[str, Any] = {}
    for name in ("priority", "cost", "api_key"):
        value = getattr(patch, name)
        if value is not None:
            changes[name] = value
    if patch.labels is not None:
        changes["labels"] = {**spec.labels, **patch.labels}
    if patch.health is not None:
        given = {
            name: value
            for name in patch.health.__struct_fields__
            if (value := getattr(patch.health, name)) is not None
        }
        changes["health"] = replace(spec.health, **given)
    return replace(spec, **changes)
