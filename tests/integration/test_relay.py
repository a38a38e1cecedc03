"""The relay when nothing goes wrong: bytes through, in any framing, at once."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import pytest

from tests.doubles.gateway import Gateway
from tests.doubles.raw_client import Answer, RawClient, encode_chunks, request_bytes
from tests.doubles.raw_server import Peer, RawServer, Script
from tests.doubles.traffic import CHAT, chat, error_of, hides_workers, nothing_left, send_chat

PIECES = [b'data: {"a": 1}\n\n', b"data: {", b'"b": 2}\n\ndata: [DO', b"NE]\n\n"]
PAYLOAD = b"".join(PIECES)

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-A: 1\r\n"
CHUNKED = _HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + encode_chunks(PIECES)
SIZED = _HEAD + b"Content-Length: %d\r\n\r\n" % len(PAYLOAD) + PAYLOAD
UNTIL_CLOSE = _HEAD + b"\r\n" + PAYLOAD
OLD = UNTIL_CLOSE.replace(b"HTTP/1.1", b"HTTP/1.0")
ODD_CHUNKS = (
    _HEAD
    + b"transfer-encoding:Chunked\r\n\r\n"
    + b"".join(b"%04X;x=y\r\n%b\r\n" % (len(piece), piece) for piece in PIECES)
    + b"000\r\nX-Trailer: 1\r\n\r\n"
)
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + CHUNKED
FRAMINGS = {
    "chunked": CHUNKED,
    "sized": SIZED,
    "until close": UNTIL_CLOSE,
    "HTTP/1.0": OLD,
    "odd chunks": ODD_CHUNKS,
    "interim": INTERIM,
}


def sends(raw: bytes, *, close: bool) -> Script:
    async def script(peer: Peer) -> None:
        while True:
            await peer.read_request()
            await peer.send(raw)
            if close:
                peer.close()
                return

    return script


def ends_by_close(raw: bytes) -> bool:
    return raw in (UNTIL_CLOSE, OLD)


# -- request bytes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"test-model","messages":[{"role":"user","content":"hi"}]}',
        b' \n{ "messages" : [{"role":"user","content":"\\u00e9\xc3\xa9"}],\n'
        b'"model":"test-model" } ',
        b'{"model":"test-model","messages":[{"role":"user","content":"a"}],"temperature":0.7000,'
        b'"x":1e40,"unknown":{"deep":[null,1.0,12345678901234567890]}}',
        b'{"model":"test-model","messages":[{"role":"user","content":"' + b"x" * 300_000 + b'"}]}',
    ],
)
async def test_the_body_reaches_the_worker_byte_for_byte(body: bytes) -> None:
    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        answer = await gateway.post(CHAT, body, {"Content-Type": "application/json"})
        assert answer.status == 200
        assert worker.requests[0].body == body
        assert worker.requests[0].header("content-length") == str(len(body))


async def test_the_query_string_is_forwarded() -> None:
    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        for query in ("?a=b&c=%20d", "?a=b?c=d", "?"):
            assert (await gateway.post(CHAT + query, chat())).status == 200
        targets = [request.target for request in worker.requests]
        assert targets == [f"{CHAT}?a=b&c=%20d", f"{CHAT}?a=b?c=d", CHAT]


class BelowBase(RawServer):
    """A worker whose routes stand below `/base`."""

    @property
    def _probes(self) -> dict[str, Any]:
        return {f"/base{path}": answer for path, answer in super()._probes.items()}


async def test_a_worker_below_a_path() -> None:
    for server, suffix, target in (
        (RawServer(), "/v1", CHAT),
        (RawServer(), "/", CHAT),
        (BelowBase(), "/base/", f"/base{CHAT}"),
    ):
        async with server as worker, Gateway(worker_urls=[worker.url + suffix]) as gateway:
            assert (await gateway.post(CHAT, chat())).status == 200
            assert worker.requests[0].target == target


async def test_kept_connections_are_used_again() -> None:
    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        before = len(worker.connections)
        for _ in range(10):
            assert (await gateway.post(CHAT, chat())).status == 200
        assert len(worker.connections) <= before + 1


# -- framings -------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("name", FRAMINGS)
async def test_every_framing_reaches_every_client(name: str, version: str) -> None:
    raw = FRAMINGS[name]
    async with RawServer(sends(raw, close=ends_by_close(raw))) as worker:
        async with Gateway(worker_urls=[worker.url]) as gateway:
            async with await gateway.connect() as client:
                answer = await client.request("POST", CHAT, chat(), version=version)
                assert answer.status == 200
                assert answer.body == PAYLOAD
                assert answer.header("x-a") == "1"
                assert answer.header("link") is None
                if version == "1.0":
                    assert not answer.head.chunked
                    assert await client.read_to_end() == b""
                else:
                    assert answer.head.chunked == (name != "sized")
                    assert (await client.request("GET", "/health")).body == b"OK"
            await nothing_left(gateway)


@pytest.mark.parametrize("name", FRAMINGS)
@pytest.mark.parametrize("version", ["1.1", "1.0"])
async def test_any_cut_of_the_workers_bytes_gives_the_same_answer(name: str, version: str) -> None:
    """The answer is injected into the upstream connection in two pieces, at every cut."""
    raw = FRAMINGS[name]
    last = 0

    async def script(peer: Peer) -> None:
        while True:
            await peer.read_request()
            if ends_by_close(raw):
                # the end is ours, the bytes are injected
                await asyncio.get_running_loop().create_future()

    async with RawServer(script) as worker, Gateway(worker_urls=[worker.url]) as gateway:
        answers = []
        client = await gateway.connect()
        for cut in range(1, len(raw)):
            if version == "1.0" and cut > 1:
                client.close()
                client = await gateway.connect()
            await client.send(request_bytes("POST", CHAT, chat(), version=version))
            await worker.request(last)
            last += 1
            (conn,) = _busy(gateway)
            conn.data_received(raw[:cut])
            if conn.user is not None:
                conn.data_received(raw[cut:])
            if ends_by_close(raw):
                worker.connections[-1].close()
            answer = await client.answer()
            headers = [h for h in answer.head.headers if h[0] != "x-request-id"]
            answers.append((answer.status, headers, answer.body))
        client.close()
        assert answers[0][2] == PAYLOAD
        assert all(answer == answers[0] for answer in answers)
        await nothing_left(gateway)


def _busy(gateway: Gateway) -> list[Any]:
    pools = gateway.upstream._pools.values()
    return [conn for pool in pools for conn in pool.connections if conn.user is not None]


async def test_an_answer_that_comes_byte_by_byte() -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        for start in range(len(ODD_CHUNKS)):
            await peer.send(ODD_CHUNKS[start : start + 1])
            await asyncio.sleep(0)

    async with RawServer(script) as worker, Gateway(worker_urls=[worker.url]) as gateway:
        answer = await gateway.post(CHAT, chat())
        assert answer.body == PAYLOAD
        await nothing_left(gateway)


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("framing", ["chunked", "until close", "sized"])
async def test_every_piece_is_relayed_at_once(framing: str, version: str) -> None:
    """The worker sends piece k+1 only after the client has seen piece k."""
    seen: asyncio.Queue[bytes] = asyncio.Queue()

    async def script(peer: Peer) -> None:
        await peer.read_request()
        head = _HEAD
        if framing == "chunked":
            head += b"Transfer-Encoding: chunked\r\n"
        elif framing == "sized":
            head += b"Content-Length: 160\r\n"
        await peer.send(head + b"\r\n")
        assert await seen.get() == b"head"
        for number in range(20):
            piece = b"data: %d\n" % (number % 10)
            await (peer.send_chunk(piece) if framing == "chunked" else peer.send(piece))
            assert await seen.get() == piece
        if framing == "chunked":
            await peer.send(b"0\r\n\r\n")
        elif framing == "until close":
            peer.close()

    async with RawServer(script) as worker, Gateway(worker_urls=[worker.url]) as gateway:
        async with await gateway.connect() as client:
            await client.send(request_bytes("POST", CHAT, chat(stream=True), version=version))
            head = await client.read_head()
            seen.put_nowait(b"head")
            for _ in range(20):
                seen.put_nowait(
                    await client.read_chunk() if head.chunked else await client.read_exactly(8)
                )
            if head.chunked:
                assert await client.read_chunk() == b""
        await nothing_left(gateway)


@pytest.mark.parametrize("status", [204, 304])
async def test_answers_without_a_body(status: int) -> None:
    async def script(peer: Peer) -> None:
        while True:
            await peer.read_request()
            await peer.send(b"HTTP/1.1 %d X\r\nETag: a\r\n\r\n" % status)

    async with RawServer(script) as worker, Gateway(worker_urls=[worker.url]) as gateway:
        async with await gateway.connect() as client:
            for _ in range(3):
                answer = await client.request("POST", CHAT, chat())
                assert (answer.status, answer.body) == (status, b"")
                assert answer.header("etag") == "a"
                assert answer.header("transfer-encoding") is None
                if status == 204:
                    assert answer.header("content-length") is None
            assert (await client.request("GET", "/health")).body == b"OK"
        assert len({peer.number for peer in worker.connections if peer.requests}) == 1
        await nothing_left(gateway)


async def test_an_empty_answer_in_each_framing() -> None:
    for raw in (
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
    ):
        close = raw.endswith(b"OK\r\n\r\n")
        async with RawServer(sends(raw, close=close)) as worker:
            async with Gateway(worker_urls=[worker.url]) as gateway:
                for version in ("1.1", "1.0"):
                    async with await gateway.connect() as client:
                        answer = await client.request("POST", CHAT, chat(), version=version)
                        assert (answer.status, answer.body) == (200, b"")
                await nothing_left(gateway)


# -- statuses and contents ------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 404, 413, 422, 429, 500, 501, 503, 599])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_workers_error_passes_through(status: int, stream: bool) -> None:
    body = {"error": {"message": "the worker's own words", "code": status}}

    async def script(peer: Peer) -> None:
        while True:
            await peer.read_request()
            await peer.respond(status, body, {"Retry-After": "7", "X-Worker": "1"})

    async with RawServer(script) as worker, Gateway(worker_urls=[worker.url]) as gateway:
        answer = await gateway.post(CHAT, chat(stream=stream))
        assert answer.status == status
        assert answer.json() == body
        assert answer.header("content-type") == "application/json"
        assert answer.header("retry-after") == "7"
        assert answer.header("x-worker") == "1"
        assert answer.header("x-smg-routed-worker-id") == worker.url
        assert answer.header("x-smg-error-code") is None
        assert len(worker.requests) == 1
        await nothing_left(gateway)


async def test_redirects_are_relayed_and_not_followed() -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.respond(307, b"", {"Location": "http://elsewhere.test/"})

    async with RawServer(script) as worker, Gateway(worker_urls=[worker.url]) as gateway:
        answer = await gateway.post(CHAT, chat())
        assert answer.status == 307
        assert answer.header("location") == "http://elsewhere.test/"
        assert len(worker.requests) == 1


async def test_compressed_answers_pass_as_they_are() -> None:
    packed = gzip.compress(b'{"a": 1}' * 100)

    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.respond(200, packed, {"Content-Encoding": "gzip"})

    async with RawServer(script) as worker, Gateway(worker_urls=[worker.url]) as gateway:
        answer = await gateway.post(CHAT, chat())
        assert answer.header("content-encoding") == "gzip"
        assert answer.body == packed


@pytest.mark.parametrize("framing", ["sized", "chunked", "until close"])
@pytest.mark.parametrize("version", ["1.1", "1.0"])
async def test_a_big_answer(framing: str, version: str) -> None:
    block = bytes(range(256)) * 256
    blocks = 256  # 16 MiB

    async def script(peer: Peer) -> None:
        await peer.read_request()
        head = b"HTTP/1.1 200 OK\r\n"
        if framing == "sized":
            head += b"Content-Length: %d\r\n" % (len(block) * blocks)
        elif framing == "chunked":
            head += b"Transfer-Encoding: chunked\r\n"
        await peer.send(head + b"\r\n")
        for _ in range(blocks):
            await (peer.send_chunk(block) if framing == "chunked" else peer.send(block))
        if framing == "chunked":
            await peer.send(b"0\r\n\r\n")
        elif framing == "until close":
            peer.close()

    async with RawServer(script) as worker, Gateway(worker_urls=[worker.url]) as gateway:
        async with await gateway.connect() as client:
            answer = await client.request("POST", CHAT, chat(), version=version)
        assert answer.body == block * blocks
        await nothing_left(gateway)


async def test_a_big_request() -> None:
    text = "x" * 16_000_000
    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        assert (await gateway.post(CHAT, chat(text=text))).status == 200
        assert worker.requests[0].json()["text"] == text
        await nothing_left(gateway)


async def test_many_streams_at_once_do_not_mix() -> None:
    async def script(peer: Peer) -> None:
        while True:
            number = (await peer.read_request()).json()["seed"]
            await peer.start_stream()
            for step in range(20):
                await peer.send_event(f"{number}:{step}")
                await asyncio.sleep(0)
            await peer.end_stream()

    async with RawServer(script) as worker, Gateway(worker_urls=[worker.url]) as gateway:

        async def one(number: int) -> None:
            answer = await gateway.post(CHAT, chat(stream=True, seed=number))
            assert answer.events() == [f"{number}:{step}" for step in range(20)] + ["[DONE]"]

        await asyncio.gather(*(one(number) for number in range(60)))
        await nothing_left(gateway)


async def test_content_that_looks_like_framing_or_an_end_passes() -> None:
    tricky = [b"data: [DONE]\n\n", b"0\r\n\r\n", b"HTTP/1.1 500 X\r\n\r\n", b"\r\n\r\n5\r\n", b"x"]

    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.start_stream()
        for piece in tricky:
            await peer.send_chunk(piece)
        await peer.send(b"0\r\n\r\n")

    async with RawServer(script) as worker, Gateway(worker_urls=[worker.url]) as gateway:
        answer = await gateway.post(CHAT, chat(stream=True))
        assert answer.body == b"".join(tricky)


async def test_pipelined_requests_behind_a_stream() -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.start_stream()
        await peer.send_event("a")
        await peer.end_stream()

    async with RawServer(script) as worker, Gateway(worker_urls=[worker.url]) as gateway:
        async with await gateway.connect() as client:
            await send_chat(client, stream=True)
            await client.send(request_bytes("GET", "/health"))
            assert (await client.answer()).events() == ["a", "[DONE]"]
            assert (await client.answer()).body == b"OK"


# -- rerank ---------------------------------------------------------------------------------------

RERANK = {"model": "test-model", "query": "q", "documents": ["a", "b", "c"]}


async def rerank(raw: bytes | list[Any] | dict[str, Any], body: dict[str, Any]) -> Answer:
    data = raw if isinstance(raw, bytes) else json.dumps(raw).encode()
    wire = b"HTTP/1.1 200 OK\r\nX-Worker: 1\r\nContent-Length: %d\r\n\r\n" % len(data) + data

    async with RawServer(sends(wire, close=False)) as worker:
        async with Gateway(worker_urls=[worker.url]) as gateway:
            answer = await gateway.post("/rerank", body)
            assert worker.requests[0].target == "/v1/rerank"
            assert hides_workers(answer.head.raw + answer.body, worker)
            await nothing_left(gateway)
            return answer


async def test_rerank_answers_are_reshaped() -> None:
    replies = [{"score": 0.1, "index": 1, "document": "b"}, {"score": 0.9, "index": 0}]
    answer = await rerank(replies, {**RERANK, "rid": "my-id"})
    assert answer.status == 200
    data = answer.json()
    created = data.pop("created")
    assert isinstance(created, int)
    assert data == {
        "results": [{"score": 0.1, "document": "b", "index": 1}, {"score": 0.9, "index": 0}],
        "model": "test-model",
        "usage": None,
        "object": "rerank",
        "id": "my-id",
    }
    assert answer.header("x-worker") is None
    answer = await rerank(replies, {**RERANK, "top_k": 1, "return_documents": False})
    assert answer.json()["results"] == [{"score": 0.1, "index": 1}]


@pytest.mark.parametrize("raw", [b"", b"{", b'{"a": 1}', b'"text"', b"[1]", b'[{"score": 1}]'])
async def test_a_rerank_answer_that_makes_no_sense(raw: bytes) -> None:
    answer = await rerank(raw, RERANK)
    assert answer.status == 500
    assert error_of(answer.body)["code"] == "rerank_response_build_failed"


async def test_a_rerank_error_of_the_worker_passes_through() -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.respond(422, {"detail": "no"})

    async with RawServer(script) as worker, Gateway(worker_urls=[worker.url]) as gateway:
        answer = await gateway.post("/rerank", RERANK)
        assert (answer.status, answer.json()) == (422, {"detail": "no"})


async def test_a_chunked_rerank_answer_is_collected() -> None:
    reply = json.dumps([{"score": 1, "index": 0}]).encode()
    wire = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + encode_chunks(
        [reply[:3], reply[3:10], reply[10:]]
    )
    async with RawServer(sends(wire, close=False)) as worker:
        async with Gateway(worker_urls=[worker.url]) as gateway:
            async with await RawClient.connect(gateway.port) as client:
                for _ in range(3):
                    answer = await client.request("POST", "/rerank", RERANK)
                    assert answer.json()["results"] == [{"score": 1, "index": 0}]
            await nothing_left(gateway)
