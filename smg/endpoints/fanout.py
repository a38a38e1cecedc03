"""Admin calls that go to every worker: `POST /flush_cache` and `GET /get_loads` (http-api 17)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from smg.core.errors import GatewayError
from smg.core.tasks import TaskGroupOwner
from smg.fleet import load_formats
from smg.fleet.load_sources import own_report
from smg.fleet.probe import key_headers
from smg.server.handlers import Response, json_response

if TYPE_CHECKING:
    from smg.fleet.load_sources import LoadSources
    from smg.fleet.probe import Fetcher
    from smg.server.exchange import Exchange
    from smg.workers import LoadReport, Worker, WorkerRegistry

T = TypeVar("T")
R = TypeVar("R")

AT_ONCE = 32
FLUSH_SECS = 45.0


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

    def __init__(self, registry: WorkerRegistry, sources: LoadSources) -> None:
        self._registry = registry
        self._sources = sources

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
        if worker.connection_mode != "http":
            return entry
        said = await self._sources.ask(worker)
        report = own_report(worker.url, said.report)
        if report is not None:
            entry["load"] = _used_tokens(report)
            entry["details"] = _details(report, said.data if report is said.report else None)
        return entry


def _details(report: LoadReport, data: dict[str, Any] | None) -> dict[str, Any]:
    """In the words of `/v1/loads`, also of an engine that gave its load in another form."""
    if data is None:
        ranks = load_formats.entries(report)
        return {"timestamp": None, "dp_rank_count": len(ranks), "loads": ranks}
    ranks = [{key: rank[key] for key in load_formats.KEYS if key in rank} for rank in data["loads"]]
    return {
        "timestamp": data.get("timestamp"),
        "dp_rank_count": data.get("dp_rank_count", len(ranks)),
        "loads": ranks,
    }


def _used_tokens(report: LoadReport) -> int:
    known = [rank.used_tokens for rank in report.ranks if rank.used_tokens is not None]
    return sum(known) if known else -1
