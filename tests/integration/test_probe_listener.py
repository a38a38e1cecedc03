"""`--health-check-port`: probes from a thread of their own, beside a gateway that serves."""

from __future__ import annotations

import asyncio
import http.client
import json
import signal
import socket
import threading
from typing import Any

import pytest

from tests.doubles.gateway import Gateway, GatewayProcess, free_port, run_smg
from tests.doubles.raw_server import Peer, RawServer
from tests.doubles.traffic import send_chat


def probe(port: int, path: str = "/readiness", method: str = "GET") -> tuple[int, Any]:
    """One probe, blocking: called on a loop, it stops the loop until the answer is there."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path)
        reply = connection.getresponse()
        body = reply.read()
        is_json = reply.headers["content-type"] == "application/json"
        return reply.status, json.loads(body) if is_json and body else body.decode()
    finally:
        connection.close()


async def test_a_blocked_loop_fails_no_probe() -> None:
    async with (
        RawServer() as worker,
        Gateway(worker_urls=[worker.url], health_check_port=0) as gateway,
    ):
        port = gateway.product.probe_port
        # No await from here on: the loop stands still until every answer is there.
        ready = {"status": "ready", "healthy_workers": 1, "total_workers": 1}
        assert probe(port) == (200, ready)
        assert probe(port, "/liveness") == (200, "OK")
        assert probe(port, "/health", "HEAD") == (200, "")


async def test_it_has_nothing_but_probes() -> None:
    async with Gateway(health_check_port=0, api_key="secret") as gateway:
        port = gateway.product.probe_port
        assert probe(port)[1]["reason"] == "insufficient healthy workers"
        assert probe(port, "/liveness") == (200, "OK")
        assert probe(port, "/v1/models")[0] == 404
        assert probe(port, "/metrics")[0] == 404
        assert probe(port, "/health", "POST")[0] == 405
        assert (await gateway.get("/readiness")).json() == probe(port)[1]  # the main port keeps it


async def test_it_is_there_until_the_end() -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.start_stream()
        await peer.send_chunk(b"data: {}\n\n")
        await peer.finished.wait()

    async with (
        RawServer(script) as worker,
        Gateway(worker_urls=[worker.url], health_check_port=0) as gateway,
    ):
        port = gateway.product.probe_port
        async with await gateway.connect() as client:
            await send_chat(client, stream=True)
            await client.read_head()
            stopping = asyncio.ensure_future(gateway.stop(grace=0.5))
            await asyncio.sleep(0)
            gateway.server.stop_accepting()
            with pytest.raises(ConnectionRefusedError):
                await gateway.connect()
            assert probe(port) == (503, {"status": "not ready", "reason": "draining"})
            assert probe(port, "/liveness") == (200, "OK")
            await stopping
        with pytest.raises(ConnectionRefusedError):
            probe(port)


async def test_without_the_flag_there_is_no_thread() -> None:
    async with Gateway() as gateway:
        assert gateway.product.probe_port == 0
        assert "smg-probes" not in {thread.name for thread in threading.enumerate()}


def test_a_process_tells_that_it_drains() -> None:
    port = free_port()
    flags = ("--health-check-port", str(port), "--shutdown-grace-period-secs", "2")
    with GatewayProcess("launch", *flags, wait_ready=False) as gateway:
        gateway.answers("/health")
        assert probe(port, "/liveness") == (200, "OK")
        gateway.signal(signal.SIGTERM)
        while probe(port)[1]["reason"] != "draining":
            pass
        assert probe(port, "/health") == (200, "OK")
        assert gateway.wait() == 0
    with pytest.raises(ConnectionRefusedError):
        probe(port)


def test_a_busy_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        ended = run_smg(
            *("launch", "--host", "127.0.0.1", "--port", str(free_port())),
            *("--prometheus-port", str(free_port()), "--health-check-port", str(port)),
        )
    assert ended.returncode == 1
    assert f"--health-check-port: cannot listen on 127.0.0.1:{port}" in ended.stderr
