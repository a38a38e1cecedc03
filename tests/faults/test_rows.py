"""Rows of the specification's table of edge cases (section 29) that speak of failures, over real
sockets; `docs/develop/faults.md` says which test holds which row.
"""

from __future__ import annotations

import asyncio
from typing import Any

from tests.doubles.gateway import Gateway
from tests.doubles.raw_server import Peer, RawServer, response_bytes
from tests.doubles.traffic import CHAT, chat, error_of, nothing_left
from tests.faults.rig import RETRIES, answering


async def test_row_28_two_attempts_are_two_calls() -> None:
    async with (
        RawServer(answering(response_bytes(500, {"it": "broke"}))) as worker,
        Gateway(worker_urls=[worker.url], **RETRIES, retry_max_retries=2) as gateway,
    ):
        answer = await gateway.post(CHAT, chat())
        assert (answer.status, answer.json()) == (500, {"it": "broke"})
        assert len(worker.requests) == 2
        await nothing_left(gateway)


async def test_row_30_without_retries_the_workers_500_is_the_answer() -> None:
    async with (
        RawServer(answering(response_bytes(500, {"it": "broke"}))) as worker,
        Gateway(worker_urls=[worker.url]) as gateway,
    ):
        answer = await gateway.post(CHAT, chat())
        assert (answer.status, answer.json()) == (500, {"it": "broke"})
        assert len(worker.requests) == 1


async def test_row_31_a_full_worker_is_retried_and_its_breaker_stays_closed() -> None:
    async with (
        RawServer(answering(response_bytes(429, {}))) as worker,
        Gateway(worker_urls=[worker.url], **RETRIES, retry_max_retries=4) as gateway,
    ):
        for _ in range(5):
            assert (await gateway.post(CHAT, chat())).status == 429
        assert len(worker.requests) == 20
        samples = await gateway.metrics()
        assert samples.value("smg_worker_cb_state") == 0
        assert samples.value("smg_worker_cb_outcomes_total", outcome="failure") == 0
        await nothing_left(gateway)


async def test_row_32_a_bad_request_between_failures_keeps_the_breaker_closed() -> None:
    statuses = [500] * 9 + [400] + [500] * 9

    async def script(peer: Peer) -> None:
        while True:
            await peer.read_request()
            await peer.send(response_bytes(statuses.pop(0), {}))

    async with RawServer(script) as worker, Gateway(worker_urls=[worker.url]) as gateway:
        expected = list(statuses)
        answers = [(await gateway.post(CHAT, chat())).status for _ in range(19)]
        assert answers == expected
        samples = await gateway.metrics()
        assert samples.value("smg_worker_cb_state") == 0
        assert samples.value("smg_worker_cb_consecutive_failures") == 9
        await nothing_left(gateway)


async def test_row_35_two_run_five_wait_three_are_refused() -> None:
    go = asyncio.Event()

    async def script(peer: Peer) -> None:
        while True:
            await peer.read_request()
            await go.wait()
            await peer.respond(200, {})

    limits: dict[str, Any] = {"max_concurrent_requests": 2, "queue_size": 5}
    async with RawServer(script) as worker, Gateway(worker_urls=[worker.url], **limits) as gateway:
        asked = [asyncio.ensure_future(gateway.post(CHAT, chat())) for _ in range(10)]
        while sum(one.done() for one in asked) < 3:
            await asyncio.wait(
                [one for one in asked if not one.done()], return_when=asyncio.FIRST_COMPLETED
            )
        assert len(worker.requests) <= 2
        go.set()
        answers = await asyncio.gather(*asked)
        assert sorted(answer.status for answer in answers) == [200] * 7 + [429] * 3
        for answer in answers:
            if answer.status == 429:
                assert error_of(answer.body)["code"] == "admission_queue_full"
                assert answer.header("retry-after") == "2"
        await nothing_left(gateway)
