"""The lines that operators look for, from a gateway at work (operations 1.7)."""

from __future__ import annotations

import contextlib
import io
import json
import signal
import time
from collections.abc import AsyncIterator
from typing import Any

from smg.observability.logging import configure
from tests.doubles.gateway import Gateway, GatewayProcess
from tests.doubles.raw_client import ClosedEarly, request_bytes
from tests.doubles.raw_server import STREAM_HEAD, Peer, RawServer, response_bytes
from tests.doubles.traffic import CHAT, chat, until

Lines = list[dict[str, Any]]


@contextlib.asynccontextmanager
async def logging_gateway(
    worker: RawServer, lines: Lines, level: str = "info", **config: Any
) -> AsyncIterator[Gateway]:
    """A gateway whose log is in `lines` once it has stopped."""
    out = io.StringIO()
    handle = configure(level, json=True, environ={}, stream=out)
    try:
        async with Gateway(worker_urls=[worker.url], log_handle=handle, **config) as gateway:
            yield gateway
        assert handle.flush()
    finally:
        handle.close()
    lines += map(json.loads, out.getvalue().splitlines())


def of(lines: Lines, **fields: Any) -> Lines:
    """Lines with all these fields."""
    return [line for line in lines if fields.items() <= line.items()]


async def test_a_stream_that_breaks_adds_one_error() -> None:
    async def cut(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(STREAM_HEAD + b"20\r\ndata: half")
        peer.close()

    lines: Lines = []
    async with RawServer(cut) as worker, logging_gateway(worker, lines) as gateway:
        async with await gateway.connect() as client:
            headers = {"x-request-id": "mine"}
            await client.send(request_bytes("POST", f"{CHAT}?a=1", chat(stream=True), headers))
            with contextlib.suppress(ClosedEarly, ConnectionResetError):
                await client.answer("POST")
    start, head, failed = of(lines, request_id="mine")
    span = {"method": "POST", "uri": f"{CHAT}?a=1", "version": "HTTP/1.1", "module": "smg"}
    assert start | span | {"level": "INFO", "target": "smg::request"} == start
    assert head | span | {"level": "INFO", "target": "smg::response", "status_code": 200} == head
    expected = {"level": "ERROR", "target": "smg::response", "error": "upstream_stream_cut"}
    assert failed | span | expected | {"worker": worker.url} == failed
    assert of(lines, level="ERROR") == [failed]


async def test_retries_that_did_not_help() -> None:
    async def refuses(peer: Peer) -> None:
        while True:
            await peer.read_request()
            await peer.send(response_bytes(503, {}))

    retries: dict[str, Any] = {
        "disable_retries": False,
        "retry_max_retries": 2,
        "retry_initial_backoff_ms": 1,
        "retry_max_backoff_ms": 2,
    }
    lines: Lines = []
    async with (
        RawServer(refuses) as worker,
        logging_gateway(worker, lines, **retries) as gateway,
    ):
        assert (await gateway.post(CHAT, chat(), {"x-request-id": "mine"})).status == 503
    (exhausted,) = of(lines, level="WARN", request_id="mine")
    assert exhausted["message"] == "retries exhausted after 2 attempts"
    (error,) = of(lines, level="ERROR")  # one for a 5xx, however it came about
    assert (error["request_id"], error["status_code"]) == ("mine", 503)


async def test_why_a_worker_was_chosen() -> None:
    lines: Lines = []
    async with (
        RawServer() as worker,
        logging_gateway(worker, lines, "debug", policy="manual") as gateway,
    ):
        await gateway.post(CHAT, chat(), {"x-smg-routing-key": "k"})
    (routed,) = [line for line in lines if line["message"].startswith("routed to")]
    assert routed["level"] == "DEBUG"
    assert (routed["worker"], routed["model_id"]) == (worker.url, "test-model")
    assert routed["branch"]
    assert f"reason={routed['branch']}" in routed["routing_decision"]


async def test_workers_come_and_go() -> None:
    lines: Lines = []
    async with (
        RawServer() as worker,
        logging_gateway(worker, lines, drain_settle_secs=0) as gateway,
    ):
        (known,) = gateway.registry.all()
        assert (await gateway.request("DELETE", f"/workers/{known.id}")).status == 202
        await until(lambda: not gateway.registry.all())
    messages = [line["message"] for line in lines]
    assert f"worker {worker.url} was removed" in messages
    assert any(text.startswith(f"worker {worker.url} is ready") for text in messages)


def test_a_process_from_start_to_end() -> None:
    flags = ("--log-json", "--shutdown-grace-period-secs", "0")
    with GatewayProcess("launch", *flags, wait_ready=False) as gateway:
        gateway.answers("/liveness")  # at DEBUG, not shown
        gateway.signal(signal.SIGUSR1)
        end = time.monotonic() + 10
        while "log level is now debug" not in gateway.log():
            assert time.monotonic() < end
            time.sleep(0.01)
        gateway.answers("/health")
        gateway.stop()
    lines = [json.loads(line) for line in gateway.log().splitlines()]
    assert lines[0]["message"].startswith("Starting router: version ")
    assert lines[0]["level"] == "INFO"
    assert {line["uri"] for line in of(lines, level="DEBUG", target="smg::response")} == {"/health"}
    assert lines[-1]["message"] == "server stopped"
