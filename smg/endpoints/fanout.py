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
    from smg.fleet.load_sources import LoadSources, Said
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


async def for_each_address(
    workers: Sequence[Worker], ask: Callable[[Worker], Awaitable[R]]
) -> list[R]:
    """`ask` once per address, results by worker: data-parallel ranks share an address, and what is
    asked there concerns all of them.
    """
    first: dict[str, Worker] = {}
    for worker in workers:
        first.setdefault(worker.base_url, worker)
    results = await for_each(list(first.values()), ask)
    by_address = dict(zip(first, results, strict=True))
    return [by_address[worker.base_url] for worker in workers]


async def post(
    fetcher: Fetcher, worker: Worker, path: str, body: bytes = b"", *, timeout: float
) -> str | None:
    """One admin call with the worker's own key; what went wrong, None if nothing did. `body` is
    JSON, `timeout` in seconds.
    """
    headers = key_headers(worker)
    if body:
        headers += ((b"content-type", b"application/json"),)
    try:
        reply = await fetcher.fetch(
            worker.base_url, "POST", path, headers=headers, body=body, timeout=timeout
        )
    except GatewayError as error:
        return error.message
    return None if 200 <= reply.status < 300 else f"status {reply.status}"


def verdict(
    workers: Sequence[Worker], problems: Sequence[str | None]
) -> tuple[list[str], list[dict[str, str]]]:
    """The URLs of those without a problem, and an entry for each of the others."""
    pairs = list(zip(workers, problems, strict=True))
    done = [worker.url for worker, problem in pairs if problem is None]
    failed = [
        {"worker": worker.url, "error": problem} for worker, problem in pairs if problem is not None
    ]
    return done, failed


def flush_cache(
    registry: WorkerRegistry, fetcher: Fetcher
) -> Callable[[Exchange], Awaitable[Response]]:
    """Handler that empties the prefix cache of every worker; 206 if some refused."""

    async def flush(worker: Worker) -> str | None:
        return await post(fetcher, worker, "/flush_cache", timeout=FLUSH_SECS)

    async def handler(exchange: Exchange) -> Response:
        workers = registry.all()
        http = [worker for worker in workers if worker.connection_mode == "http"]
        done, failed = verdict(http, await for_each_address(http, flush))
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
        workers = self._registry.all()
        http = [worker for worker in workers if worker.connection_mode == "http"]
        said = await for_each_address(http, self._sources.ask)
        answers = dict(zip(http, said, strict=True))
        entries = [_entry(worker, answers.get(worker)) for worker in workers]
        known = sum(entry["load"] >= 0 for entry in entries)
        return json_response(
            {
                "workers": entries,
                "total_workers": len(entries),
                "successful": known,
                "failed": len(entries) - known,
            }
        )


def _entry(worker: Worker, said: Said | None) -> dict[str, Any]:
    entry: dict[str, Any] = {"worker": worker.url, "worker_type": worker.worker_type, "load": -1}
    if said is None:
        return entry
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
