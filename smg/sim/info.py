"""What a worker says about itself: health, model and server info, loads, metrics.

Shapes are those that gateways read from SGLang and vLLM (routing-reliability 13.2 and 15).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from smg.server import Exchange
    from smg.sim.engine import Engine

TEXT = b"text/plain; charset=utf-8"
EXPOSITION = b"text/plain; version=0.0.4; charset=utf-8"
VERSION = "0.0.0-sim"

Report = Callable[["Engine"], Any]


def models(engine: Engine) -> Any:
    """`GET /v1/models`."""
    settings = engine.settings
    cards = [
        {
            "id": name,
            "object": "model",
            "created": int(engine.started_at),
            "owned_by": settings.owned_by,
            "root": name,
            "max_model_len": settings.max_model_len,
        }
        for name in settings.models
    ]
    return {"object": "list", "data": cards}


def model_info(engine: Engine) -> Any:
    """`GET /model_info` and its older name."""
    return {
        "model_path": engine.model,
        "tokenizer_path": engine.model,
        "is_generation": True,
        "preferred_sampling_params": None,
        "weight_version": "default",
        "max_model_len": engine.settings.max_model_len,
    }


def server_info(engine: Engine) -> Any:
    """`GET /server_info` and its older name."""
    settings = engine.settings
    return {
        "model_path": engine.model,
        "served_model_name": engine.model,
        "tokenizer_path": engine.model,
        "host": settings.host,
        "port": settings.port,
        "tp_size": 1,
        "dp_size": 1,
        "context_length": settings.max_model_len,
        "max_total_num_tokens": engine.capacity_tokens,
        "max_running_requests": settings.max_running,
        "version": VERSION,
        "status": "ready",
    }


def loads(engine: Engine) -> Any:
    """`GET /v1/loads`: one data-parallel rank."""
    running, waiting = _scheduled(engine)
    report = {
        "dp_rank": 0,
        "num_running_reqs": running,
        "num_waiting_reqs": waiting,
        "num_waiting_uncached_tokens": engine.unread_tokens,
        "num_total_reqs": engine.running + len(engine.waiting),
        "num_used_tokens": engine.used_tokens,
        "max_total_num_tokens": engine.capacity_tokens,
        "token_usage": round(engine.usage_share, 6),
        "gen_throughput": engine.throughput(),
        "cache_hit_rate": round(engine.cache.hit_rate, 6),
        "utilization": round(_utilization(engine), 6),
        "max_running_requests": engine.settings.max_running,
    }
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {"timestamp": now, "version": VERSION, "dp_rank_count": 1, "loads": [report]}


def _scheduled(engine: Engine) -> tuple[int, int]:
    """Running and waiting requests as an engine counts them: one whose prompt nobody has begun to
    read waits.
    """
    unread = engine.unread
    return engine.running - unread, len(engine.waiting) + unread


def _utilization(engine: Engine) -> float:
    limit = engine.settings.max_running
    return min(1.0, engine.running / limit) if limit else engine.usage_share


def state(engine: Engine) -> Any:
    """`GET /sim/state`: what a test wants to know afterwards."""
    recent = [_seen(*seen) for seen in engine.recent]
    return {
        "requests": dict(engine.requests),
        "total": sum(engine.requests.values()),
        "running": engine.running,
        "waiting": len(engine.waiting),
        "completed": engine.completed,
        "aborted": engine.aborted,
        "struck": engine.struck,
        "prompt_tokens": engine.prompt_tokens,
        "cached_tokens": engine.cached_tokens,
        "generated_tokens": engine.generated_tokens,
        "cache": {
            "blocks": len(engine.cache),
            "capacity": engine.cache.capacity,
            "hits": engine.cache.hits,
            "misses": engine.cache.misses,
        },
        "faults": [{"fault": fault.spec, "struck": fault.struck} for fault in engine.faults.faults],
        "last": recent[-1] if recent else None,
        "recent": recent,
    }


def _seen(
    method: bytes, path: bytes, query: bytes, headers: list[tuple[bytes, bytes]], body: bytes
) -> dict[str, Any]:
    parsed: Any = None
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    return {
        "method": method.decode("latin-1"),
        "path": path.decode("latin-1"),
        "query": query.decode("latin-1"),
        "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in headers],
        "body": body.decode("utf-8", "replace"),
        "json": parsed,
    }


def metrics(engine: Engine) -> bytes:
    """`GET /metrics`: the gauges that gateways read, under the names of vLLM and of SGLang."""
    running, waiting = _scheduled(engine)
    gauges = [
        ("vllm:num_requests_running", running),
        ("vllm:num_requests_waiting", waiting),
        ("vllm:kv_cache_usage_perc", round(engine.usage_share, 6)),
        ("vllm:gpu_cache_usage_perc", round(engine.usage_share, 6)),
        ("vllm:gpu_prefix_cache_hit_rate", round(engine.cache.hit_rate, 6)),
        ("sglang:num_running_reqs", running),
        ("sglang:num_queue_reqs", waiting),
        ("sglang:token_usage", round(engine.usage_share, 6)),
        ("sglang:gen_throughput", engine.throughput()),
        ("sglang:cache_hit_rate", round(engine.cache.hit_rate, 6)),
        ("sglang:utilization", round(_utilization(engine), 6)),
    ]
    counters = [
        ("vllm:prompt_tokens_total", engine.prompt_tokens),
        ("vllm:generation_tokens_total", engine.generated_tokens),
        ("vllm:request_success_total", engine.completed),
    ]
    label = engine.model.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    lines = []
    for kind, rows in (("gauge", gauges), ("counter", counters)):
        for name, value in rows:
            lines.append(f'# TYPE {name} {kind}\n{name}{{model_name="{label}"}} {value}\n')
    return "".join(lines).encode()


def info_route(engine: Engine, path: str, report: Report) -> Callable[[Exchange], None]:
    """The `start` of a GET that answers JSON, plain text (a str) or the exposition (bytes)."""

    def answer(exchange: Exchange) -> None:
        value = report(engine)
        if isinstance(value, str):
            exchange.respond(200, value.encode(), TEXT)
        elif isinstance(value, bytes):
            exchange.respond(200, value, EXPOSITION)
        else:
            exchange.respond(200, orjson.dumps(value))

    def start(exchange: Exchange) -> None:
        engine.requests[path] += 1
        fault = engine.fault_for(exchange, path, anywhere=False)
        if fault is None or fault.in_body:
            answer(exchange)
        else:
            engine.strike(exchange, fault, lambda: answer(exchange))

    return start
