"""Attempts after the first, over real sockets: who gets them, when there are none, and what is left
behind.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.doubles.gateway import Gateway
from tests.doubles.raw_client import request_bytes
from tests.doubles.raw_server import STREAM_HEAD, Peer, RawServer, Script, response_bytes
from tests.doubles.traffic import CHAT, chat, error_of, nothing_left, until

RETRIES: dict[str, Any] = {
    "disable_retries": False,
    "retry_initial_backoff_ms": 1,
    "retry_max_backoff_ms": 50,
}


def answers(*statuses: int, **headers: str) -> Script:
    """One status after the other, the last one for ever; on kept connections."""
    left = list(statuses)
    pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]

    async def script(peer: Peer) -> None:
        while True:
            await peer.read_request()
            status = left.pop(0) if len(left) > 1 else left[0]
            await peer.send(response_bytes(status, {"status": status}, pairs))

    return script


async def resets(peer: Peer) -> None:
    await peer.read_request()
    peer.reset()


async def silent(peer: Peer) -> None:
    await peer.read_request()
    await peer.finished.wait()


async def garbage(peer: Peer) -> None:
    await peer.read_request()
    await peer.send(b"not HTTP at all\r\n\r\n")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
async def test_another_worker_answers_instead(status: int, stream: bool) -> None:
    async with (
        RawServer(answers(status)) as bad,
        RawServer() as good,
        Gateway(worker_urls=[bad.url, good.url], **RETRIES) as gateway,
    ):
        for _ in range(4):
            answer = await gateway.post(CHAT, chat(stream=stream))
            assert answer.status == 200
        assert len(good.requests) == 4
        assert good.requests[0].body == bad.requests[0].body
        await nothing_left(gateway)
        metrics = await gateway.metrics()
        retries = metrics.value("smg_worker_retries_total", endpoint="chat", worker_type="regular")
        assert retries == len(bad.requests)


@pytest.mark.parametrize("script", [resets, garbage], ids=["reset", "garbage"])
async def test_a_worker_that_breaks_before_its_head(script: Script) -> None:
    async with (
        RawServer(script) as bad,
        RawServer() as good,
        Gateway(worker_urls=[bad.url, good.url], **RETRIES) as gateway,
    ):
        for _ in range(4):
            assert (await gateway.post(CHAT, chat())).status == 200
        assert bad.requests
        await nothing_left(gateway)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_body_that_is_none_right_behind_a_good_head(stream: bool) -> None:
    """The client has none of it, so another worker may answer."""

    async def script(peer: Peer) -> None:
        await peer.read_request()
        head = STREAM_HEAD if stream else b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        await peer.send(head + b"no size\r\n")
        await peer.finished.wait()

    async with (
        RawServer(script) as bad,
        RawServer() as good,
        Gateway(worker_urls=[bad.url, good.url], **RETRIES) as gateway,
    ):
        for _ in range(4):
            answer = await gateway.post(CHAT, chat(stream=stream))
            assert answer.status == 200
        assert {request.body for request in bad.requests} == {good.requests[0].body}
        assert len(good.requests) == 4
        samples = await gateway.metrics()
        for counted in ("smg_router_request_duration_seconds", "smg_gateway_overhead_seconds"):
            assert samples.value(f"{counted}_count") == 4
        await nothing_left(gateway)


async def test_a_rerank_answer_that_breaks_off_is_had_from_another_worker() -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[{")
        peer.close()

    async def ranks(peer: Peer) -> None:
        while True:
            await peer.read_request()
            await peer.send(
                response_bytes(200, {"results": [{"index": 0, "relevance_score": 0.5}]})
            )

    async with (
        RawServer(script) as bad,
        RawServer(ranks) as good,
        Gateway(worker_urls=[bad.url, good.url], **RETRIES) as gateway,
    ):
        for _ in range(2):
            answer = await gateway.post(
                "/rerank", {"model": "test-model", "query": "q", "documents": ["d"]}
            )
            assert answer.status == 200, answer.body
            assert answer.json()["results"][0]["score"] == 0.5
        assert len(bad.requests) >= 1
        await nothing_left(gateway)


async def test_a_silent_worker_is_left_after_the_first_byte_limit() -> None:
    async with (
        RawServer(silent) as bad,
        RawServer() as good,
        Gateway(
            worker_urls=[bad.url, good.url], upstream_first_byte_timeout_secs=1, **RETRIES
        ) as gateway,
    ):
        for _ in range(2):
            assert (await gateway.post(CHAT, chat())).status == 200
        assert len(good.requests) == 2
        await nothing_left(gateway)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 501])
async def test_other_statuses_are_answers(status: int) -> None:
    async with (
        RawServer(answers(status)) as worker,
        Gateway(worker_urls=[worker.url], **RETRIES) as gateway,
    ):
        answer = await gateway.post(CHAT, chat())
        assert (answer.status, answer.json()) == (status, {"status": status})
        assert len(worker.requests) == 1


async def test_the_last_answer_is_passed_on_as_it_is() -> None:
    async with (
        RawServer(answers(503, x_mark="here")) as worker,
        Gateway(worker_urls=[worker.url], retry_max_retries=5, **RETRIES) as gateway,
    ):
        answer = await gateway.post(CHAT, chat())
        assert (answer.status, answer.json()) == (503, {"status": 503})
        assert answer.header("x-mark") == "here"
        assert len(worker.requests) == 5
        metrics = await gateway.metrics()
        assert (
            metrics.value(
                "smg_worker_retries_exhausted_total", endpoint="chat", worker_type="regular"
            )
            == 1
        )
        await nothing_left(gateway)


async def test_the_same_worker_is_asked_again_when_there_is_no_other() -> None:
    async with (
        RawServer(answers(500, 502, 200)) as worker,
        Gateway(worker_urls=[worker.url], **RETRIES) as gateway,
    ):
        assert (await gateway.post(CHAT, chat())).status == 200
        assert len(worker.requests) == 3


async def test_one_attempt_when_retries_are_off() -> None:
    async with (
        RawServer(answers(503)) as worker,
        Gateway(worker_urls=[worker.url]) as gateway,
    ):
        assert (await gateway.post(CHAT, chat())).status == 503
        assert len(worker.requests) == 1


async def test_a_worker_may_say_how_often() -> None:
    async with RawServer(answers(503)) as worker, Gateway(**RETRIES) as gateway:
        spec = {"url": worker.url, "resilience": {"max_retries": 2}}
        worker_id = (await gateway.post("/workers", spec)).json()["worker_id"]
        await until(lambda: gateway.registry.get(worker_id) is not None)
        assert (await gateway.post(CHAT, chat())).status == 503
        assert len(worker.requests) == 2


async def test_retry_after_beyond_the_longest_pause_goes_to_the_client() -> None:
    async with (
        RawServer(answers(429, retry_after="30")) as worker,
        Gateway(worker_urls=[worker.url], **RETRIES) as gateway,
    ):
        answer = await gateway.post(CHAT, chat())
        assert (answer.status, answer.header("retry-after")) == (429, "30")
        assert len(worker.requests) == 1


async def test_retry_after_of_one_worker_does_not_keep_from_another() -> None:
    async with (
        RawServer(answers(503, retry_after="30")) as bad,
        RawServer() as good,
        Gateway(worker_urls=[bad.url, good.url], **RETRIES) as gateway,
    ):
        for _ in range(2):
            assert (await gateway.post(CHAT, chat())).status == 200


async def test_never_after_the_first_byte() -> None:
    async def breaks(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(STREAM_HEAD + b"5\r\nfirst\r\n")
        peer.close()

    async with (
        RawServer(breaks) as bad,
        RawServer() as good,
        Gateway(worker_urls=[bad.url], **RETRIES) as gateway,
    ):
        async with await gateway.connect() as client:
            await client.send(request_bytes("POST", CHAT, chat(stream=True)))
            assert b"first" in await client.read_to_end()
        assert len(bad.requests) >= 1
        assert not good.requests
        await nothing_left(gateway)


async def test_a_client_that_leaves_during_the_pause_ends_it() -> None:
    waits = {**RETRIES, "retry_initial_backoff_ms": 20_000, "retry_max_backoff_ms": 30_000}
    async with (
        RawServer(answers(503)) as worker,
        Gateway(worker_urls=[worker.url], **waits) as gateway,
    ):
        client = await gateway.connect()
        await client.send(request_bytes("POST", CHAT, chat()))
        await until(lambda: len(worker.requests) == 1 and not gateway.registry.all()[0].load)
        client.reset()
        await nothing_left(gateway)
        assert len(worker.requests) == 1


async def test_the_pause_counts_as_the_requests_time() -> None:
    waits = {**RETRIES, "retry_initial_backoff_ms": 20_000, "retry_max_backoff_ms": 30_000}
    async with (
        RawServer(answers(503)) as worker,
        Gateway(worker_urls=[worker.url], request_timeout_secs=2, **waits) as gateway,
    ):
        answer = await gateway.post(CHAT, chat())
        assert (answer.status, answer.json()) == (503, {"status": 503})
        assert len(worker.requests) == 1  # no time for another: answered at once


async def test_a_shutdown_during_the_pause_answers() -> None:
    waits = {**RETRIES, "retry_initial_backoff_ms": 20_000, "retry_max_backoff_ms": 30_000}
    async with (
        RawServer(answers(503)) as worker,
        Gateway(worker_urls=[worker.url], **waits) as gateway,
        await gateway.connect() as client,
    ):
        await client.send(request_bytes("POST", CHAT, chat()))
        await until(lambda: len(worker.requests) == 1 and not gateway.registry.all()[0].load)
        stopping = asyncio.ensure_future(gateway.stop())
        answer = await client.answer()
        await stopping
        assert answer.status == 503
        assert error_of(answer.body)["code"] == "gateway_shutdown"


async def test_a_worker_that_is_removed_meanwhile() -> None:
    waits = {**RETRIES, "retry_initial_backoff_ms": 300, "retry_max_backoff_ms": 500}
    async with (
        RawServer(answers(503)) as worker,
        Gateway(worker_urls=[worker.url], drain_settle_secs=0, **waits) as gateway,
        await gateway.connect() as client,
    ):
        await client.send(request_bytes("POST", CHAT, chat()))
        await until(lambda: len(worker.requests) == 1)
        gateway.registry.remove(gateway.registry.all()[0].id)
        answer = await client.answer()
        assert answer.status == 404
        await gateway.idle()


async def test_an_outage_is_not_multiplied() -> None:
    """Of 400 requests that all fail, at most 100 and half of them are tried again."""
    async with (
        RawServer(answers(500)) as worker,
        Gateway(worker_urls=[worker.url], disable_circuit_breaker=True, **RETRIES) as gateway,
        await gateway.connect() as client,
    ):
        for _ in range(400):
            assert (await client.request("POST", CHAT, chat())).status == 500
        assert 400 + 100 <= len(worker.requests) <= 400 + 100 + 200
        metrics = await gateway.metrics()
        assert metrics.value(
            "smg_worker_retries_suppressed_total", endpoint="chat", worker_type="regular"
        )
