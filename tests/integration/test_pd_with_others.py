"""Pairs together with what was built for whole workers: limits of tenants, traces, and workers
that come and go through the API while requests run.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from smg.sim.pairs import PairEngine
from tests.doubles.gateway import Gateway
from tests.doubles.otlp_collector import Collector, Exported
from tests.doubles.pairs import MODEL, Fleet, pairs, raw_pair
from tests.doubles.raw_server import Peer, Script
from tests.doubles.sim import SimWorker
from tests.doubles.traffic import CHAT, chat, error_of, nothing_left, until

NIXL: dict[str, Any] = {"connector": "NixlConnector"}
KINDS: dict[str, dict[str, Any]] = {"sglang": {}, "vllm": NIXL}
ENGINES = pytest.mark.parametrize("engine", KINDS)
#: with and without a limit at prefill workers, which puts another class before the relays
SLOTS = pytest.mark.parametrize("slots", [-1, 2])

# -- limits on tokens -----------------------------------------------------------------------------

USAGE = b'"usage":{"prompt_tokens":30,"completion_tokens":12,"total_tokens":42}'
EVENT = b'data: {"choices":[{"delta":{"content":"a"}}],"usage":null}\n\n'
#: 40 bytes: 10 tokens by estimate
PROMPT = [{"role": "user", "content": "0123456789" * 4}]


def metered(tmp_path: Path, per_minute: int) -> dict[str, Any]:
    file = tmp_path / "tenants.yaml"
    file.write_text(f"default_policy: {{tokens_per_minute: {per_minute}}}")
    return {"tenant_rate_limit_enabled": True, "tenant_rate_limit_config": str(file)}


def used(gateway: Gateway) -> float:
    """Tokens of this minute that the only tenant has used."""
    (tenant,) = gateway.product.entrance.meter._limits._tenants.values()
    bucket = tenant.overall.tokens
    return float(bucket.burst - bucket.level)


async def prefilled(peer: Peer) -> None:
    while True:
        await peer.read_request()
        await peer.respond(200, {"usage": {"prompt_tokens": 9, "completion_tokens": 999}})


def decoded(*pieces: bytes, stream: bool) -> Script:
    async def script(peer: Peer) -> None:
        while True:
            await peer.read_request()
            if not stream:
                await peer.respond(200, b"".join(pieces))
                continue
            await peer.start_stream()
            for piece in pieces:
                await peer.send_chunk(piece)
            await peer.end_stream()

    return script


@ENGINES
@SLOTS
@pytest.mark.parametrize(
    ("pieces", "stream", "cost"),
    [
        ((b'{"choices":[],' + USAGE + b"}",), False, 42),
        ((b'{"choices":[]}',), False, 10),  # nothing is said: what was reserved
        ((EVENT, EVENT, b"data: {" + USAGE + b"}\n\n"), True, 42),
        ((EVENT, EVENT, EVENT), True, 10 + 4),  # a token per event, [DONE] is one
    ],
)
async def test_tokens_are_those_of_decodes_answer(
    tmp_path: Path, engine: str, slots: int, pieces: tuple[bytes, ...], stream: bool, cost: int
) -> None:
    limit: dict[str, Any] = {"prefill_max_inflight_requests_per_worker": slots}
    config = {**metered(tmp_path, 1000), **limit}
    script = decoded(*pieces, stream=stream)
    async with raw_pair(prefilled, script, engine=engine, **config) as (gateway, _, _):
        body = chat(stream=stream, messages=PROMPT)
        assert (await gateway.post(CHAT, body)).status == 200
        await nothing_left(gateway)
        assert used(gateway) == pytest.approx(cost, abs=0.5)


async def test_a_stream_that_was_whole_before_prefills_head_is_counted(tmp_path: Path) -> None:
    """It goes out in one piece, another way than usual."""
    said = asyncio.Event()

    async def prefill(peer: Peer) -> None:
        await peer.read_request()
        await said.wait()
        await peer.respond(200, {})

    async def decode(peer: Peer) -> None:
        await peer.read_request()
        await peer.start_stream()
        for _ in range(3):
            await peer.send_chunk(EVENT)
        await peer.end_stream()
        said.set()
        await peer.finished.wait()

    async with raw_pair(prefill, decode, **metered(tmp_path, 1000)) as (gateway, _, _):
        answer = await gateway.post(CHAT, chat(stream=True, messages=PROMPT))
        assert len(answer.events()) == 4
        await nothing_left(gateway)
        assert used(gateway) == pytest.approx(10 + 4, abs=0.5)


@ENGINES
async def test_a_tenant_that_has_used_its_tokens_reaches_no_worker(
    tmp_path: Path, engine: str
) -> None:
    async with pairs(engine, **KINDS[engine], **metered(tmp_path, 60)) as fleet:
        statuses = []
        for _ in range(6):
            answer = await fleet.gateway.post(CHAT, chat(messages=PROMPT, max_tokens=20))
            statuses.append(answer.status)
        assert statuses[0] == 200
        assert statuses[-1] == 429
        assert error_of(answer.body)["code"] == "tenant_rate_limit_exceeded"
        served = statuses.count(200)
        assert fleet.prefills[0].engine.requests[CHAT] == served
        assert fleet.decodes[0].engine.requests[CHAT] == served
        await fleet.at_rest()


# -- traces ---------------------------------------------------------------------------------------


def traced(collector: Collector) -> dict[str, Any]:
    return {"enable_trace": True, "otlp_traces_endpoint": collector.endpoint}


def span_of(collector: Collector) -> Exported:
    (span,) = [span for span in collector.spans if span.attributes.get("route") == CHAT]
    return span


@ENGINES
@SLOTS
@pytest.mark.parametrize("stream", [False, True])
async def test_one_span_names_both_workers(engine: str, slots: int, stream: bool) -> None:
    limit = {"prefill_max_inflight_requests_per_worker": slots}
    with Collector() as collector:
        config = {**KINDS[engine], **traced(collector), **limit}
        async with pairs(engine, **config) as fleet:
            assert (await fleet.gateway.post(CHAT, chat(stream=stream))).status == 200
            await fleet.at_rest()
            prefill, decode = fleet.prefills[0].url, fleet.decodes[0].url
        span = span_of(collector)
        assert not span.failed
        assert span.events == [
            ("request sent", {"prefill_url": prefill, "decode_url": decode}),
            ("response received", {"url": decode, "status_code": 200}),
        ]


async def test_an_answer_that_was_held_back_came_once() -> None:
    """Decode answers before prefill: its head is looked at twice."""
    said = asyncio.Event()

    async def prefill(peer: Peer) -> None:
        await peer.read_request()
        await said.wait()
        await peer.respond(200, {})

    async def decode(peer: Peer) -> None:
        await peer.read_request()
        await peer.start_stream()
        said.set()
        await peer.end_stream()

    with Collector() as collector:
        async with raw_pair(prefill, decode, **traced(collector)) as (gateway, _, _):
            assert (await gateway.post(CHAT, chat(stream=True))).status == 200
            await nothing_left(gateway)
        names = [name for name, _ in span_of(collector).events]
        assert names == ["request sent", "response received"]


@ENGINES
@pytest.mark.parametrize("role", ["prefill", "decode"])
@pytest.mark.parametrize("fault", ["status=503", "close"])
async def test_every_attempt_is_told_of(engine: str, role: str, fault: str) -> None:
    with Collector() as collector:
        retries: dict[str, Any] = {"disable_retries": False, "retry_initial_backoff_ms": 1}
        config = {**KINDS[engine], **traced(collector), **retries}
        two: dict[str, Any] = {f"{role}s": 2}
        async with pairs(engine, **two, **config, sim={"kv_timeout_secs": 0.2}) as fleet:
            workers = fleet.prefills if role == "prefill" else fleet.decodes
            # twice, because a kept connection that was closed is replaced once
            workers[0].fault(f"{fault},times=2")
            for _ in range(2):  # one of them begins with the worker that fails
                assert (await fleet.gateway.post(CHAT, chat())).status == 200
            await fleet.at_rest()
            failing = workers[0].url
        spans = [span for span in collector.spans if span.attributes.get("route") == CHAT]
        told = [
            (name, attributes)
            for span in spans
            for name, attributes in span.events
            if attributes.get("url") == failing
        ]
        if fault == "close":
            error = "call_upstream_connection_failed"
            assert ("attempt failed", {"url": failing, "error": error}) in told
        else:
            assert ("response received", {"url": failing, "status_code": 503}) in told
        assert not any(span.failed for span in spans)


# -- workers that come and go ---------------------------------------------------------------------


def spec_of(worker: SimWorker, engine: str) -> dict[str, Any]:
    assert isinstance(worker.engine, PairEngine)
    role = worker.engine.settings.role
    spec: dict[str, Any] = {"url": worker.url, "worker_type": role}
    if role == "prefill":
        spec["bootstrap_port"] = worker.kv.port
        if engine == "vllm":
            spec |= {"kv_connector": "NixlConnector", "kv_engine_id": "sim-engine"}
    return spec


def registered(fleet: Fleet, worker: SimWorker) -> Any:
    return fleet.gateway.registry.by_url(worker.url)


@ENGINES
@SLOTS
@pytest.mark.limit(30)
async def test_workers_come_and_go_while_requests_run(engine: str, slots: int) -> None:
    timing = {"token_latency_ms": 1.0, "prefill_tokens_per_second": 5000.0}
    limit: dict[str, Any] = {
        "prefill_max_inflight_requests_per_worker": slots,
        "drain_settle_secs": 0,
    }
    statuses: list[int] = []
    done = asyncio.Event()

    async with pairs(engine, sim=timing, **KINDS[engine], **limit) as fleet:
        gateway = fleet.gateway

        async def client(number: int) -> None:
            while not done.is_set():
                body = chat(stream=number % 2 == 0, max_tokens=5)
                statuses.append((await gateway.post(CHAT, body)).status)

        clients = [asyncio.create_task(client(number)) for number in range(8)]
        for role in ("prefill", "decode", "prefill", "decode"):
            common: dict[str, Any] = {"engine": engine, "models": (MODEL,), **timing}
            async with SimWorker(role=role, bootstrap_port=0, **common) as worker:
                assert (await gateway.post("/workers", spec_of(worker, engine))).status == 202
                await until(lambda worker=worker: registered(fleet, worker) is not None)  # type: ignore[misc]
                await until(lambda worker=worker: worker.engine.completed > 3)  # type: ignore[misc]
                target = f"/workers/{registered(fleet, worker).id}"
                assert (await gateway.request("DELETE", target)).status == 202
                await until(lambda worker=worker: registered(fleet, worker) is None)  # type: ignore[misc]
                # drained: nobody needs it any more
                await until(lambda worker=worker: not worker.engine.running)  # type: ignore[misc]
                await until(lambda worker=worker: not worker.kv.held)  # type: ignore[misc]
        done.set()
        await asyncio.gather(*clients)
        assert len(statuses) > 30
        assert set(statuses) == {200}
        await fleet.at_rest()
        assert fleet.kv("expired") == 0
