"""The worker fails before its head: one honest JSON error, or the one safe resend."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from tests.doubles.gateway import Gateway
from tests.doubles.raw_client import Answer
from tests.doubles.raw_server import Peer, RawServer, Script, echo_chat
from tests.doubles.tcp_proxy import full_listener
from tests.doubles.traffic import (
    CHAT,
    chat,
    error_of,
    hides_workers,
    nothing_left,
    until,
)

CONNECTION = "call_upstream_connection_failed"
BAD = "call_upstream_bad_response"


async def fresh_start(gateway: Gateway, worker: RawServer, *scripts: Script) -> None:
    """Close kept connections; from the next accepted connection on, these scripts run."""
    for pool in gateway.upstream._pools.values():
        for conn in list(pool.idle):
            conn.transport.close()
    await until(lambda: gateway.upstream.open_connections == 0)
    worker.scripts = [echo_chat] * len(worker.connections) + list(scripts)


def is_error(answer: Answer, status: int, code: str) -> None:
    assert answer.status == status, answer
    error = error_of(answer.body)
    assert error["code"] == code
    assert error["type"] == "server_error"
    assert error["param"] is None
    assert answer.header("x-smg-error-code") == code
    assert answer.header("x-request-id")


async def test_connection_refused() -> None:
    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        await fresh_start(gateway, worker)
        worker.stop_listening()
        answer = await gateway.post(CHAT, chat())
        is_error(answer, 502, CONNECTION)
        assert hides_workers(answer.head.raw + answer.body, worker)
        await nothing_left(gateway)


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_fresh_connection_that_closes_is_not_tried_again(how: str, stream: bool) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        getattr(peer, how)()

    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        await fresh_start(gateway, worker, script)
        answer = await gateway.post(CHAT, chat(stream=stream))
        is_error(answer, 502, CONNECTION)
        assert hides_workers(answer.body, worker)
        assert len(worker.requests) == 1
        samples = await gateway.metrics()
        assert samples.value("smg_router_upstream_send_retries_total") == 0
        await nothing_left(gateway)


async def one_then_dead(peer: Peer) -> None:
    """Answers once, and dies when the next request comes."""
    await peer.read_request()
    await peer.respond(200, {})
    await peer.read_head()
    peer.reset()


async def test_a_kept_connection_that_died_is_replaced_once() -> None:
    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        await fresh_start(gateway, worker, one_then_dead, echo_chat)
        async with await gateway.connect() as client:
            assert (await client.request("POST", CHAT, chat())).status == 200
            assert (await client.request("POST", CHAT, chat())).status == 200
        samples = await gateway.metrics()
        assert samples.value("smg_router_upstream_send_retries_total") == 1
        assert [peer.number for peer in worker.connections if peer.requests][-1] == 1 + min(
            peer.number for peer in worker.connections if peer.requests
        )
        await nothing_left(gateway)


async def test_there_is_never_a_second_resend() -> None:
    async def dead(peer: Peer) -> None:
        await peer.read_head()
        peer.reset()

    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        await fresh_start(gateway, worker, one_then_dead, dead)
        async with await gateway.connect() as client:
            assert (await client.request("POST", CHAT, chat())).status == 200
            before = len(worker.connections)
            is_error(await client.request("POST", CHAT, chat()), 502, CONNECTION)
        tried = [peer for peer in worker.connections[before:] if peer.received]
        assert len(tried) == 1 or all(b"POST" not in bytes(p._buffer) for p in tried[1:])
        samples = await gateway.metrics()
        assert samples.value("smg_router_upstream_send_retries_total") == 1
        await nothing_left(gateway)


async def test_all_kept_connections_dead_still_costs_one_resend() -> None:
    """A worker that restarted: every kept connection is stale, the resend takes none of them."""
    waiting: list[Peer] = []

    async def old(peer: Peer) -> None:
        await peer.read_request()
        waiting.append(peer)
        await until(lambda: len(waiting) == 5)
        await peer.respond(200, {})
        await peer.read_head()
        peer.reset()

    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        await fresh_start(gateway, worker, *[old] * 5, echo_chat)
        answers = await asyncio.gather(*(gateway.post(CHAT, chat()) for _ in range(5)))
        assert [answer.status for answer in answers] == [200] * 5
        assert (await gateway.post(CHAT, chat())).status == 200
        samples = await gateway.metrics()
        assert samples.value("smg_router_upstream_send_retries_total") == 1
        await nothing_left(gateway)


async def test_a_kept_connection_that_the_worker_closed_in_time_is_not_used() -> None:
    async def once(peer: Peer) -> None:
        await peer.read_request()
        await peer.respond(200, {})
        peer.close()

    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        await fresh_start(gateway, worker, once)
        for _ in range(5):
            assert (await gateway.post(CHAT, chat())).status == 200
            await until(lambda: gateway.upstream.open_connections == 0)
        samples = await gateway.metrics()
        assert samples.value("smg_router_upstream_send_retries_total") == 0


async def test_connection_close_of_the_worker_is_honoured() -> None:
    async def polite(peer: Peer) -> None:
        await peer.read_request()
        await peer.respond(200, {}, {"Connection": "close"})
        await peer.finished.wait()

    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        await fresh_start(gateway, worker, polite)
        for _ in range(3):
            answer = await gateway.post(CHAT, chat())
            assert answer.status == 200
            assert answer.header("connection") is None
        await nothing_left(gateway)


GARBAGE = {
    "garbage": b"\x00\x01\x02 hello\r\n\r\n",
    "a request": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "TLS": b"\x15\x03\x01\x00\x02\x02\x16\r\n\r\n",
    "HTTP/2": b"HTTP/2.0 200 OK\r\n\r\n",
    "bad version": b"HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n",
    "bad status": b"HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n",
    "status 42": b"HTTP/1.1 042 OK\r\nContent-Length: 0\r\n\r\n",
    "status 101": b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\n\r\n",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n" + b"x" * 100 + b"\r\n\r\n",
    "nameless": b"HTTP/1.1 200 OK\r\n: x\r\nContent-Length: 0\r\n\r\n",
    "folded": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "space before colon": b"HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 0\r\n\r\n",
    "NUL": b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
    "bare CR": b"HTTP/1.1 200 OK\r\nX: a\rY: b\r\nContent-Length: 0\r\n\r\n",
    "CL and TE": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "two CL": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "CL text": b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
    "CL negative": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "CL huge": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "CL list": b"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\na",
    "TE gzip": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    "TE gzip, chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    "two TE": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n",
    "oversized": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000 + b"\r\nContent-Length: 0\r\n\r\n",
    "too many": b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 300 + b"Content-Length: 0\r\n\r\n",
    "partial head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "partial line": b"HTTP/1",
    "interim, garbage": b"HTTP/1.1 100 Continue\r\n\r\nnonsense\r\n\r\n",
}


@pytest.mark.parametrize("in_pieces", [False, True])
@pytest.mark.parametrize("name", GARBAGE)
async def test_a_head_that_is_no_head(name: str, in_pieces: bool) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        data = GARBAGE[name]
        size = max(1, len(data) // 7) if in_pieces else len(data)
        for start in range(0, len(data), size):
            await peer.send(data[start : start + size])
            await asyncio.sleep(0)
        if name.startswith("partial"):
            peer.close()

    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        await fresh_start(gateway, worker, script)
        async with await gateway.connect() as client:
            answer = await client.request("POST", CHAT, chat())
            is_error(answer, 502, BAD)
            assert hides_workers(answer.body, worker)
            # the client's connection is sound
            assert (await client.request("GET", "/health")).body == b"OK"
        assert len(worker.requests) == 1  # never sent again
        await nothing_left(gateway)


async def test_an_interim_answer_and_then_nothing_is_not_sent_again() -> None:
    """The worker began to work on it: a second copy might run twice."""

    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.respond(200, {})
        await peer.read_request()
        await peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        peer.close()

    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        await fresh_start(gateway, worker, script, echo_chat)
        assert (await gateway.post(CHAT, chat())).status == 200
        answer = await gateway.post(CHAT, chat())
        assert answer.status == 502
        assert len(worker.requests) == 2
        await nothing_left(gateway)


# -- what must never reach a client ---------------------------------------------------------------


@pytest.mark.parametrize("chunked", [False, True])
async def test_bytes_after_the_message_never_reach_a_client(chunked: bool) -> None:
    forged = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"

    async def script(peer: Peer) -> None:
        await peer.read_request()
        if chunked:
            await peer.send(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
                + forged
            )
        else:
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + forged)
        await peer.finished.wait()

    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        await fresh_start(gateway, worker, script)
        async with await gateway.connect() as client:
            for _ in range(4):
                answer = await client.request("POST", CHAT, chat())
                assert (answer.status, answer.body) == (200, b"ok")
        assert len([peer for peer in worker.connections if peer.requests]) == 4
        await nothing_left(gateway)


@pytest.mark.parametrize("status", [204, 304])
async def test_a_body_behind_an_answer_that_has_none(status: int) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 %d X\r\nContent-Length: 4\r\n\r\nevil" % status)
        await peer.finished.wait()

    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        await fresh_start(gateway, worker, script)
        async with await gateway.connect() as client:
            answer = await client.request("POST", CHAT, chat())
            assert (answer.status, answer.body) == (status, b"")
            assert (await client.request("GET", "/health")).body == b"OK"
        await nothing_left(gateway)


async def test_unsolicited_bytes_on_a_kept_connection() -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.respond(200, {"n": 1})
        await until(lambda: bool(gateway.upstream.pool(worker.url).idle))
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")
        await peer.finished.wait()

    async with RawServer() as worker:
        gateway = Gateway(worker_urls=[worker.url])
        async with gateway:
            await fresh_start(gateway, worker, script, echo_chat)
            async with await gateway.connect() as client:
                assert (await client.request("POST", CHAT, chat())).json() == {"n": 1}
                await until(lambda: gateway.upstream.open_connections == 0)
                answer = await client.request("POST", CHAT, chat())
                assert answer.json()["object"] == "chat.completion"
            await nothing_left(gateway)


# -- a bad network --------------------------------------------------------------------------------


async def test_connect_timeout() -> None:
    """A listener whose queue is full: connects hang."""
    async with RawServer() as worker:
        config: dict[str, Any] = {"worker_urls": [worker.url], "upstream_connect_timeout_secs": 0.3}
        async with Gateway(**config) as gateway:
            await fresh_start(gateway, worker)
            with full_listener() as port:
                gateway.upstream.pool(worker.url).origin = replace(
                    gateway.upstream.pool(worker.url).origin, port=port
                )
                answer = await gateway.post(CHAT, chat())
                is_error(answer, 502, CONNECTION)
                assert str(port).encode() not in answer.body
                await nothing_left(gateway)


async def test_first_byte_timeout() -> None:
    async def silent(peer: Peer) -> None:
        await peer.read_request()
        await peer.finished.wait()

    async with RawServer() as worker:
        config: dict[str, Any] = {
            "worker_urls": [worker.url],
            "upstream_first_byte_timeout_secs": 0.3,
        }
        async with Gateway(**config) as gateway:
            await fresh_start(gateway, worker, silent)
            answer = await gateway.post(CHAT, chat())
            is_error(answer, 504, "call_upstream_timeout")
            await until(lambda: worker.open_connections == 0)
            await nothing_left(gateway)


async def test_the_first_byte_limit_does_not_run_while_nobody_is_asked() -> None:
    """The pause before the next attempt is longer than the limit of the one that failed."""

    async def dies(peer: Peer) -> None:
        await peer.read_request()
        peer.close()

    async with RawServer() as worker:
        config: dict[str, Any] = {
            "worker_urls": [worker.url],
            "upstream_first_byte_timeout_secs": 0.2,
            "disable_retries": False,
            "retry_initial_backoff_ms": 800,
            "retry_jitter_factor": 0.0,
        }
        async with Gateway(**config) as gateway:
            await fresh_start(gateway, worker, dies, echo_chat)
            assert (await gateway.post(CHAT, chat())).status == 200
            assert len(worker.requests) == 2
            await nothing_left(gateway)
            assert (await gateway.metrics()).value("smg_worker_retries_total") == 1


async def test_the_first_byte_limit_ends_with_the_first_byte() -> None:
    """Also when the gateway collects the answer to reshape it."""
    body = {"model": "test-model", "query": "q", "documents": ["a"]}

    async def slow(peer: Peer) -> None:
        request = await peer.read_request()
        if request.target != "/v1/rerank":
            await peer.finished.wait()
            return
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 25\r\n\r\n[")
        # another request runs into the limit meanwhile, so the limit has passed for this one too
        assert (await gateway.post(CHAT, chat())).status == 504
        await peer.send(b'{"score": 1, "index":0}]')

    async with RawServer() as worker:
        gateway = Gateway(worker_urls=[worker.url], upstream_first_byte_timeout_secs=0.3)
        async with gateway:
            await fresh_start(gateway, worker, slow)
            answer = await gateway.post("/rerank", body)
            assert answer.status == 200, answer
            assert answer.json()["results"] == [{"score": 1, "index": 0}]
            await nothing_left(gateway)


async def test_request_timeout_before_the_head() -> None:
    async def silent(peer: Peer) -> None:
        await peer.read_request()
        await peer.finished.wait()

    async with RawServer() as worker:
        async with Gateway(worker_urls=[worker.url], request_timeout_secs=0.3) as gateway:
            await fresh_start(gateway, worker, silent)
            async with await gateway.connect() as client:
                answer = await client.request("POST", CHAT, chat())
                is_error(answer, 504, "call_upstream_timeout")
                assert (await client.request("GET", "/health")).body == b"OK"
            await nothing_left(gateway)


async def test_request_timeout_while_connecting() -> None:
    async with RawServer() as worker:
        config: dict[str, Any] = {"request_timeout_secs": 0.3, "upstream_connect_timeout_secs": 1}
        async with Gateway(worker_urls=[worker.url], **config) as gateway:
            await fresh_start(gateway, worker)
            with full_listener() as port:
                gateway.upstream.pool(worker.url).origin = replace(
                    gateway.upstream.pool(worker.url).origin, port=port
                )
                is_error(await gateway.post(CHAT, chat()), 504, "call_upstream_timeout")
                await nothing_left(gateway)


async def test_a_rerank_answer_that_breaks_off() -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[{"score"')
        peer.close()

    body = {"model": "test-model", "query": "q", "documents": ["a"]}
    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        await fresh_start(gateway, worker, script)
        is_error(await gateway.post("/rerank", body), 502, "read_response_body_failed")
        await nothing_left(gateway)


async def test_a_rerank_answer_that_is_too_large() -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.respond(200, b"[" + b" " * 5000 + b"]")
        await peer.finished.wait()

    body = {"model": "test-model", "query": "q", "documents": ["a"]}
    async with RawServer() as worker:
        async with Gateway(worker_urls=[worker.url], max_payload_size=1000) as gateway:
            await fresh_start(gateway, worker, script)
            is_error(await gateway.post("/rerank", body), 502, "upstream_response_too_large")
            await nothing_left(gateway)
