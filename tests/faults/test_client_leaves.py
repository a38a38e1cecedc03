"""The client leaves in places that the matrix of `test_client_matrix.py` does not know: during its
own request, on other routes, many at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from tests.doubles.gateway import Gateway
from tests.doubles.raw_client import request_bytes
from tests.doubles.raw_server import Peer, RawServer, echo_chat
from tests.doubles.traffic import CHAT, chat, chat_request, nothing_left, send_chat, until
from tests.faults.rig import WAYS, Way, drop_idle, leave


@pytest.mark.parametrize("way", WAYS)
async def test_while_uploading(way: Way) -> None:
    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        async with await gateway.connect() as client:
            await client.send(chat_request()[:-5])
            await until(lambda: len(gateway.server.exchanges) == 1)
            leave(client, way)
            await until(lambda: not gateway.server.exchanges)
        await nothing_left(gateway)
        assert worker.requests == []


async def test_in_the_middle_of_its_head() -> None:
    async with Gateway() as gateway:
        async with await gateway.connect() as client:
            await client.send(b"GET /hea")
            await until(lambda: len(gateway.server.connections) == 1)
        await nothing_left(gateway)


async def test_while_the_gateway_connects() -> None:
    """The connection in the making is not wasted: it serves the next request."""
    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        await drop_idle(gateway)
        pool = gateway.upstream.pool(worker.url)
        hold = _hold_connects(gateway, worker)
        async with await gateway.connect() as client:
            await send_chat(client)
            await until(lambda: len(gateway.server.exchanges) == 1)
        await until(lambda: not gateway.server.exchanges)
        assert all(known.load == 0 for known in gateway.registry.all())
        hold.set()
        await until(lambda: len(pool.idle) == 1)
        await nothing_left(gateway)
        assert worker.requests == []


async def test_an_unused_kept_connection_that_is_dead_is_replaced_too() -> None:
    """A connection made for a client that left was never used, and may be as dead as any other."""

    async def dead(peer: Peer) -> None:
        await peer.read_head()
        peer.close()

    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        await drop_idle(gateway)
        worker.scripts = [*[echo_chat] * len(worker.connections), dead, echo_chat]
        hold = _hold_connects(gateway, worker)
        async with await gateway.connect() as client:
            await send_chat(client)
            await until(lambda: len(gateway.server.exchanges) == 1)
        await until(lambda: not gateway.server.exchanges)
        hold.set()
        await until(lambda: len(gateway.upstream.pool(worker.url).idle) == 1)
        assert (await gateway.post(CHAT, chat())).status == 200
        await nothing_left(gateway)


async def test_while_a_rerank_answer_is_collected() -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[")
        await peer.finished.wait()

    body = {"model": "test-model", "query": "q", "documents": ["a"]}
    async with RawServer(script) as worker, Gateway(worker_urls=[worker.url]) as gateway:
        async with await gateway.connect() as client:
            await client.send(request_bytes("POST", "/rerank", body))
            await worker.request(0)
        await _peer_of(worker).finished.wait()
        await nothing_left(gateway)


async def test_a_slow_path_handler_is_cancelled() -> None:
    async def script(peer: Peer) -> None:
        while True:
            request = await peer.read_head()
            if request.target == "/health_generate":
                worker.requests.append(request)
                worker._notify()
                await peer.finished.wait()
                return
            await peer.send(worker._probe_answer(request))

    async with RawServer(script) as worker, Gateway(worker_urls=[worker.url]) as gateway:
        async with await gateway.connect() as client:
            await client.send(request_bytes("GET", "/health_generate"))
            await worker.request(0)
        await until(lambda: not gateway.server.handler_tasks)
        await until(lambda: not gateway.server.exchanges)


async def test_many_clients_leave_at_once() -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.start_stream()
        while True:
            await peer.send_event("x" * 100)
            await asyncio.sleep(0)

    async with RawServer(script) as worker, Gateway(worker_urls=[worker.url]) as gateway:
        clients = [await gateway.connect() for _ in range(50)]
        for client in clients:
            await send_chat(client, stream=True)
        for client in clients:
            await client.read_until(b"data: ")
        for client in clients:
            client.reset()
        await nothing_left(gateway)
        await until(lambda: not any(p.requests and not p.finished.is_set() for p in _peers(worker)))


def _peers(worker: RawServer) -> list[Peer]:
    return worker.connections


def _peer_of(worker: RawServer) -> Peer:
    (peer,) = [peer for peer in worker.connections if peer.requests]
    return peer


def _hold_connects(gateway: Gateway, worker: RawServer) -> asyncio.Event:
    """Connects to `worker` wait until the event is set."""
    pool = gateway.upstream.pool(worker.url)
    hold = asyncio.Event()
    owner = pool._tasks

    class Slow:
        def start(self, connect: Coroutine[Any, Any, None], name: str) -> None:
            async def slowly() -> None:
                try:
                    await hold.wait()
                except asyncio.CancelledError:
                    connect.close()
                    raise
                await connect

            owner.start(slowly(), name)

    pool._tasks = Slow()
    return hold
