"""CPU time of one proxied request inside the gateway, without sockets: both transports are doubles.

`python -m perf.micro.bench_request [--profile]`. Tells what our Python costs; the kernel and
uvloop come on top.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
from time import perf_counter

import uvloop

from perf.messages import MODEL, chat_answer, chat_body, request
from smg.backends.http import ForwardRules, HttpBackend, RelaySettings
from smg.core.deadlines import Ticker
from smg.observability.families import GatewayMetrics
from smg.observability.metrics import Registry
from smg.policies.base import PolicyContext
from smg.policies.registry import PolicyRegistry
from smg.server import HttpServer, Route
from smg.server.protocol import ClientConnection
from smg.upstream import HttpClient
from smg.upstream.connection import UpstreamConnection
from smg.workers import ModelCard, Worker, WorkerRegistry, WorkerStatus


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


async def bench(count: int, profile: bool, exactly: int) -> None:
    """Prints microseconds per request; with `exactly` only runs that many, for counting."""
    ticker = Ticker(asyncio.get_running_loop())
    registry = WorkerRegistry()
    worker = Worker("http://127.0.0.1:9", models=(ModelCard(id=MODEL),))
    registry.add(worker)
    registry.set_status(worker, WorkerStatus.READY)
    metrics = GatewayMetrics(Registry())
    client = HttpClient(ticker=ticker)
    backend = HttpBackend(
        registry=registry,
        policies=PolicyRegistry(registry, PolicyContext(metrics=metrics), default="round_robin"),
        client=client,
        ticker=ticker,
        settings=RelaySettings(),
        forward=ForwardRules(),
        metrics=metrics,
    )
    path = "/v1/chat/completions"
    route = Route("POST", path, backend.route("chat", path), endpoint="chat")
    server = HttpServer([route], ticker=ticker, metrics=metrics)
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


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=50_000)
    parser.add_argument("--exactly", type=int, default=0)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    uvloop.install()
    asyncio.run(bench(options.count, options.profile, options.exactly))


if __name__ == "__main__":
    main()
