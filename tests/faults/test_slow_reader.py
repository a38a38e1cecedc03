"""A client that reads slowly: bounded memory, a paused worker, and the whole answer in the end."""

from __future__ import annotations

import asyncio

import pytest

from tests.doubles.gateway import Gateway
from tests.doubles.raw_client import request_bytes
from tests.doubles.raw_server import Peer, RawServer
from tests.doubles.traffic import CHAT, chat, nothing_left, until

BLOCK = b"x" * 65_536
BLOCKS = 512  # 32 MiB, far above what the kernel holds for two loopback connections


@pytest.mark.parametrize("framing", ["chunked", "sized", "until close"])
@pytest.mark.parametrize("version", ["1.1", "1.0"])
async def test_the_worker_is_paused_and_resumed(framing: str, version: str) -> None:
    written = 0

    async def script(peer: Peer) -> None:
        nonlocal written
        request = await peer.read_request()
        if request.json().get("silent"):
            await peer.start_stream()
            await peer.finished.wait()
            return
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
        if framing == "chunked":
            head += b"Transfer-Encoding: chunked\r\n"
        elif framing == "sized":
            head += b"Content-Length: %d\r\n" % (len(BLOCK) * BLOCKS)
        await peer.send(head + b"\r\n")
        for _ in range(BLOCKS):
            await (peer.send_chunk(BLOCK) if framing == "chunked" else peer.send(BLOCK))
            written += 1
        if framing == "chunked":
            await peer.send(b"0\r\n\r\n")
        elif framing == "until close":
            peer.close()

    async with RawServer(script, send_buffer=65_536) as worker:
        async with Gateway(worker_urls=[worker.url], upstream_idle_timeout_secs=1) as gateway:
            async with await gateway.connect(receive_buffer=65_536) as client:
                await client.send(request_bytes("POST", CHAT, chat(stream=True), version=version))
                head = await client.read_head()
                (connection,) = gateway.server.connections
                peer = next(peer for peer in worker.connections if peer.requests)
                await until(lambda: connection.is_write_paused and peer.unsent > 0)
                # A worker that is really silent is cut off meanwhile: the limit has passed. The
                # silence of ours is our own doing, and nobody's fault.
                answer = await gateway.post(CHAT, chat(stream=True, silent=True))
                assert "upstream_stream_timeout" in answer.events()[0]
                stuck = written
                assert stuck < BLOCKS
                assert connection.transport.get_write_buffer_size() < 1_000_000
                answer = await gateway.post(CHAT, chat(stream=True, silent=True))
                assert written == stuck
                body = await client.read_body(head)
                assert len(body) == len(BLOCK) * BLOCKS
                assert body.count(b"x") == len(body)
            await nothing_left(gateway)
            samples = await gateway.metrics()
            assert samples.value("smg_upstream_streams_cut_total") == 2  # the two silent ones


async def test_one_slow_reader_does_not_hold_up_others() -> None:
    async def script(peer: Peer) -> None:
        while True:
            request = await peer.read_request()
            if request.json().get("stream"):
                await peer.start_stream()
                while True:
                    await peer.send_chunk(BLOCK)
            await peer.respond(200, {})

    async with RawServer(script) as worker, Gateway(worker_urls=[worker.url]) as gateway:
        async with await gateway.connect(receive_buffer=4096) as client:
            await client.send(request_bytes("POST", CHAT, chat(stream=True)))
            await client.read_head()
            (connection,) = gateway.server.connections
            await until(lambda: connection.is_write_paused)
            for _ in range(20):
                assert (await gateway.post(CHAT, chat())).status == 200
        await nothing_left(gateway)


async def test_the_next_request_of_a_slow_reader_starts_paused() -> None:
    """The buffer may still be full when the next pipelined answer begins."""

    async def script(peer: Peer) -> None:
        while True:
            await peer.read_request()
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8388608\r\n\r\n")
            for _ in range(128):
                await peer.send(BLOCK)

    async with RawServer(script) as worker, Gateway(worker_urls=[worker.url]) as gateway:
        async with await gateway.connect(receive_buffer=65_536) as client:
            await client.send(request_bytes("POST", CHAT, chat()) * 3)
            (connection,) = gateway.server.connections or [None]
            if connection is None:
                await until(lambda: bool(gateway.server.connections))
                (connection,) = gateway.server.connections
            await until(lambda: connection.is_write_paused)
            for _ in range(3):
                assert len((await client.answer()).body) == 8_388_608
        await nothing_left(gateway)


async def test_a_worker_that_takes_the_body_slowly() -> None:
    """A large body waits in the gateway; the client's connection stays alive meanwhile."""
    go = asyncio.Event()

    async def script(peer: Peer) -> None:
        peer.stop_reading()
        await go.wait()
        peer.transport.resume_reading()
        await peer.read_request()
        await peer.respond(200, {})

    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        for pool in gateway.upstream._pools.values():
            for conn in list(pool.idle):
                conn.transport.close()
        await until(lambda: gateway.upstream.open_connections == 0)
        worker.scripts = [script]
        async with await gateway.connect() as client:
            wire = request_bytes("POST", CHAT, chat(text="x" * 16_000_000))
            await client.send(wire)
            assert (await gateway.get("/health")).status == 200
            go.set()
            assert (await client.answer()).status == 200
        await nothing_left(gateway)


async def test_an_early_answer_to_a_large_body_is_relayed_and_frees_the_worker() -> None:
    """The worker refuses without reading: its connection is of no use, and must not linger."""

    async def script(peer: Peer) -> None:
        await peer.read_head()
        peer.stop_reading()
        await peer.respond(413, {"too": "large"})
        await peer.finished.wait()

    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        for pool in gateway.upstream._pools.values():
            for conn in list(pool.idle):
                conn.transport.close()
        await until(lambda: gateway.upstream.open_connections == 0)
        worker.scripts = [script]
        answer = await gateway.post(CHAT, chat(text="x" * 32_000_000))
        assert (answer.status, answer.json()) == (413, {"too": "large"})
        await nothing_left(gateway)
