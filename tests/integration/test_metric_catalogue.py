"""Every documented metric moves when it should, by as much as it should (operations 1.5).

A scenario drives one area of a whole gateway between two scrapes; its rows say what changed. The
last tests hold the table against the families that exist, so a metric cannot be added without a
row, or without another test that is named here.
"""

from __future__ import annotations

import asyncio
import pathlib
import time

import pytest

from smg.observability.exposition import render
from smg.observability.families import GatewayMetrics
from smg.observability.metrics import HistogramFamily, Registry
from tests.doubles.exposition_lint import lint
from tests.doubles.gateway import Gateway
from tests.doubles.metric_scenarios import MORE, POOL, RETRIES, SCENARIOS, Row, driven
from tests.doubles.metrics_text import Samples
from tests.doubles.raw_client import request_bytes
from tests.doubles.raw_server import Peer, RawServer, response_bytes
from tests.doubles.sim import SimWorker
from tests.doubles.traffic import CHAT, chat, until

ROOT = pathlib.Path(__file__).parents[2]
#: what is there from the start: (name, value, labels)
AT_REST: list[Row] = [
    ("smg_build_info", 1, {}),
    ("smg_worker_connections_active", 1, POOL),
    ("smg_event_loop_tasks", MORE, {}),
    ("smg_http_inflight_request_age_count", 0, {"gt": "0", "le": "30"}),
    ("smg_worker_pool_size", 1, {**POOL, "model": "test-model"}),
    ("smg_worker_health", 1, {"worker": "{worker}"}),
    ("smg_worker_requests_active", 0, {"worker": "{worker}"}),
    ("smg_worker_cb_state", 0, {"worker": "{worker}"}),
    ("smg_http_connections_active", 0, {}),
]

#: metrics, by the start of their names, that need more of a stage than a scenario has, and the
#: tests that check them
ELSEWHERE = {
    "smg_worker_retries_suppressed_total": "tests/integration/test_retries.py",
    "smg_workers_overloaded": "tests/integration/test_overload.py",
    "smg_worker_overload_shed_total": "tests/integration/test_overload.py",
    "smg_scheduler_": "tests/integration/test_priority.py",
    "smg_tokenizer_cache_": "tests/integration/test_tokenize_api.py",
    "smg_pd_": "tests/integration/test_pd_sglang.py",
    "smg_engine_pd_": "tests/unit/fleet/test_engine_gauges.py",
    "smg_loop_stall": "tests/integration/test_process.py",
    "smg_http_inflight_request_age_count": "tests/unit/observability/test_gateway_families.py",
}

#: names that the reference chose, and dashboards know (operations 1.5)
OLD_NAMES = frozenset(
    {
        "smg_http_inflight_request_age_count",
        "smg_engine_pd_kv_transfer_latency_ms",
        "smg_engine_pd_kv_transfer_speed_gb_s",
    }
)

ENGINE = (
    "smg_engine_running_requests",
    "smg_engine_waiting_requests",
    "smg_engine_token_usage",
    "smg_engine_gen_throughput",
    "smg_engine_cache_hit_rate",
    "smg_engine_report_age_seconds",
)


def declared() -> dict[str, tuple[str, ...]]:
    """Sample name without suffixes -> label names."""
    registry = Registry()
    GatewayMetrics(registry)
    return {family.name: family.label_names for family in registry.families()}


def family_of(sample: str, families: dict[str, tuple[str, ...]]) -> str:
    for suffix in ("", "_count", "_sum", "_bucket"):
        name = sample.removesuffix(suffix)
        if name in families:
            return name
    raise AssertionError(f"{sample} is not declared")


def check(rows: list[Row], url: str, before: Samples | None, after: Samples) -> None:
    """Every row's change, and the label names of every series of its family."""
    families = declared()
    wrong = []
    for name, change, labels in rows:
        labels = {key: value.format(worker=url) for key, value in labels.items()}
        was = 0.0 if before is None else before.value(name, **labels)
        got = after.value(name, **labels) - was
        if not (got > 0 if change is MORE else got == change):
            wrong.append(f"{name}{labels}: {was} and {got} more, not {change}")
        names = set(families[family_of(name, families)])
        for have in after.labels(name):
            if set(have) != names:
                wrong.append(f"{name} has the labels {sorted(have)}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", SCENARIOS)
async def test_scenario(name: str):
    scenario = SCENARIOS[name]
    async with driven(scenario) as (url, before, after):
        check(scenario.rows, url, before, after)
        assert lint(after.text, OLD_NAMES) == []


async def test_at_rest_and_after_the_worker_is_gone():
    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        await gateway.idle()
        await until(lambda: not gateway.server.connections)
        check(AT_REST, worker.url, None, await gateway.metrics())
        (registered,) = gateway.registry.all()
        gateway.registry.remove(registered.id)
        samples = await gateway.metrics()
    left = {name for name, labels, _ in samples.rows if worker.url in labels.values()}
    assert not left
    assert samples.value("smg_worker_pool_size") == 0


