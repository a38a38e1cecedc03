"""Bodies of the worker API: bytes in, a checked `WorkerSpec` or `WorkerPatch` out.

Everything refused is an `AdminError` 400 whose message names each wrong field and what is allowed;
no message shows a key. Null means absent, unknown keys are ignored: what `GET /workers/{id}` says
may be sent back as it is. Keys: http-api 16.1, shorthands: 25 (trap 11).
"""

from __future__ import annotations

from typing import Any

import msgspec
import orjson

from smg.core.errors import AdminError
from smg.protocols.body import shown
from smg.workers.cards import model_name, models, provider
from smg.workers.fields import (
    I64,
    U16,
    U32,
    Reader,
    Wrong,
    array,
    boolean,
    choice,
    integer,
    members,
    number,
    seconds,
    secret,
    string_map,
    struct,
    text,
)
from smg.workers.spec import (
    CONNECTION_MODES,
    RUNTIMES,
    WORKER_TYPES,
    HealthSpec,
    HttpPoolSpec,
    ModelCard,
    OverloadSpec,
    ResilienceSpec,
    WorkerPatch,
    WorkerSpec,
)
from smg.workers.url import parse_worker_url

MAX_LABELS = 64
MAX_TEXT = 1024
MAX_URL = 2048
MAX_KEY = 8192
YEAR_SECS = 366 * 86_400

_text = text(MAX_TEXT)
_time = seconds(YEAR_SECS)
_period = seconds(YEAR_SECS, above=True)  # 0 would mean never to wait, or always to be late
_milliseconds = integer(0, 86_400_000)
_threshold = integer(1, U32)
_statuses = array(integer(100, 599), 500)


def _url(value: Any, name: str) -> str:
    found: str = text(MAX_URL)(value, name)
    try:
        return parse_worker_url(found).url
    except ValueError as error:
        if any(mark in found for mark in "@?#"):  # what stands there may be a password or a key
            raise Wrong(
                f"{name}: must be an address such as http://10.0.0.5:8000, without user data,"
                " '@', query or fragment"
            ) from None
        raise Wrong(f"{name}: {error}") from None


def _zmq_address(value: Any, name: str) -> str:
    found: str = _text(value, name)
    if found.startswith("tcp://") and len(found) > len("tcp://"):
        return found
    raise Wrong(f"{name}: must start with tcp://, not {shown(value)}")


_health: dict[str, Reader] = {
    "timeout_secs": _period,
    "check_interval_secs": _period,
    "success_threshold": _threshold,
    "failure_threshold": _threshold,
    "disable_health_check": boolean,
    "drain_settle_secs": _time,
}
_http_pool: dict[str, Reader] = {
    "pool_max_idle_per_host": integer(0, U32),
    "pool_idle_timeout_secs": _time,
    "timeout_secs": _period,
    "connect_timeout_secs": _period,
}
_resilience: dict[str, Reader] = {
    "max_retries": integer(1, U32),  # attempts, the first included
    "initial_backoff_ms": _milliseconds,
    "max_backoff_ms": _milliseconds,
    "backoff_multiplier": number(1, 1000),
    "jitter_factor": number(0, 1),
    "disable_retry": boolean,
    "cb_failure_threshold": _threshold,
    "cb_success_threshold": _threshold,
    "cb_timeout_secs": _time,
    "cb_window_secs": _time,
    "disable_circuit_breaker": boolean,
    "retryable_status_codes": _statuses,
    "capacity_status_codes": _statuses,
}
_overload: dict[str, Reader] = {
    "waiting_requests": integer(1, U32),
    "token_usage": number(0, 1, above=True),
}
_runtime = choice(RUNTIMES, {"tensorrt-llm": "trtllm"})
_PATCH: dict[str, Reader] = {
    "priority": integer(0, U32),
    "cost": number(0, 1e12, above=True),
    "labels": string_map(MAX_LABELS, MAX_TEXT),
    "api_key": secret(MAX_KEY),
    "health": struct(HealthSpec, _health),
    "disable_health_check": boolean,
}
_SPEC: dict[str, Reader] = {
    "url": _url,
    "models": models,
    "model_id": model_name,
    "worker_type": choice(WORKER_TYPES),
    "connection_mode": choice(CONNECTION_MODES),
    "runtime_type": _runtime,
    "runtime": _runtime,
    "provider": provider,
    **_PATCH,
    "bootstrap_port": integer(1, U16),
    "dp_base_url": _url,
    "dp_rank": integer(0, U16),
    "dp_size": integer(1, U16 + 1),
    "kv_connector": _text,
    "kv_role": _text,
    "kv_engine_id": _text,
    "kv_block_size": integer(1, U32),
    "http_pool": struct(HttpPoolSpec, _http_pool),
    "resilience": struct(ResilienceSpec, _resilience),
    "overload": struct(OverloadSpec, _overload),
    "max_connection_attempts": integer(1, U32),
    "load_monitor_interval_secs": _period,
    "multimodal_tensor_transport": choice(("inline", "shm", "auto", "rdma")),
    "multimodal_shm_min_bytes": integer(0, I64),
    "zmq_handshake_address": _zmq_address,
}


