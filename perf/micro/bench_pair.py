"""CPU time of one request to a prefill/decode pair inside the gateway, without sockets.

`python -m perf.micro.bench_pair [--engine vllm] [--bytes 32000] [--profile]`; see `bench_request`,
which is the same for one worker.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
from time import perf_counter

import uvloop

from perf.messages import MODEL, SMALL_BODY, chat_answer, chat_body, request
from perf.micro.bench_request import Transport
from smg.backends.http import ForwardRules, RelaySettings
from smg.backends.http.pd import PairBackend
from smg.core.deadlines import Ticker
from smg.fleet.breakers import Breakers
from smg.observability.families import GatewayMetrics
from smg.observability.metrics import Registry
from smg.policies.base import PolicyContext
from smg.policies.registry import PolicyRegistry
from smg.reliability.settings import BreakerSettings, RetrySettings
from smg.server import HttpServer, Route
from smg.server.protocol import ClientConnection
from smg.upstream import HttpClient
from smg.upstream.connection import UpstreamConnection
from smg.workers import ModelCard, Worker, WorkerRegistry, WorkerSpec, WorkerStatus

PARAMS = (
    b'{"kv_transfer_params":{"do_remote_prefill":true,"remote_engine_id":"e",'
    b'"remote_block_ids":[1,2,3],"remote_host":"h","remote_port":1},'
)


async def bench(count: int, engine: str, size: int, profile: bool, exactly: int) -> None:
    """Prints microseconds per request; with `exactly` only runs that many, for counting."""
    ticker = Ticker(asyncio.get_running_loop())
    registry = WorkerRegistry()
    metrics = GatewayMetrics(Registry())
    Breakers(registry, BreakerSettings(), ticker, metrics)
    client = HttpClient(ticker=ticker)
    conns = []
    for port, role in ((8, "prefill"), (9, "decode")):
        url = f"http://127.0.0.1:{port}"
        spec = WorkerSpec(url=url, bootstrap_port=8998, kv_connector="NixlConnector")
        card = ModelCard(id=MODEL)
        worker = Worker(url, models=(card,), worker_type=role, runtime=engine, spec=spec)
        registry.add(worker)
        registry.set_status(worker, WorkerStatus.READY)
        pool = client.pool(url)
        conns.append(UpstreamConnection(pool))
        conns[-1].connection_made(Transport())  # type: ignore[arg-type]
        pool.release(conns[-1])
    prefill, decode = conns
    backend = PairBackend(
        registry=registry,
        policies=PolicyRegistry(registry, PolicyContext(metrics=metrics), default="round_robin"),
        client=client,
        ticker=ticker,
        settings=RelaySettings(retry=RetrySettings()),
        forward=ForwardRules(),
        metrics=metrics,
    )
    path = "/v1/chat/completions"
    route = Route("POST", path, backend.route("chat", path), endpoint="chat")
    server = HttpServer([route], ticker=ticker, metrics=metrics)
    conn = ClientConnection(server)
    conn.connection_made(Transport())  # type: ignore[arg-type]
    body = request(chat_body(size), "127.0.0.1", 9)
    said = chat_answer("w")
    answer, prefilled = whole(said), whole(PARAMS + said[1:])

    def run(times: int) -> float:
        began = perf_counter()
        for _ in range(times):
            conn.data_received(body)
            prefill.data_received(prefilled)
            decode.data_received(answer)
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


def whole(body: bytes) -> bytes:
    return (
        b"HTTP/1.1 200 OK\r\ndate: Sat, 21 Nov 2026 22:22:22 GMT\r\nserver: uvicorn\r\n"
        b"content-length: %d\r\ncontent-type: application/json\r\n\r\n%b" % (len(body), body)
    )


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--engine", choices=["sglang", "vllm"], default="sglang")
    parser.add_argument("--bytes", type=int, default=SMALL_BODY)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--exactly", type=int, default=0)
    options = parser.parse_args()
    uvloop.install()
    asyncio.run(
        bench(options.count, options.engine, options.bytes, options.profile, options.exactly)
    )


if __name__ == "__main__":
    main()
