"""What a collector gets, and what workers see, with `--enable-trace`."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import time
from typing import Any

import grpc
import pytest

from smg.app import tracing
from smg.server import HttpServer
from tests.doubles.gateway import Gateway, GatewayProcess, free_port
from tests.doubles.otlp_collector import Collector, Exported
from tests.doubles.raw_client import request_bytes
from tests.doubles.raw_server import STREAM_HEAD, Peer, RawServer, Script, response_bytes
from tests.doubles.traffic import CHAT, chat, nothing_left, until

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"
FRAME = b'10\r\ndata: {"n": 1}\n\n\r\n'
RETRIES: dict[str, Any] = {
    "disable_retries": False,
    "retry_initial_backoff_ms": 1,
    "retry_max_backoff_ms": 50,
}


def traced(collector: Collector, *workers: RawServer, **config: Any) -> Gateway:
    """A gateway that exports to `collector`."""
    return Gateway(
        worker_urls=[worker.url for worker in workers],
        enable_trace=True,
        otlp_traces_endpoint=collector.endpoint,
        **config,
    )


def from_caller(flags: str = "01") -> dict[str, str]:
    return {"Traceparent": f"00-{TRACE}-{CALLER}-{flags}", "Tracestate": "a=b,c=d"}


def seen(worker: RawServer) -> tuple[str, str, str]:
    """Trace id, span id and flags that the last request reached the worker with."""
    (value,) = [value for name, value in worker.requests[-1].headers if name == "traceparent"]
    version, trace_id, span_id, flags = value.split("-")
    assert version == "00"
    return trace_id, span_id, flags


def names(span: Exported) -> list[str]:
    return [name for name, _ in span.events]


def always(status: int) -> Script:
    async def script(peer: Peer) -> None:
        while True:
            await peer.read_request()
            await peer.send(response_bytes(status, {"status": status}))

    return script


async def test_a_request_is_one_span_of_its_callers_trace() -> None:
    with Collector() as collector:
        async with RawServer() as worker, traced(collector, worker) as gateway:
            headers = {**from_caller(), "X-Request-Id": "mine"}
            answer = await gateway.post(f"{CHAT}?a=b&api_key=hush", chat(), headers)
            assert answer.status == 200
            trace_id, span_id, flags = seen(worker)
            state = worker.requests[-1].header("tracestate")
        (span,) = collector.spans
        assert (trace_id, flags, state) == (TRACE, "01", "a=b,c=d")
        assert (span.trace_id, span.span_id, span.parent_id) == (TRACE, span_id, CALLER)
        assert (span.name, span.kind, span.failed) == ("http_request", 2, False)
        assert span.trace_state == "a=b,c=d"
        latency = span.attributes.pop("latency")
        assert 0 < latency <= (span.end - span.start) / 1000 + 1
        assert span.attributes == {
            "method": "POST",
            "uri": f"{CHAT}?a=b&api_key=[redacted]",
            "version": "HTTP/1.1",
            "request_id": "mine",
            "module": "smg",
            "route": CHAT,
            "model": "test-model",
            "status_code": 200,
        }
        assert span.events == [
            ("request sent", {"url": worker.url}),
            ("response received", {"url": worker.url, "status_code": 200}),
        ]
        assert [span.start, *span.event_times, span.end] == sorted(
            [span.start, *span.event_times, span.end]
        )
        assert abs(span.start / 1e9 - time.time()) < 60
        assert span.resource["service.name"] == "smg"


async def test_a_trace_begins_here_without_a_caller() -> None:
    with Collector() as collector:
        async with RawServer() as worker, traced(collector, worker) as gateway:
            await gateway.post(CHAT, chat())
            first = seen(worker)
            await gateway.post(CHAT, chat())
            second = seen(worker)
        assert {first[2], second[2]} == {"01"}
        assert first[0] != second[0]
        assert [(span.trace_id, span.span_id) for span in collector.spans] == [
            first[:2],
            second[:2],
        ]
        assert [span.parent_id for span in collector.spans] == ["", ""]


async def test_what_is_not_sampled_is_passed_on_and_not_exported() -> None:
    with Collector() as collector:
        async with (
            RawServer() as worker,
            traced(collector, worker, trace_sampling_ratio=0.0) as gateway,
        ):
            await gateway.post(CHAT, chat())
            trace_id, span_id, flags = seen(worker)
            assert (int(trace_id, 16) > 0, int(span_id, 16) > 0, flags) == (True, True, "00")
            await gateway.post(CHAT, chat(), from_caller("01"))
            assert seen(worker)[0] == TRACE
        (span,) = collector.spans  # the caller's decision counts, either way
        assert span.parent_id == CALLER


async def test_a_caller_that_does_not_sample_is_obeyed() -> None:
    with Collector() as collector:
        async with RawServer() as worker, traced(collector, worker) as gateway:
            await gateway.post(CHAT, chat(), from_caller("00"))
            assert seen(worker) == (TRACE, CALLER, "00")
        assert collector.spans == []


@pytest.mark.parametrize(
    "headers",
    [
        [("traceparent", f"00-{'0' * 32}-{CALLER}-01"), ("tracestate", "a=b")],
        [("traceparent", "garbage"), ("tracestate", "a=b")],
        [("traceparent", f"00-{TRACE}-{CALLER}-01")] * 2 + [("tracestate", "a=b")],
    ],
)
async def test_a_broken_context_begins_a_new_trace(headers: list[tuple[str, str]]) -> None:
    with Collector() as collector:
        async with RawServer() as worker, traced(collector, worker) as gateway:
            await gateway.post(CHAT, chat(), headers)
            trace_id, _, flags = seen(worker)
            assert trace_id != TRACE
            assert flags == "01"
            assert worker.requests[-1].header("tracestate") is None
        assert [span.trace_id for span in collector.spans] == [trace_id]


async def test_probes_have_no_spans_and_other_routes_do() -> None:
    with Collector() as collector:
        async with RawServer() as worker, traced(collector, worker) as gateway:
            for path in ("/health", "/liveness", "/readiness"):
                await gateway.get(path)
            await gateway.get("/v1/models")
            await gateway.get("/nowhere")
        found = [
            (span.attributes["route"], span.attributes["status_code"]) for span in collector.spans
        ]
        assert found == [("/v1/models", 200), ("other", 404)]


async def test_errors() -> None:
    with Collector() as collector:
        async with (
            RawServer(always(503)) as worker,
            traced(collector, worker, worker_startup_timeout_secs=1) as gateway,
        ):
            await gateway.post(CHAT, b"{")
            await gateway.post(CHAT, chat())
            await worker.stop()
            await gateway.post(CHAT, chat())
        bad, relayed, refused = collector.spans
        assert (bad.attributes["status_code"], bad.failed) == (400, False)
        assert bad.attributes["error"] == "json_parse_error"
        assert (relayed.attributes["status_code"], relayed.failed) == (503, True)
        assert "error" not in relayed.attributes  # the worker's own
        assert refused.attributes["status_code"] >= 500
        assert refused.failed
        assert refused.attributes["error"]
        assert names(refused)[-1] == "attempt failed"
        assert refused.events[-1][1]["url"] == worker.url


async def test_retries_are_events_of_one_span() -> None:
    with Collector() as collector:
        async with (
            RawServer(always(503)) as bad,
            RawServer() as good,
            traced(collector, bad, good, **RETRIES) as gateway,
        ):
            for _ in range(2):  # one of the two meets the bad one first
                assert (await gateway.post(CHAT, chat())).status == 200
        longest = max(collector.spans, key=lambda span: len(span.events))
        assert longest.events == [
            ("request sent", {"url": bad.url}),
            ("response received", {"url": bad.url, "status_code": 503}),
            ("request sent", {"url": good.url}),
            ("response received", {"url": good.url, "status_code": 200}),
        ]
        assert len(collector.spans) == 2
        assert not longest.failed


async def streams_until(peer: Peer, go_on: asyncio.Event, last: bytes | None) -> None:
    await peer.read_request()
    await peer.send(STREAM_HEAD + FRAME)
    await go_on.wait()
    if last is None:
        peer.close()
    else:
        await peer.send(last)
        await peer.finished.wait()


@pytest.mark.parametrize("end", ["complete", "cut", "gone"])
async def test_the_span_of_a_stream_ends_with_it(end: str) -> None:
    go_on = asyncio.Event()

    async def script(peer: Peer) -> None:
        await streams_until(peer, go_on, None if end == "cut" else FRAME + b"0\r\n\r\n")

    with Collector() as collector:
        async with RawServer(script) as worker, traced(collector, worker) as gateway:
            async with await gateway.connect() as client:
                await client.send(request_bytes("POST", CHAT, chat(stream=True)))
                head = await client.read_head()
                assert head.status == 200
                (open_span,) = gateway.product.tracing.spans.values()
                halfway = time.time_ns()
                if end != "gone":
                    go_on.set()
                    await until(lambda: not gateway.product.tracing.spans)
            await until(lambda: not gateway.product.tracing.spans)
            go_on.set()
            await nothing_left(gateway)
        (span,) = collector.spans
        assert span.span_id == f"{open_span.span.span_id:016x}"
        assert span.end > halfway
        assert span.start / 1000 + span.attributes["latency"] <= halfway / 1000
        assert span.attributes["status_code"] == 200
        errors = {"complete": None, "cut": "upstream_stream_cut", "gone": "client_gone"}
        assert span.attributes.get("error") == errors[end]
        assert span.failed == (end == "cut")


async def test_a_client_that_leaves_before_the_answer() -> None:
    async def silent(peer: Peer) -> None:
        await peer.read_request()
        await peer.finished.wait()

    with Collector() as collector:
        async with RawServer(silent) as worker, traced(collector, worker) as gateway:
            async with await gateway.connect() as client:
                await client.send(request_bytes("POST", CHAT, chat()))
                await until(lambda: len(worker.requests) == 1)
            await nothing_left(gateway)
        (span,) = collector.spans
        assert span.attributes["error"] == "client_gone"
        assert not {"status_code", "latency"} & set(span.attributes)
        assert not span.failed


async def test_admission_and_spans_share_the_permit() -> None:
    """Both end with the request: the permit comes back, and who waited has a span too."""
    go_on = asyncio.Event()

    async def script(peer: Peer) -> None:
        while True:
            await peer.read_request()
            await go_on.wait()
            await peer.send(response_bytes(200, {"ok": True}))

    limits = {"max_concurrent_requests": 1, "queue_size": 1}
    with Collector() as collector:
        async with RawServer(script) as worker, traced(collector, worker, **limits) as gateway:
            first = asyncio.ensure_future(gateway.post(CHAT, chat()))
            await until(lambda: len(worker.requests) == 1)
            second = asyncio.ensure_future(gateway.post(CHAT, chat()))
            await until(lambda: len(gateway.product.tracing.spans) == 2)
            refused = await gateway.post(CHAT, chat())
            go_on.set()
            statuses = [(await first).status, (await second).status, refused.status]
            assert statuses == [200, 200, 429]
            await nothing_left(gateway)
            assert (await gateway.metrics()).value("smg_admission_inflight") == 0
        found = sorted(span.attributes["status_code"] for span in collector.spans)
        assert found == [200, 200, 429]


async def test_an_answer_that_the_gateway_builds() -> None:
    scores = {"results": [{"index": 0, "relevance_score": 0.5}]}

    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(response_bytes(200, scores))

    with Collector() as collector:
        async with RawServer(script) as worker, traced(collector, worker) as gateway:
            body = {"model": "test-model", "query": "q", "documents": ["d"]}
            await gateway.post("/v1/rerank", body)
        (span,) = collector.spans
        assert names(span) == ["request sent", "response received"]
        assert span.attributes["route"] == "/v1/rerank"
        assert "client_gone" not in span.attributes.values()


@pytest.mark.parametrize("trouble", ["absent", "refuses"])
async def test_a_collector_in_trouble_costs_no_request(
    trouble: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tracing, "FLUSH_SECS", 0.3)
    with Collector(refuse=grpc.StatusCode.PERMISSION_DENIED) as collector:
        endpoint = collector.endpoint if trouble == "refuses" else f"127.0.0.1:{free_port()}"
        with caplog.at_level(logging.INFO, "smg"):
            async with (
                RawServer() as worker,
                Gateway(
                    worker_urls=[worker.url], enable_trace=True, otlp_traces_endpoint=endpoint
                ) as gateway,
            ):
                for _ in range(200):
                    assert (await gateway.post(CHAT, chat())).status == 200
                if trouble == "refuses":
                    await until(lambda: "does not take spans" in caplog.text)
    assert collector.spans == []
    ours = ("smg.app.tracing", "smg.observability.tracing.export")
    (_, line) = [record.message for record in caplog.records if record.name in ours]
    if trouble == "refuses":  # each of its batches; said once
        assert line == "the trace collector does not take spans, they are dropped until it does"
    else:  # the exporter would try for ten seconds
        assert line == "the last traces were not exported: the collector does not answer"


async def test_a_collector_that_hangs_does_not_hold_the_end_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tracing, "FLUSH_SECS", 0.2)
    with Collector() as collector:
        collector.gate.clear()
        async with RawServer() as worker, traced(collector, worker) as gateway:
            assert (await gateway.post(CHAT, chat())).status == 200
            await gateway.stop()
            assert "the last traces were not exported" in caplog.text
            assert collector.asked.is_set()
        assert collector.spans == []


def test_a_process_flushes_when_it_is_told_to_stop() -> None:
    arguments = ("--enable-trace", "--shutdown-grace-period-secs", "0", "--log-level", "error")
    with (
        Collector() as collector,
        GatewayProcess(
            "launch", *arguments, "--otlp-traces-endpoint", collector.endpoint, wait_ready=False
        ) as gateway,
    ):
        gateway.answers("/workers")
        gateway.stop()
        assert gateway.process is not None
        assert gateway.process.returncode == 0, gateway.log()
        # At --log-level error: traces do not depend on what is logged.
        assert [span.attributes["route"] for span in collector.spans][-1:] == ["/workers"]


async def test_without_the_flag_there_is_nothing_of_it() -> None:
    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        assert type(gateway.server) is HttpServer
        assert gateway.product.tracing is None
        await gateway.post(CHAT, chat())
        assert worker.requests[-1].header("traceparent") is None
        await gateway.post(CHAT, chat(), from_caller("01"))
        assert seen(worker) == (TRACE, CALLER, "01")


def test_without_the_flag_nothing_of_it_is_loaded() -> None:
    code = (
        "import sys, smg.app.build, smg.app.main, smg.launch_router\n"
        "from smg.config.parse import parse\n"
        "parse(['--otlp-traces-endpoint', 'no-port'])\n"
        "print(*(name for name in sys.modules if 'opentelemetry' in name or name == 'grpc'"
        " or 'trac' in name and name.startswith('smg')))"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert output.stdout.strip() == ""
