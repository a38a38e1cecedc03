"""Pieces that follow each other within a millisecond are joined by the kernel; all arrive."""

from __future__ import annotations

import asyncio
import gc

import pytest

from tests.doubles.gateway import Gateway
from tests.doubles.raw_client import request_bytes
from tests.doubles.raw_server import STREAM_HEAD, Peer, RawServer, Script
from tests.doubles.traffic import CHAT, chat, nothing_left

FRAMES = [b'data: {"n": %d}\n\n' % number for number in range(40)]
LAST = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def bursts(frames: list[bytes], *, end: str = "whole", head: bytes = STREAM_HEAD) -> Script:
    """Each frame in a write and a loop turn of its own, as fast as the loop goes."""

    async def script(peer: Peer) -> None:
        while True:
            await peer.read_request()
            await peer.send(head)
            for frame in frames:
                await peer.send(chunk(frame) if head is STREAM_HEAD else frame)
                await asyncio.sleep(0)
            if end == "whole":
                await peer.send(LAST)
            elif end == "cut":
                peer.close()
                return
            else:
                await peer.finished.wait()
                return

    return script


async def test_a_burst_arrives_whole_and_in_order() -> None:
    async with RawServer(bursts(FRAMES)) as worker, Gateway(worker_urls=[worker.url]) as gateway:
        answer = await gateway.post(CHAT, chat(stream=True))
        assert answer.status == 200
        assert answer.body == b"".join(FRAMES)
        await nothing_left(gateway)


async def test_a_burst_that_breaks_off_keeps_what_came_before() -> None:
    script = bursts(FRAMES, end="cut")
    async with RawServer(script) as worker, Gateway(worker_urls=[worker.url]) as gateway:
        answer = await gateway.post(CHAT, chat(stream=True))
        assert answer.body.startswith(b"".join(FRAMES))
        assert b"upstream_stream_cut" in answer.body[len(b"".join(FRAMES)) :]
        await nothing_left(gateway)


async def test_a_worker_without_length_or_chunks_bursts_too() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    script = bursts(FRAMES, end="cut", head=head)
    async with RawServer(script) as worker, Gateway(worker_urls=[worker.url]) as gateway:
        answer = await gateway.post(CHAT, chat(stream=True))
        assert answer.body == b"".join(FRAMES)


async def test_what_waits_goes_out_without_further_pieces() -> None:
    """The worker falls silent after a burst: all of it must come nevertheless."""
    script = bursts(FRAMES, end="silent")
    async with RawServer(script) as worker, Gateway(worker_urls=[worker.url]) as gateway:
        async with await gateway.connect() as client:
            await client.send(request_bytes("POST", CHAT, chat(stream=True)))
            await client.read_until(FRAMES[-1])
        await nothing_left(gateway)


async def test_a_client_that_leaves_in_a_burst_leaves_nothing_behind() -> None:
    script = bursts(FRAMES, end="silent")
    async with RawServer(script) as worker, Gateway(worker_urls=[worker.url]) as gateway:
        for _ in range(5):
            client = await gateway.connect()
            await client.send(request_bytes("POST", CHAT, chat(stream=True)))
            await client.read_until(FRAMES[1])
            client.reset()
        await nothing_left(gateway)


@pytest.mark.parametrize("stream", [False, True])
async def test_requests_leave_no_work_for_the_garbage_collector(stream: bool) -> None:
    """Reference counts free everything: a cycle per request would cost a pass over all objects
    every few hundred requests.
    """
    script = bursts(FRAMES) if stream else None
    async with (
        RawServer(script) if script else RawServer() as worker,
        Gateway(worker_urls=[worker.url]) as gateway,
        await gateway.connect() as client,
    ):
        requests = 50

        async def send(count: int) -> None:
            for _ in range(count):
                answer = await client.request("POST", CHAT, chat(stream=stream))
                assert answer.status == 200

        await send(5)
        gc.collect()
        gc.disable()
        try:
            await send(requests)
            found = gc.collect()
        finally:
            gc.enable()
        # A cycle of ours would leave ten objects per request.
        assert found < requests
