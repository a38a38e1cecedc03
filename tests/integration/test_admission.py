"""The concurrency limit over real sockets: served, parked, refused, and nothing lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.doubles.gateway import Gateway
from tests.doubles.raw_client import RawClient, request_bytes
from tests.doubles.raw_server import Peer, RawServer, Script, response_bytes
from tests.doubles.traffic import CHAT, chat, error_of, nothing_left, until


def gated(gate: asyncio.Event) -> Script:
    async def script(peer: Peer) -> None:
        while True:
            await peer.read_request()
            await gate.wait()
            await peer.send(response_bytes(200, {"ok": True}))

    return script


def limited(worker: RawServer, **more: Any) -> Gateway:
    limits = {"max_concurrent_requests": 1, "queue_size": 1, "queue_timeout_secs": 30, **more}
    return Gateway(worker_urls=[worker.url], **limits)


def admission(gateway: Gateway) -> Any:
    return gateway.product.gate._admission


async def ask(gateway: Gateway) -> RawClient:
    client = await gateway.connect()
    await client.send(request_bytes("POST", CHAT, chat()))
    return client


async def test_one_is_served_one_waits_and_the_third_is_refused() -> None:
    gate = asyncio.Event()
    async with RawServer(gated(gate)) as worker, limited(worker) as gateway:
        first = await ask(gateway)
        await until(lambda: len(worker.requests) == 1)
        second = await ask(gateway)
        await until(lambda: admission(gateway).waiting == 1)
        refused = await gateway.post(CHAT, chat())
        assert refused.status == 429
        assert error_of(refused.body)["code"] == "admission_queue_full"
        assert int(refused.header("retry-after") or 0) >= 1
        assert len(worker.requests) == 1
        assert (await gateway.get("/health")).status == 200
        assert (await gateway.get("/v1/models")).status == 200
        gate.set()
        assert (await first.answer()).status == 200
        assert (await second.answer()).status == 200
        for client in (first, second):
            client.close()
        await nothing_left(gateway)
        assert (admission(gateway).inflight, admission(gateway).waiting) == (0, 0)
        metrics = await gateway.metrics()
        assert metrics.value("smg_http_rate_limit_total", result="allowed") == 2
        assert metrics.value("smg_http_rate_limit_total", result="rejected") == 1
        assert metrics.value("smg_admission_queue_rejected_total", reason="full") == 1
        assert metrics.value("smg_admission_inflight") == 0


async def test_a_parked_request_that_waits_too_long() -> None:
    gate = asyncio.Event()
    async with RawServer(gated(gate)) as worker, limited(worker, queue_timeout_secs=1) as gateway:
        first = await ask(gateway)
        await until(lambda: len(worker.requests) == 1)
        answer = await gateway.post(CHAT, chat())
        assert answer.status == 503
        assert error_of(answer.body)["code"] == "admission_queue_timeout"
        assert int(answer.header("retry-after") or 0) >= 1
        gate.set()
        assert (await first.answer()).status == 200
        first.close()
        await nothing_left(gateway)


async def test_a_parked_client_that_leaves_frees_its_place() -> None:
    gate = asyncio.Event()
    async with RawServer(gated(gate)) as worker, limited(worker) as gateway:
        first = await ask(gateway)
        await until(lambda: len(worker.requests) == 1)
        second = await ask(gateway)
        await until(lambda: admission(gateway).waiting == 1)
        second.reset()
        await until(lambda: admission(gateway).waiting == 0)
        third = await ask(gateway)
        await until(lambda: admission(gateway).waiting == 1)
        gate.set()
        assert (await first.answer()).status == 200
        assert (await third.answer()).status == 200
        for client in (first, third):
            client.close()
        await nothing_left(gateway)
        assert len(worker.requests) == 2


async def test_a_client_that_leaves_gives_its_permit_back() -> None:
    gate = asyncio.Event()
    async with RawServer(gated(gate)) as worker, limited(worker, queue_size=0) as gateway:
        for number in range(1, 4):
            client = await ask(gateway)
            await until(lambda n=number: len(worker.requests) == n)  # type: ignore[misc]
            assert (await gateway.post(CHAT, chat())).status == 429
            client.reset()
            await until(lambda: admission(gateway).inflight == 0)
        await nothing_left(gateway)


@pytest.mark.parametrize("body", [b"{", b'{"model":"nobody","messages":[]}'])
async def test_a_request_that_fails_at_once_gives_its_permit_back(body: bytes) -> None:
    async with RawServer() as worker, limited(worker, queue_size=0) as gateway:
        for _ in range(3):
            answer = await gateway.post(CHAT, body, {"content-type": "application/json"})
            assert answer.status in (400, 404)
        assert (await gateway.post(CHAT, chat())).status == 200
        assert admission(gateway).inflight == 0


async def test_many_at_once_are_served_in_turn() -> None:
    async with (
        RawServer() as worker,
        limited(worker, max_concurrent_requests=3, queue_size=100) as gateway,
    ):
        answers = await asyncio.gather(*(gateway.post(CHAT, chat()) for _ in range(60)))
        assert [answer.status for answer in answers] == [200] * 60
        await nothing_left(gateway)
        assert (admission(gateway).inflight, admission(gateway).waiting) == (0, 0)


async def test_a_shutdown_answers_who_is_parked() -> None:
    gate = asyncio.Event()
    async with RawServer(gated(gate)) as worker, limited(worker) as gateway:
        first = await ask(gateway)
        await until(lambda: len(worker.requests) == 1)
        second = await ask(gateway)
        await until(lambda: admission(gateway).waiting == 1)
        stopping = asyncio.ensure_future(gateway.stop())
        for client in (first, second):
            answer = await client.answer()
            assert answer.status == 503
            client.close()
        await stopping


async def test_no_limit_no_gate() -> None:
    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        assert gateway.product.gate is None
