"""Admin calls that go to every worker: `POST /flush_cache` and `GET /get_loads` (http-api 17)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from smg.core.errors import GatewayError
from smg.core.tasks import TaskGroupOwner
from smg.fleet.probe import Answer, ask_json, key_headers
from smg.server.handlers import Response, json_response

if TYPE_CHECKING:
    from smg.fleet.probe import Fetcher
    from smg.server.exchange import Exchange
    from smg.workers import Worker, WorkerEvent, WorkerRegistry

T = TypeVar("T")
R = TypeVar("R")

AT_ONCE = 32
FLUSH_SECS = 45.0
LOADS_SECS = 5.0
LOADS_PATH = "/v1/loads?include=core,disagg,queues,memory"

_LOAD_KEYS = (
    "dp_rank",
    "num_running_reqs",
    "num_waiting_reqs",
    "num_waiting_uncached_tokens",
    "num_total_reqs",
    "num_used_tokens",
    "max_total_num_tokens",
    "token_usage",
    "gen_throughput",
    "cache_hit_rate",
    "utilization",
    "max_running_requests",
    "kv_transfer_latency_ms",
    "kv_transfer_speed_gb_s",
    "prefill_queue_reqs",
    "decode_queue_reqs",
    "disagg_mode",
)


async def for_each(items: Sequence[T], ask: Callable[[T], Awaitable[R]]) -> list[R]:
    """`ask` for every item, 32 at a time, results in order; ends together with its caller."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(item: T) -> R:
        async with slots:
            return await ask(item)

    tasks = TaskGroupOwner("fanout")
    try:
        started = [tasks.start(one(item), "one") for item in items]
        results: list[R] = await asyncio.gather(*started)
        return results
    finally:
        await tasks.close()


def flush_cache(
    registry: WorkerRegistry, fetcher: Fetcher
) -> Callable[[Exchange], Awaitable[Response]]:
    """Handler that empties the prefix cache of every worker; 206 if some refused."""

    async def flush(worker: Worker) -> str | None:
        try:
            reply = await fetcher.fetch(
                worker.url, "POST", "/flush_cache", headers=key_headers(worker), timeout=FLUSH_SECS
            )
        except GatewayError as error:
            return error.message
        return None if 200 <= reply.status < 300 else f"status {reply.status}"

    async def handler(exchange: Exchange) -> Response:
        workers = registry.all()
        http = [worker for worker in workers if worker.connection_mode == "http"]
        problems = await for_each(http, flush)
        done = [
            worker.url for worker, problem in zip(http, problems, strict=True) if problem is None
        ]
        failed = [
            {"worker": worker.url, "error": problem}
            for worker, problem in zip(http, problems, strict=True)
            if problem is not None
        ]
        modes = [worker.connection_mode for worker in workers]
        body: dict[str, Any] = {
            "status": "partial_success" if failed else "success",
            "message": f"Flushed the cache of {len(done)} of {len(http)} workers",
            "workers_flushed": len(done),
            "total_http_workers": len(http),
            "total_grpc_workers": modes.count("grpc"),
            "total_zmq_workers_skipped": modes.count("zmq"),
            "total_workers": len(workers),
        }
        if failed:
            body["successful"] = done
            body["failed"] = failed
        return json_response(body, 206 if failed else 200)

    return handler


class Loads:
    """`GET /get_loads`: KV tokens in use per worker, -1 where unknown."""

    def __init__(self, registry: WorkerRegistry, fetcher: Fetcher) -> None:
        self._registry = registry
        self._fetcher = fetcher
        self._absent: set[str] = set()  # ids of workers without the route
        self.close = registry.subscribe(self._on_event)

    async def handle(self, exchange: Exchange) -> Response:
        """Always 200; every registered worker has an entry."""
        entries = await for_each(self._registry.all(), self._entry)
        known = sum(entry["load"] >= 0 for entry in entries)
        return json_response(
            {
                "workers": entries,
                "total_workers": len(entries),
                "successful": known,
                "failed": len(entries) - known,
            }
        )

    async def _entry(self, worker: Worker) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "worker": worker.url,
            "worker_type": worker.worker_type,
            "load": -1,
        }
        details = await self._details(worker)
        if details is not None:
            entry["load"] = _used_tokens(details["loads"])
            entry["details"] = details
        return entry

    async def _details(self, worker: Worker) -> dict[str, Any] | None:
        if worker.connection_mode != "http" or worker.id in self._absent:
            return None
        answer = await ask_json(self._fetcher, worker, LOADS_PATH, timeout=LOADS_SECS)
        details = _details(answer)
        lacks = answer.status in (404, 405, 501) or (answer.status == 200 and details is None)
        if lacks and worker in self._registry:
            self._absent.add(worker.id)
        return details

    def _on_event(self, event: WorkerEvent) -> None:
        # Other models may mean another engine.
        if event.kind in ("removed", "models"):
            self._absent.discard(event.worker.id)


def _details(answer: Answer) -> dict[str, Any] | None:
    data = answer.data
    loads = data.get("loads") if isinstance(data, dict) else None
    if not isinstance(loads, list) or not all(isinstance(rank, dict) for rank in loads):
        return None
    ranks = [{key: rank[key] for key in _LOAD_KEYS if key in rank} for rank in loads]
    return {
        "timestamp": data.get("timestamp"),
        "dp_rank_count": data.get("dp_rank_count", len(ranks)),
        "loads": ranks,
    }


def _used_tokens(ranks: list[dict[str, Any]]) -> int:
    used = [rank.get("num_used_tokens") for rank in ranks]
    known = [tokens for tokens in used if isinstance(tokens, int) and tokens >= 0]
    return sum(known) if known else -1
