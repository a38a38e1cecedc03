"""The load generator against the benchmark's own worker and against servers that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from perf.load import ClosedLoop, PacedStreams
from perf.messages import DONE, EVENT, chat_body, framed, request
from perf.worker import LAST, PIECE, STREAM_HEAD, Worker, WorkerProtocol, whole

HOST = "127.0.0.1"
GOOD = whole(b'{"ok":true}')


class Fixed(asyncio.Protocol):
    """Answers every request with the same pieces, each in a write of its own; may close then."""

    def __init__(self, pieces: list[bytes], close: bool) -> None:
        self.pieces, self.close = pieces, close

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._write(list(self.pieces))

    def _write(self, pieces: list[bytes]) -> None:
        self.transport.write(pieces.pop(0))
        if pieces:
            asyncio.get_running_loop().call_later(0.002, self._write, pieces)
        elif self.close:
            self.transport.close()


@contextlib.asynccontextmanager
async def listening(factory: Any) -> AsyncIterator[int]:
    server = await asyncio.get_running_loop().create_server(factory, HOST, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


@contextlib.asynccontextmanager
async def worker() -> AsyncIterator[int]:
    shared = Worker(asyncio.get_running_loop(), "worker-1")
    async with listening(lambda: WorkerProtocol(shared)) as port:
        yield port


async def against(pieces: list[bytes], *, wanted: int = 0, close: bool = False) -> ClosedLoop:
    async with listening(lambda: Fixed(pieces, close)) as port:
        load = ClosedLoop(
            HOST, port, b"POST / HTTP/1.1\r\n\r\n", connections=1, total=2, wanted=wanted
        )
        await load.run(timeout=2.0)
        await asyncio.sleep(0.01)
        return load


def test_bodies_have_the_size_asked_for() -> None:
    for size in (230, 32_000, 256_000):
        assert len(chat_body(size)) == size


@pytest.mark.parametrize("size", [230, 4096, 5000, 300_000])
async def test_closed_loop_against_the_worker(size: int) -> None:
    async with worker() as port:
        data = request(chat_body(size), HOST, port)
        load = ClosedLoop(HOST, port, data, connections=4, total=50)
        result = await load.run()
        assert (result.answers, result.errors) == (50, {})
        assert len(result.latencies) == 50
        await asyncio.sleep(0.01)


async def test_streams_are_counted_to_their_end() -> None:
    async with worker() as port:
        data = request(chat_body(stream=True), HOST, port)
        result = await ClosedLoop(HOST, port, data, connections=3, total=9, wanted=33).run()
        assert (result.answers, result.events, result.errors) == (9, 9 * 33, {})
        assert len(result.first) == 9
        await asyncio.sleep(0.01)


async def test_the_worker_reads_a_chunked_request() -> None:
    body = chat_body(stream=True, chunks=3)
    head = b"POST /v1/chat/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    data = head + framed(body[:100]) + framed(body[100:]) + b"0\r\n\r\n"
    async with worker() as port:
        result = await ClosedLoop(HOST, port, data, connections=1, total=2, wanted=3).run()
        assert (result.answers, result.errors) == (2, {})
        await asyncio.sleep(0.01)


async def test_an_event_cut_anywhere_counts_once() -> None:
    stream = STREAM_HEAD + PIECE + PIECE + LAST
    for cut in range(1, len(stream), 7):
        load = await against([stream[:cut], stream[cut:]], wanted=3)
        assert (load.result.answers, load.result.errors) == (2, {}), cut


@pytest.mark.parametrize(
    ("pieces", "wanted", "close", "reason"),
    [
        ([b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n"], 0, False, "status 503"),
        ([GOOD[:-3]], 0, True, "answer cut"),
        ([b"HTTP/1.1 2"], 0, True, "connection lost"),
        ([b"HTTP/1.1 200 OK\r\n\r\n{}"], 0, True, "no framing"),
        ([GOOD + b"x"], 0, False, "answer too long"),
        ([whole(b"<html>")], 0, False, "not JSON"),
        ([STREAM_HEAD + PIECE + b"0\r\n\r\n"], 2, False, "no [DONE]"),
        ([STREAM_HEAD + PIECE + LAST], 3, False, "2 events"),
        ([STREAM_HEAD + PIECE], 3, True, "answer cut"),
    ],
)
async def test_a_wrong_answer_is_an_error(
    pieces: list[bytes], wanted: int, close: bool, reason: str
) -> None:
    load = await against(pieces, wanted=wanted, close=close)
    assert load.result.answers == 0
    assert load.result.errors[reason] >= 1


async def test_an_answer_that_never_ends_is_a_timeout() -> None:
    async with listening(lambda: Fixed([STREAM_HEAD + PIECE], close=False)) as port:
        load = ClosedLoop(HOST, port, b"POST / HTTP/1.1\r\n\r\n", connections=2, total=2, wanted=2)
        result = await load.run(timeout=0.1)
        assert (result.answers, dict(result.errors)) == (0, {"timeout": 2})
        await asyncio.sleep(0.01)


async def test_paced_streams_arrive_at_their_pace() -> None:
    async with worker() as port:
        data = request(chat_body(stream=True, chunks=5, pace_ms=40), HOST, port)
        load = PacedStreams(HOST, port, [(data, 5)], streams=20, ramp=0.05)
        await load.start()
        result = await load.finish(timeout=5.0)
        assert (result.answers, result.events, result.errors) == (20, 100, {})
        assert result.seconds >= 4 * 0.035
        assert load.gaps
        await asyncio.sleep(0.01)


async def test_a_paced_stream_without_end_is_an_error() -> None:
    async with listening(lambda: Fixed([STREAM_HEAD + PIECE], close=False)) as port:
        load = PacedStreams(HOST, port, [(b"GET / HTTP/1.1\r\n\r\n", 2)], streams=3, ramp=0.01)
        await load.start()
        result = await load.finish(timeout=0.1)
        assert dict(result.errors) == {"stream without end": 3}
        await asyncio.sleep(0.01)


def test_the_last_piece_ends_event_stream_and_framing() -> None:
    assert LAST.endswith(EVENT + DONE + b"\n\n\r\n0\r\n\r\n")
