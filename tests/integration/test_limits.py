"""Limits of the inbound side: sizes, counts and times (http-api 3.7)."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.doubles.gateway import Gateway
from tests.doubles.raw_client import request_bytes
from tests.doubles.raw_server import Peer, RawServer
from tests.doubles.traffic import CHAT, chat, chat_request, error_of, nothing_left

SMALL = 1000


def sized(size: int, body: bytes = b"") -> bytes:
    head = b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" % CHAT.encode()
    return head + b"Content-Length: %d\r\n\r\n" % size + body


def filled(size: int) -> bytes:
    """A chat body of exactly `size` bytes."""
    empty = len(json.dumps(chat(text="")).encode())
    return json.dumps(chat(text="x" * (size - empty))).encode()


async def test_a_body_of_exactly_the_limit_passes() -> None:
    async with RawServer() as worker:
        async with Gateway(worker_urls=[worker.url], max_payload_size=SMALL) as gateway:
            async with await gateway.connect() as client:
                await client.send(sized(SMALL, filled(SMALL)))
                assert (await client.answer()).status == 200
        assert worker.requests[0].body == filled(SMALL)


async def test_one_byte_more_is_413_and_the_connection_stays_in_step() -> None:
    async with RawServer() as worker:
        async with Gateway(worker_urls=[worker.url], max_payload_size=SMALL) as gateway:
            async with await gateway.connect() as client:
                await client.send(sized(SMALL + 1, filled(SMALL + 1)))
                answer = await client.answer()
                assert answer.status == 413
                assert answer.json()["error"]["code"] == "request_body_too_large"
                assert answer.header("x-smg-error-code") == "request_body_too_large"
                assert "length limit exceeded" in answer.json()["error"]["message"]
                assert (await client.request("GET", "/health")).body == b"OK"
            await nothing_left(gateway)
        assert worker.requests == []


async def test_a_much_larger_body_is_refused_before_it_comes() -> None:
    async with Gateway(max_payload_size=SMALL) as gateway, await gateway.connect() as client:
        await client.send(sized(10_000_000))
        answer = await client.answer()
        assert answer.status == 413
        assert answer.header("connection") == "close"
        # what still comes is not taken for a request
        await client.send(request_bytes("GET", "/health"))
        assert await client.read_to_end() == b""


async def test_a_client_that_sends_on_still_gets_its_413() -> None:
    async with Gateway(max_payload_size=SMALL) as gateway, await gateway.connect() as client:
        try:
            await client.send(sized(1_000_000, b"x" * 1_000_000))
        except ConnectionError as error:
            raise AssertionError("reset while sending") from error
        assert (await client.answer()).status == 413
        assert await client.read_to_end() == b""


@pytest.mark.parametrize("pieces", [[b"x" * 600, b"y" * 600], [b"x" * 5000]])
async def test_a_chunked_body_over_the_limit(pieces: list[bytes]) -> None:
    async with RawServer() as worker:
        async with Gateway(worker_urls=[worker.url], max_payload_size=SMALL) as gateway:
            async with await gateway.connect() as client:
                wire = request_bytes("POST", CHAT, chunks=pieces)
                await client.send(wire[: -len(b"0\r\n\r\n")])  # never ended
                answer = await client.answer()
                assert answer.status == 413
                assert answer.header("connection") == "close"
                assert await client.read_to_end() == b""
            await nothing_left(gateway)
        assert worker.requests == []


async def test_a_chunked_body_of_exactly_the_limit_passes() -> None:
    body = filled(SMALL)
    async with RawServer() as worker:
        async with Gateway(worker_urls=[worker.url], max_payload_size=SMALL) as gateway:
            async with await gateway.connect() as client:
                headers = {"Content-Type": "application/json"}
                await client.send(
                    request_bytes("POST", CHAT, chunks=[body[:400], body[400:]], headers=headers)
                )
                assert (await client.answer()).status == 200
        assert worker.requests[0].body == body


async def test_too_many_headers() -> None:
    async with Gateway() as gateway:
        most = {f"X-{number}": "1" for number in range(127)}  # and Host
        assert (await gateway.get("/health", most)).status == 200
        answer = await gateway.get("/health", {**most, "X-Last": "1"})
        assert answer.status == 431
        assert error_of(answer.body)["code"] == "headers_too_large"
        assert answer.header("connection") == "close"


async def test_a_head_that_is_too_large() -> None:
    async with Gateway() as gateway:
        assert (await gateway.get("/health", {"X-A": "a" * 65_000})).status == 200
        answer = await gateway.get("/health", {"X-A": "a" * 65_600})
        assert answer.status == 431
        assert answer.header("connection") == "close"


async def test_a_head_that_never_ends() -> None:
    async with Gateway() as gateway, await gateway.connect() as client:
        await client.send(b"GET /health HTTP/1.1\r\nHost: x\r\n")
        line = b"X-A: " + b"a" * 990 + b"\r\n"
        await client.send(line * 70)
        assert (await client.answer()).status == 431
        assert await client.read_to_end() == b""


async def test_a_head_of_the_largest_size_behind_a_large_body() -> None:
    """The size of one request never counts against the next."""
    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        async with await gateway.connect() as client:
            body = filled(200_000)
            await client.send(sized(len(body), body) + chat_request())
            assert (await client.answer()).status == 200
            assert (await client.answer()).status == 200


async def test_a_target_that_is_too_long() -> None:
    async with Gateway() as gateway:
        assert (await gateway.get("/health?" + "a" * 16_370)).status == 200
        answer = await gateway.get("/health?" + "a" * 16_400)
        assert answer.status == 414
        assert error_of(answer.body)["code"] == "uri_too_long"
        assert answer.header("connection") == "close"


# -- time -----------------------------------------------------------------------------------------


async def test_a_head_that_stalls_is_408() -> None:
    async with Gateway(header_read_timeout_secs=0.3) as gateway:
        async with await gateway.connect() as client:
            await client.send(b"GET /health HTTP/1.1\r\nHo")
            answer = await client.answer()
            assert answer.status == 408
            assert answer.header("connection") == "close"
            assert await client.read_to_end() == b""
        await nothing_left(gateway)


async def test_a_head_that_drips_is_408_all_the_same() -> None:
    async with Gateway(header_read_timeout_secs=0.3) as gateway, await gateway.connect() as client:
        head = b"GET /health HTTP/1.1\r\nX-A: " + b"a" * 10_000
        dripping = asyncio.ensure_future(client.send_in_pieces(head, 1, 0.01))
        assert (await client.answer()).status == 408
        dripping.cancel()
        await asyncio.gather(dripping, return_exceptions=True)


async def test_a_second_head_that_stalls_is_408() -> None:
    async with Gateway(header_read_timeout_secs=0.3) as gateway, await gateway.connect() as client:
        await client.request("GET", "/health")
        await client.send(b"GET /hea")
        assert (await client.answer()).status == 408


async def test_a_second_head_begun_in_the_first_segment_may_not_stall_either() -> None:
    async with Gateway(header_read_timeout_secs=0.3, idle_connection_timeout_secs=0.6) as gateway:
        async with await gateway.connect() as client:
            await client.send(request_bytes("GET", "/health") + b"GET /hea")
            assert (await client.answer()).body == b"OK"
            assert await client.ended() == "eof"


async def test_a_connection_that_says_nothing_is_closed_silently() -> None:
    async with Gateway(header_read_timeout_secs=0.3) as gateway, await gateway.connect() as client:
        assert await client.read_to_end() == b""


async def test_an_idle_kept_connection_is_closed_silently() -> None:
    async with Gateway(idle_connection_timeout_secs=0.3) as gateway:
        async with await gateway.connect() as client:
            await client.request("GET", "/health")
            assert await client.read_to_end() == b""
        await nothing_left(gateway)


async def test_waiting_for_an_answer_is_not_idleness() -> None:
    limits: dict[str, Any] = {"idle_connection_timeout_secs": 0.3, "header_read_timeout_secs": 0.3}

    async def script(peer: Peer) -> None:
        await peer.read_request()
        # One idle connection is closed meanwhile, so both limits have passed for this one too.
        async with await gateway.connect() as other:
            await other.request("GET", "/health")
            assert await other.read_to_end() == b""
        await peer.respond(200, {})

    async with RawServer(script) as worker:
        gateway = Gateway(worker_urls=[worker.url], stream_body_stall_timeout_secs=0.3, **limits)
        async with gateway:
            assert (await gateway.post(CHAT, chat())).status == 200


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_that_stalls_is_408(chunked: bool) -> None:
    body = filled(500)
    if chunked:
        wire = request_bytes("POST", CHAT, chunks=[body])[:-20]
    else:
        wire = sized(len(body), body)[:-20]
    async with RawServer() as worker:
        config: dict[str, Any] = {
            "worker_urls": [worker.url],
            "stream_body_stall_timeout_secs": 0.3,
        }
        async with Gateway(**config) as gateway:
            async with await gateway.connect() as client:
                await client.send(wire)
                answer = await client.answer()
                assert answer.status == 408
                assert error_of(answer.body)["code"] == "request_body_stalled"
                assert answer.header("connection") == "close"
                assert answer.header("x-request-id")
                assert await client.read_to_end() == b""
            await nothing_left(gateway)
        assert worker.requests == []


async def test_a_body_behind_a_slow_request_is_not_stalled_once_it_is_complete() -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        async with await gateway.connect() as other:  # outlasts the limit
            await other.send(sized(100))
            assert (await other.answer()).status == 408
        await peer.respond(200, {"n": 1})
        await peer.read_request()
        await peer.respond(200, {"n": 2})

    async with RawServer(script) as worker:
        gateway = Gateway(worker_urls=[worker.url], stream_body_stall_timeout_secs=0.3)
        async with gateway, await gateway.connect() as client:
            wire = chat_request(n=1) + chat_request(n=2)
            await client.send(wire[:-5])
            await worker.request(0)
            await client.send(wire[-5:])
            assert (await client.answer()).json() == {"n": 1}
            assert (await client.answer()).json() == {"n": 2}


async def test_a_client_that_never_reads_its_refusal_is_let_go() -> None:
    """The linger after a refusal is bounded, also when the client keeps its side open."""
    async with Gateway() as gateway:
        gateway.server.linger_deadlines.seconds = 0.3
        async with await gateway.connect() as client:
            await client.send(b"GARBAGE\r\n\r\n")
            await nothing_left(gateway)
            assert client.socket.fileno() >= 0
