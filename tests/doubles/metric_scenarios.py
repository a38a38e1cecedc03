"""What moves which metric: scenarios that drive one area of a whole gateway each (operations 1.5).

The catalogue's test checks the changes, the dashboards' test that their queries find something.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from smg.app.reload import Reloader
from smg.config.parse import Loaded
from smg.core.errors import ConfigError
from smg.observability.loop_canary import IDLE_INTERVALS, INTERVAL
from tests.doubles.gateway import Gateway
from tests.doubles.metrics_text import Samples
from tests.doubles.raw_client import request_bytes
from tests.doubles.raw_server import STREAM_HEAD, Peer, RawServer, response_bytes
from tests.doubles.traffic import CHAT, chat, until

#: a change that is not the same in every run, but up
MORE = object()
#: the value after the drive, where it did not exist before
Row = tuple[str, Any, dict[str, str]]

ROUTER = {"router_type": "http", "backend_type": "regular", "connection_mode": "http"}
POOL = {"worker_type": "regular", "connection_mode": "http"}
RETRIES: dict[str, Any] = {"disable_retries": False, "retry_initial_backoff_ms": 1}


def request(endpoint: str = "chat", model: str = "test-model", **more: str) -> dict[str, str]:
    return {**ROUTER, "model": model, "endpoint": endpoint, **more}


def stream(**more: str) -> dict[str, str]:
    return {
        "router_type": "http",
        "backend_type": "regular",
        "model": "test-model",
        "endpoint": "chat",
        **more,
    }


Drive = Callable[[Gateway, RawServer], AsyncIterator[None]]


@dataclass
class Scenario:
    """`drive` yields when the second scrape is to be made, and cleans up afterwards. `{worker}` in
    a label is the worker's URL.
    """

    drive: Drive
    rows: list[Row]
    config: dict[str, Any] = field(default_factory=dict)
    script: Callable[[Peer], Any] | None = None


def status(*codes: int) -> Callable[[Peer], Any]:
    left = list(codes)

    async def script(peer: Peer) -> None:
        while True:
            await peer.read_request()
            code = left.pop(0) if len(left) > 1 else left[0]
            await peer.send(response_bytes(code, {"status": code}))

    return script


def event_stream(*events: bytes, complete: bool = True) -> Callable[[Peer], Any]:
    async def script(peer: Peer) -> None:
        while True:
            await peer.read_request()
            await peer.send(STREAM_HEAD)
            for event in events:
                data = b"data: " + event + b"\n\n"
                await peer.send(b"%x\r\n%b\r\n" % (len(data), data))
            if not complete:
                peer.close()
                return
            await peer.send(b"0\r\n\r\n")

    return script


async def silent(peer: Peer) -> None:
    await peer.read_request()
    await peer.finished.wait()


async def refuses_the_second(peer: Peer) -> None:
    """Keeps its first connection open just long enough to close it under the second request."""
    await peer.read_request()
    await peer.send(response_bytes(200, {"ok": True}))
    if peer.number == 0:
        await peer.read_request()
        peer.close()
    await silent(peer)


def post(*bodies: dict[str, Any], headers: dict[str, str] | None = None) -> Drive:
    async def drive(gateway: Gateway, worker: RawServer) -> AsyncIterator[None]:
        for body in bodies:
            await gateway.post(CHAT, body, headers or {})
        yield

    return drive


async def unknown_paths(gateway: Gateway, worker: RawServer) -> AsyncIterator[None]:
    for number in range(3):
        await gateway.get(f"/nothing/{number}")
    await gateway.request("PROPFIND", "/v1/models")
    await gateway.get("/v1/models/some-model")
    yield


async def in_flight(gateway: Gateway, worker: RawServer) -> AsyncIterator[None]:
    async with await gateway.connect() as client:
        await client.send(request_bytes("POST", CHAT, chat(), {"X-SMG-Routing-Key": "me"}))
        await until(lambda: len(worker.requests) == 1)
        yield


async def three_at_a_door_for_one(gateway: Gateway, worker: RawServer) -> AsyncIterator[None]:
    async with await gateway.connect() as first, await gateway.connect() as second:
        await first.send(request_bytes("POST", CHAT, chat()))
        await until(lambda: len(worker.requests) == 1)
        await second.send(request_bytes("POST", CHAT, chat()))
        admission: Any = gateway.product.gate
        await until(lambda: admission._admission.waiting == 1)
        assert (await gateway.post(CHAT, chat())).status == 429
        yield


async def waits_too_long(gateway: Gateway, worker: RawServer) -> AsyncIterator[None]:
    async with await gateway.connect() as first:
        await first.send(request_bytes("POST", CHAT, chat()))
        await until(lambda: len(worker.requests) == 1)
        assert (await gateway.post(CHAT, chat())).status == 503
        yield


async def trees(gateway: Gateway, worker: RawServer) -> AsyncIterator[None]:
    words = "a prompt that is long enough to be remembered, and to be found again " * 4
    body = chat(messages=[{"role": "user", "content": words}])
    for _ in range(2):
        assert (await gateway.post(CHAT, body)).status == 200
    ids = ",".join(map(str, range(100)))
    assert (await gateway.post(CHAT, body, {"X-SMG-Routing-Tokens": ids})).status == 200
    gateway.product.policies.tick()
    yield


async def probes(gateway: Gateway, worker: RawServer) -> AsyncIterator[None]:
    count = gateway.product.metrics.worker_health_checks.labels("regular", "success")
    before = count.value
    await until(lambda: count.value > before)
    yield


async def blocked_loop(gateway: Gateway, worker: RawServer) -> AsyncIterator[None]:
    # Longer than an idle loop may go without a look at it.
    time.sleep(IDLE_INTERVALS * INTERVAL + 0.03)  # noqa: ASYNC251 - a stall is what is measured
    stalls = gateway.product.metrics.event_loop_stalls.labels()
    await until(lambda: stalls.value >= 1)
    yield


def reload(outcome: Loaded | Exception | None = None) -> Drive:
    """The settings are read again; without `outcome` they are the same."""

    async def drive(gateway: Gateway, worker: RawServer) -> AsyncIterator[None]:
        ended = asyncio.Event()

        def load() -> Loaded:
            if isinstance(outcome, Exception):
                raise outcome
            return outcome or Loaded(gateway.product.config, ())

        reloader = Reloader(gateway.product, load, begins=lambda: None, ends=ended.set)
        reloader.request()
        await ended.wait()
        await reloader.close()
        yield

    return drive


USAGE = b'{"choices":[],"usage":{"prompt_tokens":7,"total_tokens":12,"completion_tokens":5}}'
DELTA = b'{"choices":[{"delta":{"content":"x"}}],"usage":null}'
TREE = {"model": "test-model"}

SCENARIOS = {
    "a request": Scenario(
        post(chat()),
        [
            ("smg_http_requests_total", 1, {"method": "POST", "path": CHAT}),
            ("smg_http_request_duration_seconds_count", 1, {"method": "POST", "path": CHAT}),
            ("smg_http_request_duration_seconds_sum", MORE, {"method": "POST", "path": CHAT}),
            (
                "smg_http_responses_total",
                1,
                {"path": CHAT, "status_code": "200", "error_code": ""},
            ),
            ("smg_router_requests_total", 1, request(streaming="false")),
            ("smg_router_request_duration_seconds_count", 1, request()),
            (
                "smg_router_upstream_responses_total",
                1,
                {"router_type": "http", "status_code": "200", "error_code": ""},
            ),
            (
                "smg_worker_selection_total",
                1,
                {**POOL, "model": "test-model", "policy": "round_robin"},
            ),
            ("smg_gateway_overhead_seconds_count", 1, {"endpoint": "chat"}),
            ("smg_worker_cb_outcomes_total", 1, {"worker": "{worker}", "outcome": "success"}),
            ("smg_worker_cb_outcomes_total", 0, {"worker": "{worker}", "outcome": "failure"}),
            ("smg_worker_cb_consecutive_successes", 1, {"worker": "{worker}"}),
            ("smg_router_ttft_seconds_count", 0, {}),
            ("smg_router_tokens_total", 0, {}),
            ("smg_worker_errors_total", 0, {}),
        ],
    ),
    "a stream that tells its usage": Scenario(
        post(chat(stream=True)),
        [
            ("smg_router_requests_total", 1, request(streaming="true")),
            ("smg_router_ttft_seconds_count", 1, stream()),
            ("smg_router_tpot_seconds_count", 1, stream()),
            ("smg_router_generation_duration_seconds_count", 1, stream()),
            ("smg_router_tokens_total", 7, stream(token_type="input")),
            ("smg_router_tokens_total", 5, stream(token_type="output")),
        ],
        script=event_stream(DELTA, DELTA, USAGE, b"[DONE]"),
    ),
    "a stream of one token": Scenario(
        post(chat(stream=True)),
        [
            ("smg_router_ttft_seconds_count", 1, stream()),
            ("smg_router_tpot_seconds_count", 0, {}),
            ("smg_router_tokens_total", 1, stream(token_type="output")),
        ],
        script=event_stream(b'{"usage":{"prompt_tokens":7,"completion_tokens":1}}'),
    ),
    "a stream without content": Scenario(
        post(chat(stream=True)),
        [
            ("smg_router_generation_duration_seconds_count", 1, stream()),
            ("smg_router_tokens_total", 0, {}),
            ("smg_router_tpot_seconds_count", 0, {}),
        ],
        script=event_stream(),
    ),
    "a stream that tells no usage": Scenario(
        post(chat(stream=True)),
        [
            ("smg_router_ttft_seconds_count", 1, stream()),
            ("smg_router_generation_duration_seconds_count", 1, stream()),
            ("smg_router_tpot_seconds_count", 0, {}),
            ("smg_router_tokens_total", 0, {}),
        ],
        script=event_stream(DELTA, b"[DONE]"),
    ),
    "a stream that is cut": Scenario(
        post(chat(stream=True)),
        [
            ("smg_upstream_streams_cut_total", 1, {"reason": "upstream_stream_cut"}),
            ("smg_worker_errors_total", 1, {**POOL, "error_type": "backend_error"}),
            ("smg_worker_cb_outcomes_total", 1, {"worker": "{worker}", "outcome": "failure"}),
            ("smg_router_generation_duration_seconds_count", 0, {}),
        ],
        script=event_stream(DELTA, complete=False),
    ),
    "a failure": Scenario(
        post(chat(stream=True)),
        [
            ("smg_router_request_errors_total", 1, request(error_type="backend_error")),
            ("smg_router_request_duration_seconds_count", 0, {}),
            (
                "smg_http_responses_total",
                1,
                {"path": CHAT, "status_code": "500", "error_code": ""},
            ),
            (
                "smg_router_upstream_responses_total",
                1,
                {"router_type": "http", "status_code": "500", "error_code": ""},
            ),
            ("smg_worker_errors_total", 1, {**POOL, "error_type": "backend_error"}),
            (
                "smg_worker_retries_exhausted_total",
                1,
                {"worker_type": "regular", "endpoint": "chat"},
            ),
            ("smg_worker_cb_outcomes_total", 1, {"worker": "{worker}", "outcome": "failure"}),
            ("smg_worker_cb_consecutive_failures", 1, {"worker": "{worker}"}),
            ("smg_router_ttft_seconds_count", 0, {}),
        ],
        script=status(500),
    ),
    "a code of the worker's": Scenario(
        post(chat()),
        [("smg_http_responses_total", 1, {"status_code": "400", "error_code": ""})],
        script=status(400),
    ),
    "nobody to ask": Scenario(
        post(chat(model="nobody's"), chat(model="nobody else's")),
        [
            (
                "smg_router_request_errors_total",
                2,
                request(model="other", error_type="no_workers"),
            ),
            (
                "smg_router_upstream_responses_total",
                2,
                {"router_type": "http", "status_code": "404", "error_code": "model_not_found"},
            ),
            ("smg_worker_errors_total", 0, {}),
        ],
    ),
    "a retry": Scenario(
        post(chat()),
        [
            ("smg_worker_retries_total", 1, {"worker_type": "regular", "endpoint": "chat"}),
            ("smg_worker_retry_backoff_seconds_count", 1, {"attempt": "1"}),
            ("smg_worker_retries_exhausted_total", 0, {}),
            ("smg_router_requests_total", 1, request(streaming="false")),
            ("smg_worker_selection_total", 2, {}),
            ("smg_router_request_errors_total", 0, {}),
            ("smg_gateway_overhead_seconds_count", 1, {"endpoint": "chat"}),
        ],
        config=RETRIES,
        script=status(503, 200),
    ),
    "retries in vain": Scenario(
        post(chat()),
        [
            ("smg_worker_retries_total", 2, {}),
            (
                "smg_worker_retries_exhausted_total",
                1,
                {"worker_type": "regular", "endpoint": "chat"},
            ),
            ("smg_router_request_errors_total", 1, request(error_type="backend_error")),
        ],
        config={**RETRIES, "retry_max_retries": 3},
        script=status(503),
    ),
    "a dead connection": Scenario(
        post(chat(), chat()),
        [("smg_router_upstream_send_retries_total", 1, {"router_type": "http"})],
        script=refuses_the_second,
    ),
    "a breaker": Scenario(
        post(chat(), chat()),
        [
            (
                "smg_worker_cb_transitions_total",
                1,
                {"worker": "{worker}", "from": "closed", "to": "open"},
            ),
            ("smg_worker_cb_state", 1, {"worker": "{worker}"}),
        ],
        config={"cb_failure_threshold": 2},
        script=status(500),
    ),
    "no such route": Scenario(
        unknown_paths,
        [
            ("smg_http_requests_total", 3, {"method": "GET", "path": "other"}),
            ("smg_http_requests_total", 1, {"method": "OTHER"}),
            (
                "smg_http_responses_total",
                3,
                {"path": "other", "status_code": "404", "error_code": "unknown_url"},
            ),
            ("smg_http_requests_total", 1, {"path": "/v1/models/{{model_id:rest}}"}),
        ],
    ),
    "in flight": Scenario(
        in_flight,
        [
            ("smg_http_connections_active", 1, {}),
            ("smg_http_open_connections", 1, {}),
            ("smg_worker_requests_active", 1, {"worker": "{worker}"}),
            ("smg_worker_routing_keys_active", 1, {"worker": "{worker}"}),
            ("smg_manual_policy_branch_total", 1, {"branch": "vacant"}),
            ("smg_manual_policy_cache_entries", 1, {}),
            ("smg_routing_key_source_total", 1, {"source": "header"}),
        ],
        config={"policy": "manual"},
        script=silent,
    ),
    "a queue": Scenario(
        three_at_a_door_for_one,
        [
            ("smg_http_rate_limit_total", 1, {"result": "allowed"}),
            ("smg_http_rate_limit_total", 1, {"result": "rejected"}),
            ("smg_admission_queue_depth", 1, {}),
            ("smg_admission_inflight", 1, {}),
            ("smg_admission_queue_rejected_total", 1, {"reason": "full"}),
        ],
        config={"max_concurrent_requests": 1, "queue_size": 1, "queue_timeout_secs": 30},
        script=silent,
    ),
    "a queue that takes too long": Scenario(
        waits_too_long,
        [
            ("smg_admission_queue_rejected_total", 1, {"reason": "timeout"}),
            ("smg_http_rate_limit_total", 1, {"result": "rejected"}),
        ],
        config={"max_concurrent_requests": 1, "queue_size": 1, "queue_timeout_secs": 1},
        script=silent,
    ),
    "cache_aware": Scenario(
        trees,
        [
            ("smg_cache_aware_policy_branch_total", 1, {"branch": "hit"}),
            ("smg_cache_aware_policy_branch_total", 3, {}),
            ("smg_cache_aware_matched_ratio_count", 3, {}),
            ("smg_cache_tree_chars", MORE, TREE),
            ("smg_cache_tree_tokens", MORE, TREE),
            ("smg_cache_tree_tenants", 1, {**TREE, "tree": "string"}),
            ("smg_cache_tree_tenants", 1, {**TREE, "tree": "token"}),
        ],
        config={"policy": "cache_aware"},
    ),
    "consistent_hashing": Scenario(
        post(chat(), headers={"X-SMG-Routing-Key": "me"}),
        [("smg_consistent_hashing_policy_branch_total", 1, {"branch": "routing_key_hit"})],
        config={"policy": "consistent_hashing"},
    ),
    "prefix_hash": Scenario(
        post(chat()),
        [("smg_prefix_hash_policy_branch_total", 1, {})],
        config={"policy": "prefix_hash"},
    ),
    "health checks": Scenario(
        probes,
        [("smg_worker_health_checks_total", MORE, {"worker_type": "regular", "result": "success"})],
        config={"health_check_interval_secs": 1},
    ),
    "a blocked loop": Scenario(
        blocked_loop,
        [
            ("smg_event_loop_stalls_total", MORE, {}),
            ("smg_event_loop_delay_seconds_count", MORE, {}),
        ],
    ),
    "a reload": Scenario(
        reload(),
        [
            ("smg_config_reloads_total", 1, {"result": "success"}),
            ("smg_config_last_reload_successful", 1, {}),
        ],
    ),
    "a reload that fails": Scenario(
        reload(ConfigError(["nonsense"])),
        [
            ("smg_config_reloads_total", 1, {"result": "failed"}),
            ("smg_config_last_reload_successful", 0, {}),
        ],
    ),
}


@asynccontextmanager
async def driven(scenario: Scenario) -> AsyncIterator[tuple[str, Samples, Samples]]:
    """The worker's URL, and a scrape before and after."""
    async with (
        RawServer(*([scenario.script] if scenario.script else [])) as worker,
        Gateway(worker_urls=[worker.url], **scenario.config) as gateway,
    ):
        await gateway.idle()
        await until(lambda: not gateway.server.connections)  # those that asked for readiness
        before = await gateway.metrics()
        async with aclosing(scenario.drive(gateway, worker)) as drive:  # type: ignore[type-var]
            await drive.__anext__()
            after = await gateway.metrics()
        yield worker.url, before, after
