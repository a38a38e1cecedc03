"""The worker fails after its head: an error frame where one fits, else broken framing. Never a
clean end without one.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.doubles.gateway import Gateway
from tests.doubles.raw_client import ClosedEarly, RawClient, request_bytes
from tests.doubles.raw_server import STREAM_HEAD, Peer, RawServer, Script
from tests.doubles.traffic import (
    CHAT,
    MESSAGES,
    RESPONSES,
    chat,
    hides_workers,
    nothing_left,
    send_chat,
    streaming,
    until,
)

CUT = "upstream_stream_cut"
TIMEOUT = "upstream_stream_timeout"
FRAME = b'data: {"n": 1}\n\n'
CHUNK = b"%x\r\n%b\r\n" % (len(FRAME), FRAME)
UNTIL_CLOSE_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


def stream_of(raw: bytes, how: str) -> Script:
    """Sends `raw` after a request and leaves; `stay` leaves it to the gateway."""

    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(raw)
        if how == "close":
            peer.close()
        elif how == "reset":
            await until(lambda: _relayed(peer))
            peer.reset()
        else:
            await peer.finished.wait()

    return script


def _relayed(peer: Peer) -> bool:
    """The kernel took everything and the other side has it: a reset destroys nothing."""
    import fcntl
    import struct
    import termios

    sock = peer.transport.get_extra_info("socket")
    left = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
    return peer.unsent == 0 and struct.unpack("i", left)[0] == 0


async def collect(client: RawClient) -> tuple[bytes, str]:
    """The body of a streamed answer, and how it ended: clean, eof or reset."""
    head = await client.read_head()
    assert head.status == 200
    try:
        return await client.read_body(head), "clean"
    except ClosedEarly as error:
        return error.partial, "eof"
    except ConnectionResetError:
        return bytes(client.buffer), "reset"


def error_event(body: bytes, path: str) -> dict[str, object]:
    """The error frame after the first frame, checked for its form; its error object."""
    assert body.startswith(FRAME)
    rest = body[len(FRAME) :]
    if path == MESSAGES:
        assert rest.startswith(b"event: error\ndata: ")
        assert rest.endswith(b"\n\n")
        assert b"[DONE]" not in rest
        data = json.loads(rest[len(b"event: error\ndata: ") :])
        assert data["type"] == "error"
        return dict(data["error"])
    assert rest.endswith(b"\n\ndata: [DONE]\n\n")
    rest = rest[: -len(b"\n\ndata: [DONE]\n\n")]
    if path == RESPONSES:
        assert rest.startswith(b"event: error\ndata: ")
        data = json.loads(rest[len(b"event: error\ndata: ") :])
        assert data["type"] == "error"
        return dict(data)
    assert rest.startswith(b"data: ")
    data = json.loads(rest[len(b"data: ") :])
    assert data["error"]["type"] == "server_error"
    return dict(data["error"])


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("path", [CHAT, "/v1/completions", "/generate", MESSAGES, RESPONSES])
@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_cut_between_two_frames_ends_in_an_error_frame(
    how: str, path: str, version: str
) -> None:
    body = streaming(path)
    if path == "/v1/completions":
        body = {"model": "test-model", "prompt": "hi", "stream": True}
    elif path == "/generate":
        body = {"text": "hi", "stream": True}
    async with RawServer(stream_of(STREAM_HEAD + CHUNK, how)) as worker:
        async with Gateway(worker_urls=[worker.url]) as gateway:
            async with await gateway.connect() as client:
                await client.send(request_bytes("POST", path, body, version=version))
                data, end = await collect(client)
                assert end == "clean"
                error = error_event(data, path)
                if path != MESSAGES:
                    assert error["code"] == CUT
                assert hides_workers(data, worker)
                if version == "1.1":  # the connection is sound
                    assert (await client.request("GET", "/health")).body == b"OK"
            samples = await gateway.metrics()
            assert samples.value("smg_upstream_streams_cut_total", reason=CUT) == 1
            assert len(worker.requests) == 1
            await nothing_left(gateway)


async def test_a_cut_before_the_first_frame_ends_in_an_error_frame() -> None:
    async with RawServer(stream_of(STREAM_HEAD, "close")) as worker:
        async with Gateway(worker_urls=[worker.url]) as gateway:
            answer = await gateway.post(CHAT, chat(stream=True))
            assert json.loads(answer.events()[0])["error"]["code"] == CUT
            assert answer.events()[1:] == ["[DONE]"]
            await nothing_left(gateway)


async def test_a_cut_until_close_stream_that_is_reset() -> None:
    async with RawServer(stream_of(UNTIL_CLOSE_HEAD + FRAME, "reset")) as worker:
        async with Gateway(worker_urls=[worker.url]) as gateway:
            async with await gateway.connect() as client:
                await send_chat(client, stream=True)
                data, end = await collect(client)
                assert end == "clean"
                assert error_event(data, CHAT)["code"] == CUT
            await nothing_left(gateway)


_HALF = b'data: {"n"'
_JSON_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
BROKEN = {
    "mid-frame": STREAM_HEAD + CHUNK + b"%x\r\n%b\r\n" % (len(_HALF), _HALF),
    "mid-chunk": STREAM_HEAD + CHUNK + b"40\r\n" + _HALF,
    "mid-chunk at a frame's end": STREAM_HEAD + b"40\r\n" + FRAME,
    "mid-size": STREAM_HEAD + CHUNK + b"4",
    "after a size": STREAM_HEAD + CHUNK + b"40\r\n",
    "before a chunk's CRLF": STREAM_HEAD + CHUNK[:-2],
    "in a chunk's CRLF": STREAM_HEAD + CHUNK[:-1],
    "in the last chunk": STREAM_HEAD + CHUNK + b"0\r\n",
    "in trailers": STREAM_HEAD + CHUNK + b"0\r\nX-A: ",
    "short sized stream": UNTIL_CLOSE_HEAD[:-2] + b"Content-Length: 99\r\n\r\n" + FRAME,
    "short sized JSON": _JSON_HEAD + b'Content-Length: 99\r\n\r\n{"a": ',
    "short sized JSON, nothing": _JSON_HEAD + b"Content-Length: 99\r\n\r\n",
    "chunked JSON": _JSON_HEAD + b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\n',
}


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("name", BROKEN)
async def test_a_cut_elsewhere_is_never_a_clean_end(name: str, how: str, version: str) -> None:
    async with RawServer(stream_of(BROKEN[name], how)) as worker:
        async with Gateway(worker_urls=[worker.url]) as gateway:
            async with await gateway.connect() as client:
                await client.send(request_bytes("POST", CHAT, chat(stream=True), version=version))
                try:
                    data, end = await collect(client)
                except ConnectionResetError:
                    data, end = b"", "reset"
                if end == "clean":  # only with an error frame, where one fits into a bare body
                    assert version == "1.0"
                    assert error_event(data, CHAT)["code"] == CUT
                else:
                    assert b"[DONE]" not in data
                    assert end == ("eof" if version == "1.1" else "reset")
                assert hides_workers(data, worker)
            samples = await gateway.metrics()
            assert samples.value("smg_upstream_streams_cut_total", reason=CUT) == 1
            await nothing_left(gateway)


BAD_CHUNKS = {
    "no size": b"zz\r\nhello\r\n",
    "sign": b"+5\r\nhello\r\n",
    "0x": b"0x5\r\nhello\r\n",
    "bare LF": b"5\nhello\r\n",
    "too long": b"5\r\nhello!\r\n",
    "huge": b"f" * 40 + b"\r\nhello\r\n",
    "empty size": b"\r\nhello\r\n",
    "trailer LF": b"0\r\nX: a\n\r\n",
}


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("name", BAD_CHUNKS)
@pytest.mark.parametrize("version", ["1.1", "1.0"])
async def test_bad_chunk_framing_is_not_passed_on(name: str, together: bool, version: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        if together:
            await peer.send(STREAM_HEAD + CHUNK + BAD_CHUNKS[name])
        else:
            await peer.send(STREAM_HEAD + CHUNK)
            await seen.wait()
            await peer.send(BAD_CHUNKS[name])
        await peer.finished.wait()  # it is the gateway that leaves

    seen = asyncio.Event()
    async with RawServer(script) as worker, Gateway(worker_urls=[worker.url]) as gateway:
        async with await gateway.connect() as client:
            await client.send(request_bytes("POST", CHAT, chat(stream=True), version=version))
            if together:  # nothing went out yet: the error can still be told properly
                answer = await client.answer("POST")
                assert answer.status == 502
                assert answer.json()["error"]["code"] == "read_response_body_failed"
            else:
                await client.read_until(FRAME)
                seen.set()
                try:
                    rest = await client.read_to_end()
                except ConnectionResetError:
                    rest = bytes(client.buffer)
                assert b"[DONE]" not in rest
                assert b"0\r\n\r\n" not in rest
                assert b"hello" not in rest
        await nothing_left(gateway)


async def test_bytes_before_bad_framing_are_not_lost_silently() -> None:
    """Head and bad framing in one segment: nothing went out yet, so the client gets a clear 502."""
    raw = STREAM_HEAD + b"zz\r\n"
    async with RawServer(stream_of(raw, "stay")) as worker:
        async with Gateway(worker_urls=[worker.url]) as gateway:
            async with await gateway.connect() as client:
                await send_chat(client, stream=True)
                head = await client.read_head()
                assert head.status == 502
            await nothing_left(gateway)


# -- time -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [CHAT, MESSAGES, RESPONSES])
async def test_a_silent_worker_ends_in_a_timeout_frame(path: str) -> None:
    async with RawServer(stream_of(STREAM_HEAD + CHUNK, "stay")) as worker:
        config: dict[str, Any] = {"upstream_idle_timeout_secs": 1, "sse_keepalive_secs": 0}
        async with Gateway(worker_urls=[worker.url], **config) as gateway:
            answer = await gateway.post(path, streaming(path))
            error = error_event(answer.body, path)
            if path != MESSAGES:
                assert error["code"] == TIMEOUT
            await until(lambda: worker.open_connections == 0)
            samples = await gateway.metrics()
            assert samples.value("smg_upstream_streams_cut_total", reason=TIMEOUT) == 1
            await nothing_left(gateway)


async def test_a_worker_silent_in_a_frame_breaks_the_answer() -> None:
    raw = BROKEN["mid-frame"]
    async with RawServer(stream_of(raw, "stay")) as worker:
        config: dict[str, Any] = {"upstream_idle_timeout_secs": 1, "sse_keepalive_secs": 1}
        async with Gateway(worker_urls=[worker.url], **config) as gateway:
            async with await gateway.connect() as client:
                await send_chat(client, stream=True)
                assert await collect(client) == (FRAME + _HALF, "eof")
            await nothing_left(gateway)


async def test_request_timeout_after_the_head() -> None:
    async with RawServer(stream_of(STREAM_HEAD + CHUNK, "stay")) as worker:
        async with Gateway(worker_urls=[worker.url], request_timeout_secs=0.4) as gateway:
            answer = await gateway.post(CHAT, chat(stream=True))
            assert error_event(answer.body, CHAT)["code"] == TIMEOUT
            await until(lambda: worker.open_connections == 0)
            await nothing_left(gateway)


async def test_request_timeout_in_a_sized_answer() -> None:
    raw = BROKEN["short sized JSON"]
    async with RawServer(stream_of(raw, "stay")) as worker:
        async with Gateway(worker_urls=[worker.url], request_timeout_secs=0.4) as gateway:
            async with await gateway.connect() as client:
                await send_chat(client)
                assert await collect(client) == (b'{"a": ', "eof")
            await nothing_left(gateway)


# -- keep-alive -----------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize(
    ("path", "sign"),
    [
        (CHAT, b": keep-alive\n\n"),
        (RESPONSES, b": keep-alive\n\n"),
        (MESSAGES, b'event: ping\ndata: {"type": "ping"}\n\n'),
    ],
)
async def test_a_sign_of_life_in_silence(path: str, sign: bytes, version: str) -> None:
    go = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(STREAM_HEAD + CHUNK)
        await go.wait()
        await peer.end_stream()

    async with RawServer(script) as worker:
        async with Gateway(worker_urls=[worker.url], sse_keepalive_secs=1) as gateway:
            async with await gateway.connect() as client:
                await client.send(request_bytes("POST", path, streaming(path), version=version))
                head = await client.read_head()
                if head.chunked:
                    assert await client.read_chunk() == FRAME
                    assert await client.read_chunk() == sign
                    assert await client.read_chunk() == sign
                else:
                    expected = FRAME + sign + sign
                    assert await client.read_exactly(len(expected)) == expected
                go.set()
                rest = await client.read_body(head)
                assert rest.replace(sign, b"") == b"data: [DONE]\n\n"
            await nothing_left(gateway)


NO_PLACE = {
    "mid-frame": BROKEN["mid-frame"],
    "mid-chunk": BROKEN["mid-chunk"],
    "mid-chunk at a frame's end": BROKEN["mid-chunk at a frame's end"],
    "in a chunk's CRLF": BROKEN["in a chunk's CRLF"],
    "sized": BROKEN["short sized stream"],
    "no event stream": _JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\n",
}


@pytest.mark.parametrize("name", NO_PLACE)
async def test_no_sign_of_life_where_it_would_do_harm(name: str) -> None:
    raw = NO_PLACE[name]
    go = asyncio.Event()

    async def script(peer: Peer) -> None:
        request = await peer.read_request()
        if request.json().get("other"):
            await peer.send(STREAM_HEAD + CHUNK)
        else:
            await peer.send(raw)
        await go.wait()
        peer.close()

    async with RawServer(script) as worker:
        async with Gateway(worker_urls=[worker.url], sse_keepalive_secs=1) as gateway:
            async with await gateway.connect() as client, await gateway.connect() as other:
                await send_chat(client, stream=True)
                await worker.request(0)
                # the other stream, begun later, shows when the time is over: twice, to be sure
                await send_chat(other, stream=True, other=True)
                await other.read_until(b": keep-alive\n\n")
                await other.read_until(b": keep-alive\n\n")
                go.set()
                data, end = await collect(client)
                assert b"keep-alive" not in data
                assert end == "eof" or b'"error"' in data or raw.startswith(_JSON_HEAD)
            await nothing_left(gateway)
