"""`fetch` against scripted workers."""

from __future__ import annotations

import asyncio

import pytest

from smg.core.errors import BadReply, ConnectFailed, ReplyTooLarge, UpstreamClosed, UpstreamTimeout
from smg.upstream import HttpClient, UpstreamSettings
from tests.doubles.gateway import free_port
from tests.doubles.raw_server import Peer, RawServer


class Client(HttpClient):
    """An HttpClient that is closed."""

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
        assert not self.open_connections


def worker(*answers: bytes) -> RawServer:
    """Answers the requests of every connection with these bytes, then closes."""

    async def script(peer: Peer) -> None:
        for data in answers:
            await peer.read_request()
            await peer.send(data)
        peer.close()

    return RawServer(script, answer_probes=False)


SIZED = b"HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 5\r\n\r\nhello"


async def test_requests_on_one_connection():
    chunked = b"HTTP/1.1 404 x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n"
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    async with worker(SIZED, chunked, head) as server, Client() as client:
        reply = await client.fetch(server.url + "/base/v1", "GET", "/v1/a?b", timeout=5)
        assert (reply.status, reply.body, reply.header(b"x-a")) == (200, b"hello", b"b")
        assert reply.header(b"x-b") is None
        reply = await client.fetch(
            server.url, "POST", "/b", headers=[(b"x-c", b"d")], body=b"xyz", timeout=5
        )
        assert (reply.status, reply.body) == (404, b"no")
        reply = await client.fetch(server.url, "HEAD", "/c", timeout=5)
        assert (reply.status, reply.body) == (200, b"")
        first, second, third = server.requests
        assert (first.method, first.target, first.body) == ("GET", "/base/v1/a?b", b"")
        assert first.header("host") == server.url.removeprefix("http://")
        assert first.header("content-length") is None
        assert (second.body, second.header("x-c")) == (b"xyz", "d")
        assert third.method == "HEAD"
        assert len(server.connections) == 1


async def test_a_post_without_a_body_says_so():
    async with worker(SIZED) as server, Client() as client:
        await client.fetch(server.url, "POST", "/", timeout=5)
        assert server.requests[0].header("content-length") == "0"


async def test_an_answer_that_ends_by_close():
    async with worker(b"HTTP/1.0 200 OK\r\n\r\nhello") as server, Client() as client:
        assert (await client.fetch(server.url, "GET", "/", timeout=5)).body == b"hello"


async def test_a_redirect_is_an_answer():
    async with (
        worker(b"HTTP/1.1 302 x\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n") as server,
        Client() as client,
    ):
        assert (await client.fetch(server.url, "GET", "/", timeout=5)).status == 302


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", ConnectFailed),
        (b"HTTP/1.1 200", BadReply),
        (b"SMTP\r\n", BadReply),
        (SIZED[:-1], UpstreamClosed),
    ],
)
async def test_faults(data, error):
    async with worker(data) as server, Client() as client:
        with pytest.raises(error):
            await client.fetch(server.url, "GET", "/", timeout=5)
        assert len(server.connections) == 1  # a fresh connection that fails is not tried again


async def test_nobody_listens():
    async with Client() as client:
        with pytest.raises(ConnectFailed) as caught:
            await client.fetch(f"http://127.0.0.1:{free_port()}", "GET", "/", timeout=5)
        assert "127.0.0.1" not in caught.value.message  # no addresses for clients
        assert caught.value.cause


async def test_an_answer_that_is_too_large():
    async with worker(SIZED) as server, Client() as client:
        with pytest.raises(ReplyTooLarge):
            await client.fetch(server.url, "GET", "/", timeout=5, max_bytes=4)


async def test_a_worker_that_is_silent():
    seen = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_request()
        seen.set()
        await peer.read_until(b"never")

    async with RawServer(script, answer_probes=False) as server, Client() as client:
        with pytest.raises(UpstreamTimeout):
            await client.fetch(server.url, "GET", "/", timeout=0.05)
        await seen.wait()
        peer = await server.connection()
        await peer.closed.wait()  # the worker is told


async def test_cancelling_closes_the_connection():
    seen = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_request()
        seen.set()
        await peer.read_until(b"never")

    async with RawServer(script, answer_probes=False) as server, Client() as client:
        task = asyncio.get_running_loop().create_task(
            client.fetch(server.url, "GET", "/", timeout=60)
        )
        await seen.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await (await server.connection()).closed.wait()


async def test_a_kept_connection_that_died_is_replaced_once():
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(SIZED)
        if len(server.connections) == 1:
            await peer.read_request()
            peer.reset()  # the request came, no byte of an answer

    async with RawServer(script, answer_probes=False) as server, Client() as client:
        await client.fetch(server.url, "GET", "/1", timeout=5)
        reply = await client.fetch(server.url, "GET", "/2", timeout=5)
        assert reply.body == b"hello"
        assert [request.target for request in server.requests] == ["/1", "/2", "/2"]
        assert len(server.connections) == 2


async def test_pools():
    async with worker(SIZED) as server, Client(UpstreamSettings()) as client:
        pool = client.pool(server.url)
        assert client.pool(server.url + "/base") is pool
        assert client.pool("http://other:1") is not pool
        await client.fetch(server.url, "GET", "/", timeout=5)
        client.forget(server.url)
        client.forget(server.url)
        assert client.pool(server.url) is not pool
        assert pool.closed
        with pytest.raises(ValueError, match="not an http"):
            client.pool("grpc://w:1")
        await (await server.connection()).closed.wait()
