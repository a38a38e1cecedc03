"""Which header reaches a worker, and which comes back."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.doubles.gateway import Gateway
from tests.doubles.raw_client import RawClient, request_bytes
from tests.doubles.raw_server import Peer, RawServer, Script, echo_chat
from tests.doubles.traffic import CHAT, MESSAGES, RESPONSES, chat, streaming

ALWAYS = {"host", "content-type", "content-length", "x-request-id"}


def names(headers: list[tuple[str, str]]) -> list[str]:
    return sorted(name for name, _ in headers)


def answering(raw: bytes) -> Script:
    async def script(peer: Peer) -> None:
        while True:
            await peer.read_request()
            await peer.send(raw)

    return script


async def test_the_worker_sees_only_the_allowed_headers() -> None:
    sent = {
        "X-Correlation-Id": "corr",
        "Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "Tracestate": "a=b",
        "X-SMG-Routing-Key": "key",
        "X-Request-Id-Foo": "foo",
        "X-Request-Id": "mine",
        "Authorization": "Bearer caller",
        # dropped from here on
        "Cookie": "a=b",
        "Accept": "text/html",
        "Accept-Encoding": "gzip",
        "User-Agent": "test",
        "X-Custom": "1",
        "X-Forwarded-For": "1.2.3.4",
        "X-SMG-Routing-Tokens": "1,2",
        "X-SMG-Priority": "bulk",
        "X-SMG-Tenant-Id": "t",
        "X-Api-Key": "k",
        "Keep-Alive": "timeout=5",
        "TE": "trailers",
        "Connection": "keep-alive, X-Correlation-Id",
        "Proxy-Authorization": "Basic x",
        "Expect": "100-continue",
        "Content-Encoding": "identity",
    }
    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        assert (await gateway.post(CHAT, chat(), sent)).status == 200
        (request,) = worker.requests
        allowed = {"x-correlation-id", "traceparent", "tracestate", "x-smg-routing-key"}
        allowed |= {"x-request-id-foo", "authorization"}
        assert names(request.headers) == sorted(ALWAYS | allowed)
        for name, value in sent.items():
            if name.lower() in allowed | {"x-request-id"}:
                assert request.header(name.lower()) == value
        assert request.header("host") == f"127.0.0.1:{worker.port}"
        assert request.header("content-type") == "application/json"
        assert request.version == "HTTP/1.1"


async def test_more_headers_are_forwarded_when_the_operator_says_so() -> None:
    extra = ("X-Custom", "Host", "Content-Length", "Transfer-Encoding", "Connection")
    async with RawServer() as worker:
        config: dict[str, Any] = {"worker_urls": [worker.url], "forward_request_headers": extra}
        async with Gateway(**config) as gateway:
            headers = [("X-Custom", "1"), ("x-custom", "2"), ("X-Other", "3")]
            assert (await gateway.post(CHAT, chat(), headers)).status == 200
        request = worker.requests[0]
        assert [value for name, value in request.headers if name == "x-custom"] == ["1", "2"]
        assert names(request.headers) == sorted([*ALWAYS, "x-custom", "x-custom"])
        assert request.header("host") == f"127.0.0.1:{worker.port}"


@pytest.mark.parametrize(
    ("path", "body", "prefix"),
    [
        (CHAT, chat(), "chatcmpl-"),
        ("/v1/completions", {"model": "test-model", "prompt": "hi"}, "cmpl-"),
        ("/generate", {"text": "hi"}, "gnt-"),
        ("/v1/embeddings", {"model": "test-model", "input": "hi"}, "req-"),
        (RESPONSES, streaming(RESPONSES), "resp-"),
        (MESSAGES, streaming(MESSAGES), "msg_"),
    ],
)
async def test_a_generated_id_reaches_client_and_worker(
    path: str, body: dict[str, object], prefix: str
) -> None:
    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        answer = await gateway.post(path, body)
        assert answer.status == 200
        request_id = answer.header("x-request-id")
        assert re.fullmatch(prefix + "[A-Za-z0-9]{24}", request_id or "")
        assert worker.requests[0].header("x-request-id") == request_id


async def test_generated_ids_differ() -> None:
    async with Gateway() as gateway, await gateway.connect() as client:
        answers = [await client.request("GET", "/health") for _ in range(50)]
        assert len({answer.header("x-request-id") for answer in answers}) == 50


@pytest.mark.parametrize(
    ("headers", "effective"),
    [
        ([("X-Request-Id", "abc")], "abc"),
        ([("X-Correlation-Id", "c1")], "c1"),
        ([("Request-Id", "r"), ("X-Trace-Id", "t")], "t"),
        ([("Request-Id", "r"), ("X-Request-Id", "x"), ("X-Trace-Id", "t")], "x"),
        ([("X-Request-Id", "x" * 256)], "x" * 256),
        ([("X-Request-Id", "x" * 257), ("X-Trace-Id", "t")], "t"),
        ([("X-Request-Id", ""), ("X-Trace-Id", "t")], "t"),
        ([("X-Request-Id", "caf\xe9"), ("X-Trace-Id", "t")], "t"),
        ([("X-Request-Id", "first"), ("X-Request-Id", "second")], "first"),
        ([("X-Request-Id", "x" * 257)], None),
    ],
)
async def test_which_request_id_counts(
    headers: list[tuple[str, str]], effective: str | None
) -> None:
    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        answer = await gateway.post(CHAT, chat(), headers)
        echoed = answer.header("x-request-id") or ""
        assert echoed == effective or (effective is None and echoed.startswith("chatcmpl-"))
        seen = [v for n, v in worker.requests[0].headers if n == "x-request-id"]
        assert seen == [echoed]


async def test_configured_request_id_headers() -> None:
    async with Gateway(request_id_headers=("X-My-Id",)) as gateway:
        answer = await gateway.get("/health", {"X-My-Id": "mine", "X-Request-Id": "other"})
        assert answer.header("x-request-id") == "mine"


async def test_response_headers_come_through_as_they_are() -> None:
    raw = (
        b"HTTP/1.1 200 Fine\r\nContent-Type: application/json\r\nSet-Cookie: a=1\r\n"
        b"Set-Cookie: b=2\r\nX-Odd_Name: \xe9 value\r\nContent-Length: 2\r\nX-Empty:\r\n"
        b"Content-Encoding: gzip\r\nVary: *\r\n\r\n{}"
    )
    async with RawServer(answering(raw)) as worker, Gateway(worker_urls=[worker.url]) as gateway:
        answer = await gateway.post(CHAT, chat())
        cookies = [value for name, value in answer.head.headers if name == "set-cookie"]
        assert cookies == ["a=1", "b=2"]
        assert answer.header("x-odd_name") == "\xe9 value"
        assert answer.header("x-empty") == ""
        assert answer.header("content-encoding") == "gzip"
        assert answer.header("vary") == "*"
        assert answer.header("content-length") == "2"
        assert answer.body == b"{}"


async def test_hop_by_hop_headers_end_at_the_gateway() -> None:
    hop = {
        "Connection": "keep-alive",
        "Keep-Alive": "timeout=5",
        "Proxy-Authenticate": "Basic",
        "Proxy-Authorization": "x",
        "Proxy-Connection": "keep-alive",
        "TE": "trailers",
        "Trailer": "X-A",
        "Trailers": "X-A",
        "Upgrade": "h2c",
        "Host": "worker",
    }

    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.respond(200, {}, {**hop, "X-Kept": "1"})

    async with RawServer(script) as worker, Gateway(worker_urls=[worker.url]) as gateway:
        answer = await gateway.post(CHAT, chat())
        assert answer.header("x-kept") == "1"
        got = [name for name, _ in answer.head.headers]
        assert not set(got) & {name.lower() for name in hop}, got


@pytest.mark.parametrize("stream", [False, True])
async def test_our_own_headers_cannot_be_forged_by_a_worker(stream: bool) -> None:
    forged = {"X-SMG-Routed-Worker-Id": "http://evil", "X-Request-Id": "evil"}

    async def script(peer: Peer) -> None:
        await peer.read_request()
        content_type = "text/event-stream" if stream else "application/json"
        await peer.respond(200, b"data: 1\n\n", forged, content_type=content_type)

    async with RawServer(script) as worker, Gateway(worker_urls=[worker.url]) as gateway:
        answer = await gateway.post(CHAT, chat(stream=stream), {"X-Request-Id": "mine"})
        headers = answer.head.headers
        assert [v for n, v in headers if n == "x-smg-routed-worker-id"] == [worker.url]
        assert [v for n, v in headers if n == "x-request-id"] == ["mine"]
        assert (answer.header("x-accel-buffering") == "no") is stream


async def test_every_answer_has_exactly_one_of_the_framing_headers() -> None:
    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        for target, body in (("/health", None), (CHAT, chat()), ("/nope", None), (CHAT, b"{")):
            answer = await gateway.request("POST" if body else "GET", target, body)
            got = [name for name, _ in answer.head.headers]
            assert got.count("content-length") + got.count("transfer-encoding") == 1
            assert got.count("x-request-id") == 1


async def test_header_names_in_any_case_are_equal() -> None:
    async with RawServer(echo_chat) as worker, Gateway(worker_urls=[worker.url]) as gateway:
        async with await RawClient.connect(gateway.port) as client:
            wire = request_bytes("POST", CHAT, chat(), {"X-ReQuEsT-iD": "a"})
            await client.send(wire.replace(b"Content-Length", b"cOnTeNt-LeNgTh"))
            assert (await client.answer()).header("x-request-id") == "a"
