"""The load monitor in a whole gateway: engines are asked when somebody wants to know, and what they
say moves requests.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

from tests.doubles.gateway import Gateway
from tests.doubles.raw_client import RawClient
from tests.doubles.sim import SimWorker
from tests.doubles.traffic import CHAT, chat, chat_request, until

LOADS = "/v1/loads"
LONG = [{"role": "user", "content": "x" * 20_000}]  # 5,000 tokens: seconds of waiting


async def scraped(gateway: Gateway, name: str, value: float, **labels: str) -> None:
    """Wait until a gauge shows `value`."""
    end = asyncio.get_running_loop().time() + 20
    while (await gateway.metrics()).value(name, **labels) != value:
        assert asyncio.get_running_loop().time() < end
        await asyncio.sleep(0.02)


async def test_engines_are_asked_only_if_the_policy_wants_to_know() -> None:
    async with SimWorker() as left, SimWorker() as right:
        one = Gateway(worker_urls=[left.url], policy="round_robin", load_monitor_interval=1)
        async with (
            one,
            Gateway(worker_urls=[right.url], policy="least_load", load_monitor_interval=1) as other,
        ):
            # The other one was ready later, and has asked twice before we look.
            await until(lambda: right.engine.requests[LOADS] >= 2)
            assert left.engine.requests[LOADS] == 0
            for gateway in (one, other):
                assert (await gateway.post(CHAT, chat(model="sim"))).status == 200
            assert "smg_engine_running_requests" not in (await other.metrics()).names()


async def test_engine_metrics_alone_are_a_reason_to_ask() -> None:
    async with SimWorker(load_reports="metrics") as worker:
        async with Gateway(
            worker_urls=[worker.url], policy="round_robin", engine_metrics=True
        ) as gateway:
            here = {"worker": worker.url, "model": "sim", "dp_rank": "0"}
            await until(lambda: worker.engine.requests["/metrics"] >= 1)
            await scraped(gateway, "smg_engine_waiting_requests", 0, **here)
            assert worker.engine.requests[LOADS] == 0  # it has no such route


async def test_requests_avoid_an_engine_that_others_keep_busy() -> None:
    slow = {"preset": "default", "max_running": 1, "token_latency_ms": 1000, "tokens": 1000}
    async with AsyncExitStack() as stack:
        busy = await stack.enter_async_context(SimWorker(**slow))  # type: ignore[arg-type]
        free = await stack.enter_async_context(SimWorker())
        for _ in range(4):  # not through the gateway: its own counts know nothing of them
            client = await stack.enter_async_context(await RawClient.connect(busy.port))
            await client.send(chat_request(stream=True, messages=LONG))
        await until(lambda: len(busy.engine.waiting) == 3)
        gateway = await stack.enter_async_context(
            Gateway(
                worker_urls=[busy.url, free.url],
                policy="least_load",
                load_monitor_interval=1,
                engine_metrics=True,
            )
        )
        await scraped(gateway, "smg_engine_waiting_requests", 3, worker=busy.url)
        before = busy.engine.requests[CHAT]
        for _ in range(3):
            assert (await gateway.post(CHAT, chat(model="sim"))).status == 200
        assert busy.engine.requests[CHAT] == before
        assert free.engine.requests[CHAT] == 3


async def test_get_loads() -> None:
    async with SimWorker() as native, SimWorker(load_reports="metrics") as metrics:
        async with SimWorker(load_reports="none") as silent:
            urls = [native.url, metrics.url, silent.url]
            async with Gateway(worker_urls=urls, policy="round_robin") as gateway:
                await until(lambda: len(gateway.registry.all()) == 3)
                body: Any = (await gateway.get("/get_loads")).json()
    entries = {entry["worker"]: entry for entry in body["workers"]}
    assert entries[native.url]["load"] == 0
    assert entries[native.url]["details"]["loads"][0]["num_running_reqs"] == 0
    assert entries[metrics.url]["load"] == -1
    assert entries[metrics.url]["details"]["loads"][0]["token_usage"] == 0
    assert entries[silent.url] == {"worker": silent.url, "worker_type": "regular", "load": -1}
    assert (body["successful"], body["failed"]) == (1, 2)


async def test_the_simulated_engine_tells_of_prompts_that_nobody_has_begun_to_read() -> None:
    async with AsyncExitStack() as stack:
        slow: Any = {"preset": "default", "prefill_tokens_per_second": 1000}
        worker = await stack.enter_async_context(SimWorker(**slow))
        clients = [
            await stack.enter_async_context(await RawClient.connect(worker.port)) for _ in range(4)
        ]
        for place, client in enumerate(clients[:3]):
            text = str(place) + LONG[0]["content"]  # nothing in common, so nothing is cached
            await client.send(chat_request(messages=[{"role": "user", "content": text}]))
        await until(lambda: worker.engine.requests[CHAT] == 3)
        (report,) = (await clients[3].request("GET", LOADS)).json()["loads"]
    assert (report["num_running_reqs"], report["num_waiting_reqs"]) == (1, 2)
    assert 10_000 < report["num_waiting_uncached_tokens"] <= 15_100
    assert 5_000 <= report["num_used_tokens"] < 5_100
