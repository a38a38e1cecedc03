"""The stand-ins themselves: a double that lies makes every other test worthless."""

from __future__ import annotations

import asyncio
import socket

import pytest

from tests.doubles.loop import LeakError, run_async
from tests.doubles.raw_client import ClosedEarly, RawClient
from tests.doubles.raw_server import Peer, RawServer
from tests.doubles.tcp_proxy import TcpProxy


async def test_sized_answer_round_trip():
    async with RawServer() as worker, await RawClient.connect(worker.port) as client:
        answer = await client.request("POST", "/v1/chat/completions", {"model": "m"})
        assert answer.status == 200
        assert answer.json()["model"] == "m"
        assert worker.requests[0].json() == {"model": "m"}
        assert worker.requests[0].header("host") == "gateway.test"


async def test_chunked_both_ways_and_keep_alive():
    async def script(peer: Peer) -> None:
        for _ in range(2):
            request = await peer.read_request()
            await peer.start_stream()
            await peer.send_event({"got": len(request.body)})
            await peer.end_stream()

    async with RawServer(script) as worker, await RawClient.connect(worker.port) as client:
        for _ in range(2):
            answer = await client.request("POST", "/x", chunks=[b"abc", b"defg"])
            assert answer.events() == ['{"got": 7}', "[DONE]"]
        assert len(worker.connections) == 1


async def test_probes_stay_out_of_the_script():
    async with RawServer(model="m1") as worker, await RawClient.connect(worker.port) as client:
        assert (await client.request("GET", "/health")).status == 200
        assert (await client.request("GET", "/v1/models")).json()["data"][0]["id"] == "m1"
        await client.request("POST", "/x", {})
        assert [request.target for request in worker.requests] == ["/x"]
        assert worker.probes == 2


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_cut_answer_is_seen_as_cut(how: str):
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        await peer.server.connections[0].server.request()
        getattr(peer, how)()

    async with RawServer(script) as worker, await RawClient.connect(worker.port) as client:
        with pytest.raises((ClosedEarly, ConnectionResetError)):
            await client.request("GET", "/x")


async def test_server_sees_the_client_leave():
    async with RawServer() as worker:
        client = await RawClient.connect(worker.port)
        peer = await worker.connection()
        client.reset()
        await peer.closed.wait()


async def test_a_slow_reader_pushes_back():
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.start_stream()
        while True:
            await peer.send_chunk(b"x" * 65536)

    async with RawServer(script, send_buffer=8192) as worker:
        async with await RawClient.connect(worker.port, receive_buffer=8192) as client:
            await client.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
            await client.read_head()
            peer = await worker.connection()
            while peer.unsent < 65536:
                await asyncio.sleep(0.01)
            sent = peer.sent
            await asyncio.sleep(0.05)
            assert peer.sent == sent


async def test_an_error_in_a_script_fails_the_test():
    async def script(peer: Peer) -> None:
        await peer.read_request()
        raise ValueError("in the script")

    with pytest.raises(ValueError, match="in the script"):
        async with RawServer(script) as worker:
            async with await RawClient.connect(worker.port) as client:
                await client.send(b"GET /x HTTP/1.1\r\n\r\n")
                await worker.request()


async def test_proxy_passes_stalls_and_cuts():
    async with RawServer() as worker, TcpProxy(worker.port) as proxy:
        async with await RawClient.connect(proxy.port) as client:
            assert (await client.request("POST", "/x", {})).status == 200
            proxy.stall("down")
            waiting = asyncio.ensure_future(client.request("POST", "/x", {}))
            await worker.request(1)
            await asyncio.sleep(0.05)
            assert not waiting.done()
            proxy.resume()
            assert (await waiting).status == 200
            proxy.cut_after(30)
            with pytest.raises((ClosedEarly, ConnectionResetError)):
                await client.request("POST", "/x", {})
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            await RawClient.connect(proxy.port)


async def test_proxy_as_black_hole():
    async with TcpProxy(1, black_hole=True) as proxy:
        async with await RawClient.connect(proxy.port) as client:
            await client.send(b"x")
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(client.receive(), 0.05)


async def test_proxy_ends_open_connections_when_it_stops():
    async with RawServer() as worker, TcpProxy(worker.port) as proxy:
        client = await RawClient.connect(proxy.port)
        await worker.connection()
    assert await client.ended() in ("eof", "reset")
    client.close()


# The loop runner


def test_a_leaked_task_fails():
    async def main() -> None:
        asyncio.get_running_loop().create_task(asyncio.sleep(30), name="forgotten")

    with pytest.raises(LeakError, match="forgotten"):
        run_async(main, settle=0.02)


def test_a_leaked_socket_fails():
    kept: list[socket.socket] = []

    async def main() -> None:
        kept.append(socket.socket())

    with pytest.raises(LeakError, match="sockets left open"):
        run_async(main, settle=0.02)
    kept[0].close()


def test_an_error_in_a_callback_fails():
    async def main() -> None:
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)

    with pytest.raises(LeakError, match="ZeroDivisionError"):
        run_async(main)


def test_a_test_that_hangs_is_ended_and_says_where():
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError, match="main:"):
        run_async(main, limit=0.05)
