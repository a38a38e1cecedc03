"""The gateway as a fixture: in process and as a process."""

from __future__ import annotations

import signal

from tests.doubles.gateway import Gateway, GatewayProcess
from tests.doubles.raw_server import Peer, RawServer

CHAT = {"model": "test-model", "messages": [{"role": "user", "content": "hello"}]}


async def test_a_request_through_the_gateway():
    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        answer = await gateway.post("/v1/chat/completions", CHAT)
        assert answer.status == 200, answer.body
        assert answer.json()["model"] == "test-model"
        assert worker.requests[0].json() == CHAT
        await gateway.idle()
        samples = await gateway.metrics()
        assert samples.value("smg_http_requests_total", method="POST") == 1
        assert len(gateway.registry.all()) == 1


async def test_a_script_controls_the_stream():
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.start_stream()
        await peer.send_event({"choices": []})
        peer.reset()

    async with RawServer(script) as worker, Gateway(worker_urls=[worker.url]) as gateway:
        answer = await gateway.post("/v1/chat/completions", {**CHAT, "stream": True})
        assert "upstream_stream_cut" in answer.events()[-2]
        assert answer.events()[-1] == "[DONE]"
        await gateway.idle()
        samples = await gateway.metrics()
        assert samples.value("smg_upstream_streams_cut_total") == 1


async def test_without_workers_it_is_up_and_not_ready():
    async with Gateway() as gateway:
        assert (await gateway.get("/liveness")).status == 200
        assert (await gateway.get("/readiness")).status == 503


def test_a_process_with_signals_and_exit_code():
    with GatewayProcess("launch", "--shutdown-grace-period-secs", "0", wait_ready=False) as process:
        process.answers("/liveness")
        assert process.metrics().value("smg_http_requests_total") > 0
        process.signal(signal.SIGTERM)
        assert process.wait() == 0
    assert "server stopped" in process.log()