def worker_spec(raw: bytes) -> WorkerSpec:
    """The worker in the body of `POST /workers`, its URL in canonical form; AdminError."""
    return _spec(_json_object(raw))


def worker_patch(raw: bytes) -> WorkerPatch:
    """The changes in the body of `PATCH /workers/{id}`; AdminError."""
    return _patch(_json_object(raw))


def put_body(raw: bytes) -> WorkerSpec | WorkerPatch:
    """The body of `PUT /workers/{id}`: without `url` it is a patch; AdminError."""
    data = _json_object(raw)
    return _patch(data) if data.get("url") is None else _spec(data)


def _json_object(raw: bytes) -> dict[str, Any]:
    if not raw or raw.isspace():
        raise AdminError("The body is empty; a JSON object is expected")
    try:
        data = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        # `from None`: the decode error holds the whole document, keys included.
        place = f"line {error.lineno}, column {error.colno}"
        raise AdminError(f"The body is not valid JSON: {error.msg} ({place})") from None
    if data.__class__ is not dict:
        raise AdminError("The body must be a JSON object")
    found: dict[str, Any] = data
    return found


def _spec(data: dict[str, Any]) -> WorkerSpec:
    try:
        values = members(_SPEC, data, "", required=("url",))
        _join_runtime(values)
        _join_model_id(values)
        _join_health(values)
        _check_rank(values)
    except Wrong as wrong:
        raise AdminError(str(wrong)) from None
    return WorkerSpec(**values)


def _patch(data: dict[str, Any]) -> WorkerPatch:
    try:
        values = members(_PATCH, data, "")
        _join_health(values)
    except Wrong as wrong:
        raise AdminError(str(wrong)) from None
    return WorkerPatch(**values)


# Shorthands: one thing under two names. Both may be given, as long as they say the same.


def _join_runtime(values: dict[str, Any]) -> None:
    runtime = values.pop("runtime", None)
    if runtime is not None and values.setdefault("runtime_type", runtime) != runtime:
        raise Wrong("runtime: contradicts runtime_type; give one of them")


def _join_model_id(values: dict[str, Any]) -> None:
    model_id = values.pop("model_id", None)
    if model_id is None:
        return
    cards = values.get("models")
    if not cards:
        values["models"] = (ModelCard(model_id),)
    elif cards[0].id != model_id:
        raise Wrong("model_id: contradicts models, whose first card has another id; give models")


def _join_health(values: dict[str, Any]) -> None:
    disable = values.pop("disable_health_check", None)
    if disable is None:
        return
    health: HealthSpec = values.get("health") or HealthSpec()
    if health.disable_health_check not in (None, disable):
        raise Wrong("disable_health_check: contradicts health.disable_health_check; give one")
    values["health"] = msgspec.structs.replace(health, disable_health_check=disable)


def _check_rank(values: dict[str, Any]) -> None:
    rank, size = values.get("dp_rank"), values.get("dp_size")
    if rank is not None and size is not None and rank >= size:
        raise Wrong(f"dp_rank: must be below dp_size ({size}), not {rank}")
