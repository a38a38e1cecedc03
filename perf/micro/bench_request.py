"""CPU time of one proxied request inside the gateway, without sockets: both transports are doubles.

`python -m perf.micro.bench_request [--profile] [--layers NAME] [--observe NAME]`. Tells what our
Python costs; the kernel and uvloop come on top. `--layers` says what protects the request: nothing,
retries and circuit breakers, a concurrency limit besides, priority classes in the place of that.
`--observe`: besides metrics, the access log (JSON; the log thread's part is done in between, and
counted), traces, of which none or one in a hundred is sampled (`unsampled`, `trace`), or both;
`bare`: no metrics either.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import functools
import io
import logging
import pstats
import random
from collections.abc import Callable, Sequence
from time import perf_counter
from types import SimpleNamespace

import uvloop

from perf.messages import MODEL, chat_answer, chat_body, request
from smg.app.access import ServerLog
from smg.backends.http import ForwardRules, HttpBackend, RelaySettings
from smg.core.deadlines import Ticker
from smg.endpoints.admission import Gate
from smg.endpoints.priority import PriorityGate
from smg.fleet.breakers import Breakers
from smg.observability.families import GatewayMetrics
from smg.observability.log_format import JsonFormat, Redactor
from smg.observability.log_queue import LogQueue, LogWriter, StreamSink
from smg.observability.metrics import Registry
from smg.policies.base import PolicyContext
from smg.policies.registry import PolicyRegistry
from smg.reliability.admission import Admission
from smg.reliability.classes import SchedulerSettings
from smg.reliability.settings import BreakerSettings, RetrySettings
from smg.server import HttpServer, Route
from smg.server.exchange import Exchange
from smg.server.protocol import ClientConnection
from smg.upstream import HttpClient
from smg.upstream.connection import UpstreamConnection
from smg.workers import ModelCard, Worker, WorkerRegistry, WorkerStatus

Start = Callable[[Exchange], None]


class Transport:
    """Swallows writes."""

    def write(self, data: bytes) -> None:
        pass

    def close(self) -> None:
        pass

    abort = close

    def is_closing(self) -> bool:
        return False

    def set_write_buffer_limits(self, high: int = 0) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0


LAYERS = ("none", "retries", "limit", "priority")
OBSERVE = ("bare", "none", "log", "unsampled", "trace", "log-trace")
#: lines that wait when the log thread wakes: 20 ms at 3,000 requests/s
GATHERED = 120
#: the share of traces that is sampled
TRACED = {"unsampled": 0.0, "trace": 0.01, "log-trace": 0.01}


def nothing() -> None:
    """Between requests of a run without a log."""


def uncounted(backend: HttpBackend, server: HttpServer) -> None:
    """Takes the metrics out."""
    backend.series = None
    for endpoint in (*server.table.endpoints, server.table.other):
        endpoint.series = None


class Nowhere(io.StringIO):
    """Forgets what is written."""

    def write(self, text: str) -> int:
        return len(text)


def secrets() -> Redactor:
    """Something to look for in what is written."""
    redact = Redactor()
    redact.add("a-key-of-the-gateway")
    return redact


def log_of(server: HttpServer) -> Callable[[], None]:
    """Switches the access log on. Call what it returns between requests: it writes what waits."""
    queue = LogQueue()
    writer = LogWriter(queue, [StreamSink(Nowhere(), JsonFormat(secrets()))])
    logging.getLogger("smg").setLevel(logging.INFO)
    ServerLog(server, SimpleNamespace(submit=queue.submit, subscribe=lambda refresh: None))  # type: ignore[arg-type]

    def write() -> None:
        if queue.items.qsize() >= GATHERED:
            while not queue.items.empty():
                writer.work(queue.items.get())

    return write


class Traces:
    """What `--enable-trace` puts before requests; spans are encoded and thrown away."""

    def __init__(self, ratio: float) -> None:
        from opentelemetry.sdk.trace.export import SpanExportResult

        from smg.observability.tracing.export import SpanExport
        from smg.observability.tracing.otlp import Encoder
        from smg.observability.tracing.span import Span
        from smg.server.tracing import RequestTracer, TracedServer

        class Encoded:
            encode = Encoder("0", secrets())

            def export(self, spans: Sequence[Span], /) -> SpanExportResult:
                self.encode(spans).SerializeToString()
                return SpanExportResult.SUCCESS

            def shutdown(self) -> None:
                pass

        random.seed(1)  # which ones are sampled
        self._export = SpanExport("", "0", exporter=Encoded())
        tracer = RequestTracer(ratio, self._export.emit)
        self._spans = tracer.spans
        self.server = functools.partial(TracedServer, tracer=tracer)

    def route(self, backend: HttpBackend, path: str) -> Start:
        """As `app/tracing.py` builds it."""
        from smg.backends.http.traced_start import traced_route

        return traced_route(backend, self._spans, "chat", path)

    def close(self) -> None:
        """Encode the last ones."""
        self._export.close()


async def bench(count: int, profile: bool, exactly: int, layers: str, observe: str) -> None:
    """Prints microseconds per request; with `exactly` only runs that many, for counting."""
    ticker = Ticker(asyncio.get_running_loop())
    registry = WorkerRegistry()
    metrics = GatewayMetrics(Registry())
    if layers != "none":
        Breakers(registry, BreakerSettings(), ticker, metrics)
    worker = Worker("http://127.0.0.1:9", models=(ModelCard(id=MODEL),))
    registry.add(worker)
    registry.set_status(worker, WorkerStatus.READY)
    client = HttpClient(ticker=ticker)
    backend = HttpBackend(
        registry=registry,
        policies=PolicyRegistry(registry, PolicyContext(metrics=metrics), default="round_robin"),
        client=client,
        ticker=ticker,
        settings=RelaySettings(retry=None if layers == "none" else RetrySettings()),
        forward=ForwardRules(),
        metrics=metrics,
    )
    path = "/v1/chat/completions"
    tracing = Traces(TRACED[observe]) if observe in TRACED else None
    start = backend.route("chat", path) if tracing is None else tracing.route(backend, path)
    if layers == "limit":
        start = Gate(Admission(256), ticker, metrics).before(start)
    elif layers == "priority":
        scheduler = SchedulerSettings(capacity=256)
        gate = PriorityGate(scheduler, registry, ticker, metrics, tenant=lambda exchange: "")
        start = gate.before(start)
    route = Route("POST", path, start, endpoint="chat")
    kind = HttpServer if tracing is None else tracing.server
    server = kind([route], ticker=ticker, metrics=metrics)
    between = log_of(server) if observe.startswith("log") else nothing
    if observe == "bare":
        uncounted(backend, server)
    conn = ClientConnection(server)
    conn.connection_made(Transport())  # type: ignore[arg-type]
    pool = client.pool(worker.url)
    upstream = UpstreamConnection(pool)
    upstream.connection_made(Transport())  # type: ignore[arg-type]
    pool.release(upstream)
    body = request(chat_body(), "127.0.0.1", 9)
    answer = chat_answer("w")
    answer = (
        b"HTTP/1.1 200 OK\r\ndate: Sat, 21 Nov 2026 22:22:22 GMT\r\nserver: uvicorn\r\n"
        b"content-length: %d\r\ncontent-type: application/json\r\n\r\n%b" % (len(answer), answer)
    )

    def run(times: int) -> float:
        began = perf_counter()
        for _ in range(times):
            conn.data_received(body)
            upstream.data_received(answer)
            between()
        return (perf_counter() - began) / times * 1e6

    run(exactly or 1000)
    assert not server.exchanges, "a request is stuck"
    if profile:
        profiler = cProfile.Profile()
        profiler.runcall(run, count)
        pstats.Stats(profiler).sort_stats("tottime").print_stats(30)
    elif not exactly:
        print(f"{min(run(count // 5) for _ in range(5)):.2f} us per request")
    await server.close()
    await client.close()
    if tracing is not None:
        tracing.close()


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=50_000)
    parser.add_argument("--exactly", type=int, default=0)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--layers", choices=LAYERS, default="none")
    parser.add_argument("--observe", choices=OBSERVE, default="none")
    options = parser.parse_args()
    uvloop.install()
    asyncio.run(
        bench(options.count, options.profile, options.exactly, options.layers, options.observe)
    )


if __name__ == "__main__":
    main()
