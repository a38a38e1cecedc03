"""Stopping: not ready at once, served while load balancers learn, drained, cut at the deadline."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import threading
import time

import pytest

from tests.doubles.gateway import Gateway, GatewayProcess
from tests.doubles.raw_client import RawClient, request_bytes
from tests.doubles.raw_server import Peer, RawServer
from tests.doubles.sim import SimProcess
from tests.doubles.traffic import (
    CHAT,
    MESSAGES,
    chat,
    chat_request,
    left_over,
    send_chat,
    streaming,
    until,
)

FRAME = b'data: {"n": 1}\n\n'


async def open_stream(peer: Peer) -> None:
    """One frame, then whatever `peer.server.go` says; leaves when the gateway does."""
    await peer.read_request()
    await peer.start_stream()
    await peer.send_chunk(FRAME)
    await peer.finished.wait()


async def test_not_ready_at_once_but_serving() -> None:
    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        async with await gateway.connect() as kept:
            await kept.request("GET", "/health")
            stopping = asyncio.ensure_future(gateway.stop(grace=1.0))
            await asyncio.sleep(0)
            answer = await gateway.get("/readiness")
            assert answer.status == 503
            assert answer.json() == {"status": "not ready", "reason": "draining"}
            assert (await gateway.get("/health")).body == b"OK"
            assert (await gateway.get("/liveness")).body == b"OK"
            assert (await gateway.post(CHAT, chat())).status == 200  # a new connection
            assert (await kept.request("POST", CHAT, chat())).status == 200
            assert await kept.read_to_end() == b""  # idle ones are closed after the settle time
            await stopping
        with pytest.raises(ConnectionRefusedError):
            await gateway.connect()


async def test_a_stream_completes_within_the_grace() -> None:
    go = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.start_stream()
        await peer.send_chunk(FRAME)
        await go.wait()
        await peer.end_stream()

    async with RawServer(script) as worker, Gateway(worker_urls=[worker.url]) as gateway:
        async with await gateway.connect() as client:
            await send_chat(client, stream=True)
            head = await client.read_head()
            assert await client.read_chunk() == FRAME
            stopping = asyncio.ensure_future(gateway.stop(grace=2.0))
            gateway.server.stop_accepting()  # what the end of the settle time does
            go.set()
            assert await client.read_body(head) == b"data: [DONE]\n\n"
            await stopping
        assert left_over(gateway) == {}


async def test_metrics_and_probes_answer_to_the_end() -> None:
    async with (
        RawServer(open_stream) as worker,
        Gateway(worker_urls=[worker.url], health_check_port=0) as gateway,
        await gateway.connect() as client,
    ):
        await send_chat(client, stream=True)
        head = await client.read_head()
        await client.read_chunk()
        stopping = asyncio.ensure_future(gateway.stop(grace=1.0))
        while not gateway.server.draining:  # the settle time is over
            await asyncio.sleep(0.01)
        with pytest.raises(ConnectionRefusedError):
            await gateway.connect()
        samples = await gateway.metrics()
        assert samples.value("smg_http_connections_active") == 1
        async with await RawClient.connect(gateway.product.probe_port) as probe:
            assert (await probe.request("GET", "/readiness")).json()["reason"] == "draining"
        async with await RawClient.connect(gateway.product.probe_port) as probe:
            assert (await probe.request("GET", "/liveness")).status == 200
        assert b"gateway_shutdown" in await client.read_body(head)
        await stopping


async def test_the_warning_at_the_deadline_counts_what_is_left(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with RawServer(open_stream) as worker, Gateway(worker_urls=[worker.url]) as gateway:
        clients = [await gateway.connect() for _ in range(3)]
        for client in clients:
            await send_chat(client, stream=True)
            await client.read_head()
        idle = await gateway.connect()
        await idle.request("GET", "/health")
        await gateway.stop(grace=0.2)
        assert await idle.read_to_end() == b""
        for client in (*clients, idle):
            client.close()
    (record,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "drain time is over" in record.getMessage()
    assert record.__dict__["fields"] == {"remaining": 3, "timeout_secs": 0.2}


async def test_an_answer_that_begins_while_draining_says_close() -> None:
    go = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_request()
        await go.wait()
        await peer.respond(200, {})

    async with RawServer(script) as worker, Gateway(worker_urls=[worker.url]) as gateway:
        async with await gateway.connect() as client:
            await send_chat(client)
            await worker.request(0)
            gateway.server.stop_accepting()
            go.set()
            answer = await client.answer()
            assert answer.status == 200
            assert answer.header("connection") == "close"
            assert await client.read_to_end() == b""


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("path", [CHAT, MESSAGES])
async def test_the_deadline_ends_streams_with_a_frame(path: str, version: str) -> None:
    async with RawServer(open_stream) as worker, Gateway(worker_urls=[worker.url]) as gateway:
        async with await gateway.connect() as client:
            await client.send(request_bytes("POST", path, streaming(path), version=version))
            head = await client.read_head()
            await client.read_until(FRAME)
            await gateway.stop(grace=0.2)
            if head.chunked:
                await client.read_exactly(2)
            rest = await client.read_body(head)  # a clean end of the framing
            if path == MESSAGES:
                assert rest.startswith(b"event: error\ndata: ")
                assert b"[DONE]" not in rest
            else:
                frame, done, _ = rest.split(b"\n\n")
                assert done == b"data: [DONE]"
                assert json.loads(frame[len(b"data: ") :])["error"]["code"] == "gateway_shutdown"
            peer = next(peer for peer in worker.connections if peer.requests)
            await peer.finished.wait()
        assert left_over(gateway) == {}


async def test_the_deadline_in_other_stages() -> None:
    """Waiting for a head: 503. Uploading, or in a sized body: cut, never a clean end."""

    async def script(peer: Peer) -> None:
        request = await peer.read_request()
        if request.json().get("seed") == 1:
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        await peer.finished.wait()

    async with RawServer(script) as worker, Gateway(worker_urls=[worker.url]) as gateway:
        clients = [await gateway.connect() for _ in range(4)]
        waiting, sized, uploading, piped = clients
        await send_chat(waiting)
        await send_chat(sized, seed=1)
        await uploading.send(chat_request()[:-3])
        await piped.send(chat_request() + request_bytes("GET", "/health"))
        await sized.read_until(b"half")
        await worker.request(2)
        await until(lambda: len(gateway.server.exchanges) == 5)
        await gateway.stop(grace=0.0)
        answer = await waiting.answer()
        assert answer.status == 503
        assert answer.json()["error"]["code"] == "gateway_shutdown"
        assert answer.header("connection") == "close"
        assert await sized.ended() in ("eof", "reset")
        assert await uploading.ended() in ("eof", "reset")
        assert (await piped.answer()).status == 503
        await piped.ended()
        for client in clients:
            client.close()
        assert left_over(gateway) == {}


async def test_stopping_an_idle_gateway_without_grace_is_immediate() -> None:
    async with Gateway() as gateway, await gateway.connect() as client:
        await client.request("GET", "/health")
        await gateway.stop(grace=0.0)
        assert await client.read_to_end() == b""
        assert left_over(gateway) == {}


async def test_a_client_that_takes_nothing_cannot_hold_up_the_end() -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.start_stream()
        while True:
            await peer.send_chunk(b"x" * 65_536)

    async with RawServer(script) as worker, Gateway(worker_urls=[worker.url]) as gateway:
        async with await gateway.connect(receive_buffer=4096) as client:
            await send_chat(client, stream=True)
            await client.read_head()
            (connection,) = gateway.server.connections
            await until(lambda: connection.is_write_paused)
            await gateway.stop(grace=0.0)
            assert not gateway.server.connections


# -- as a process ---------------------------------------------------------------------------------


class Stream:
    """A blocking client in the middle of a stream."""

    def __init__(self, port: int, tokens: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        body = chat(stream=True, max_tokens=tokens)
        body["model"] = "sim"
        self.socket.sendall(request_bytes("POST", CHAT, body))
        self.data = b""
        while b"data: " not in self.data:
            self.data += self.socket.recv(65536)

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def rest(self) -> bytes:
        """Everything to the end of the connection, be it a reset."""
        with contextlib.suppress(ConnectionResetError):
            while piece := self.socket.recv(65536):
                self.data += piece
        return self.data


def launch(worker: SimProcess, grace: int) -> GatewayProcess:
    """A gateway over `worker` that drains for `grace` seconds."""
    flag = "--shutdown-grace-period-secs"
    return GatewayProcess("launch", "--worker-urls", worker.url, flag, str(grace))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_the_exit_code_is_0(number: signal.Signals) -> None:
    with SimProcess("--token-latency-ms", "20") as worker, launch(worker, 4) as gateway:
        with Stream(gateway.port, 30) as stream:
            gateway.signal(number)
            reader = threading.Thread(target=stream.rest)
            reader.start()
            assert gateway.wait() == 0
            reader.join()
        assert stream.data.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        assert b"gateway_shutdown" not in stream.data
        assert number.name in gateway.log()
        assert "server stopped" in gateway.log()


def test_the_deadline_of_a_process_ends_streams_with_a_frame() -> None:
    with SimProcess("--token-latency-ms", "100") as worker, launch(worker, 1) as gateway:
        with Stream(gateway.port, 10_000) as stream:
            gateway.signal(signal.SIGTERM)
            data = stream.rest()
        assert gateway.wait() == 0
        assert b"gateway_shutdown" in data
        assert data.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        assert "remaining=1" in gateway.log()


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_at_once(second: signal.Signals) -> None:
    with SimProcess("--token-latency-ms", "100") as worker, launch(worker, 1000) as gateway:
        with Stream(gateway.port, 10_000) as stream:
            gateway.signal(signal.SIGTERM)
            while "draining" not in gateway.log():
                time.sleep(0.01)
            gateway.signal(second)
            assert gateway.wait() == 128 + second
            assert not stream.rest().endswith(b"0\r\n\r\n")


async def test_raw_client_sees_a_refused_port_after_the_stop() -> None:
    async with Gateway() as gateway:
        port, metrics_port = gateway.port, gateway.product.metrics_port
    for number in (port, metrics_port):
        with pytest.raises(ConnectionRefusedError):
            await RawClient.connect(number)