async def test_engines():
    def shown(samples: Samples) -> set[str]:
        return {name for name in samples.names() if name.startswith("smg_engine_")}

    async with SimWorker() as worker:
        async with Gateway(
            worker_urls=[worker.url], engine_metrics=True, load_monitor_interval=1
        ) as gateway:
            while not shown(samples := await gateway.metrics()):
                await asyncio.sleep(0.02)
            (registered,) = gateway.registry.all()
            gateway.registry.remove(registered.id)
            while shown(await gateway.metrics()):
                await asyncio.sleep(0.02)
    families = declared()
    assert shown(samples) == set(ENGINE)
    for name in ENGINE:
        for labels in samples.labels(name):
            assert set(labels) == set(families[name])
            assert labels["worker"] == worker.url


def not_ours(samples: Samples) -> float:
    """Seconds until heads were ready that the gateway does not count as its own."""
    total = samples.value("smg_http_request_duration_seconds_sum", path=CHAT)
    return total - samples.value("smg_gateway_overhead_seconds_sum")


async def test_failed_attempts_are_no_overhead():
    held = 0.0
    codes = [503, 200]

    async def script(peer: Peer) -> None:
        nonlocal held
        while codes:
            await peer.read_request()
            code = codes.pop(0)
            if code == 503:
                began = time.perf_counter()
                await asyncio.sleep(0.2)  # long beside what a request costs, were it counted
                held = time.perf_counter() - began
            await peer.send(response_bytes(code, {"ok": True}))

    async with RawServer(script) as worker, Gateway(worker_urls=[worker.url], **RETRIES) as gateway:
        assert (await gateway.post(CHAT, chat())).status == 200
        samples = await gateway.metrics()
    assert samples.value("smg_worker_retries_total") == 1
    assert not_ours(samples) >= held


async def test_the_queue_is_no_overhead():
    gate = asyncio.Event()

    async def script(peer: Peer) -> None:
        while True:
            await peer.read_request()
            await gate.wait()
            await peer.send(response_bytes(200, {"ok": True}))

    limit = {"max_concurrent_requests": 1, "queue_size": 1, "queue_timeout_secs": 30}
    async with RawServer(script) as worker, Gateway(worker_urls=[worker.url], **limit) as gateway:
        async with await gateway.connect() as first, await gateway.connect() as second:
            await first.send(request_bytes("POST", CHAT, chat()))
            await until(lambda: len(worker.requests) == 1)
            await second.send(request_bytes("POST", CHAT, chat()))
            await until(lambda: gateway.product.gate._admission.waiting == 1)
            began = time.perf_counter()
            await asyncio.sleep(0.2)
            held = time.perf_counter() - began
            gate.set()
            assert (await first.answer()).status == 200
            assert (await second.answer()).status == 200
        samples = await gateway.metrics()
    # One of them was at the worker for that long, the other in the queue.
    assert not_ours(samples) >= 2 * held


def test_every_family_has_a_row():
    families = declared()
    rows = [row for scenario in SCENARIOS.values() for row in scenario.rows] + AT_REST
    covered = {family_of(row[0], families) for row in rows if row[1] != 0} | set(ENGINE)
    missing = {name for name in set(families) - covered if not name.startswith(tuple(ELSEWHERE))}
    assert not missing


@pytest.mark.parametrize("start", ELSEWHERE)
def test_what_is_tested_elsewhere_is(start: str):
    assert start in (ROOT / ELSEWHERE[start]).read_text()


def test_every_family_passes_the_lint():
    registry = Registry()
    GatewayMetrics(registry)
    for family in registry.families():
        family.labels(*("x" for _ in family.label_names))
    assert lint(render(registry).decode(), OLD_NAMES) == []


def test_every_label_is_bounded():
    """Labels that clients could choose values for: those are admitted, or not there at all."""
    bounded = {
        *("method", "path", "status_code", "error_code", "router_type", "backend_type"),
        *("connection_mode", "endpoint", "streaming", "worker_type", "error_type", "token_type"),
        *("policy", "result", "reason", "branch", "source", "stage", "state", "outcome"),
        *("attempt", "from", "to", "gt", "le", "tree", "class", "victim_class", "by_class"),
        *("requested_class", "effective_class", "mode", "role", "runtime", "dp_rank"),
        *("version", "python", "event_loop", "worker", "tokenizer"),
        *("model", "tenant"),  # admitted, see below
    }
    used = {label for labels in declared().values() for label in labels}
    assert used <= bounded


async def test_models_and_paths_that_clients_invent():
    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        first = len((await gateway.metrics()).rows)
        async with await gateway.connect() as client:
            for number in range(300):
                await client.request("POST", CHAT, chat(model=f"invented-{number}"))
                await client.request("GET", f"/v1/responses/resp_{number}")
        samples = await gateway.metrics()
    text = samples.text
    assert "invented" not in text
    assert "resp_" not in text
    assert samples.value("smg_router_requests_total", model="other") == 300
    assert len(samples.rows) - first < 200


def test_histograms_have_the_documented_buckets():
    registry = Registry()
    GatewayMetrics(registry)
    for family in registry.families():
        if isinstance(family, HistogramFamily) and family.name.endswith(
            ("duration_seconds", "ttft_seconds", "tpot_seconds")
        ):
            assert (family.bounds[0], family.bounds[-1], len(family.bounds)) == (0.001, 7200, 29)
