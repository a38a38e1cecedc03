"""`GET /console/data`: what the console shows, as one JSON object (operations 1.16).

Numbers are those of the metrics; nothing is recorded for the console but the list of errors. The
answer is kept for a second, so that many viewers cost as much as one.
"""

from __future__ import annotations

import asyncio
import operator
from dataclasses import asdict
from time import perf_counter
from typing import TYPE_CHECKING, Any

from smg.endpoints.console.figures import (
    SLICE,
    Look,
    Looks,
    per_second,
    quantiles,
    share,
    take,
    total,
)
from smg.endpoints.memo import Memo
from smg.reliability.breaker import STATE_NAMES
from smg.server.handlers import Response, json_response
from smg.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

    from smg.fleet.clock import Clock
    from smg.fleet.readiness import Readiness
    from smg.observability.families import GatewayMetrics
    from smg.server import Exchange
    from smg.server.state import ServerState
    from smg.workers import Worker, WorkerRegistry

PATH = "/console/data"
#: workers that are listed; those in trouble come first
MOST_WORKERS = 1000
_PRIVATE = ((b"cache-control", b"no-store"),)


class ConsoleData:
    """The handler over one gateway. `server` is asked for late: the route is built before it."""

    def __init__(
        self,
        registry: WorkerRegistry,
        readiness: Readiness,
        metrics: GatewayMetrics,
        server: Callable[[], ServerState],
        clock: Clock,
    ) -> None:
        self._registry = registry
        self._readiness = readiness
        self._metrics = metrics
        self._server = server
        self._started = perf_counter()
        self._looks = Looks(self._started)
        self._memo = Memo("console", self._answer, clock)

    async def handle(self, exchange: Exchange) -> Response:
        """The data, at most a second old."""
        return await self._memo.get()

    async def close(self) -> None:
        """Cancel an answer under way."""
        await self._memo.close()

    async def _answer(self) -> Response:
        look = Look(perf_counter())
        for _ in take(self._metrics, look):
            await asyncio.sleep(0)
        workers = self._registry.all()
        rows = []
        for number, worker in enumerate(workers):
            rows.append(self._row(worker, look))
            if number % SLICE == SLICE - 1:
                await asyncio.sleep(0)
        before = self._looks.add(look)
        seconds = look.at - before.at
        for row in rows:
            url = row["url"]
            if url in look.workers:
                old = before.workers.get(url, 0.0)
                # A worker that was registered anew counts from 0.
                row["per_second"] = per_second(
                    old if old <= look.workers[url] else 0.0, look.workers[url], seconds
                )
        rows.sort(key=operator.itemgetter("healthy"))
        answer = json_response(
            {
                **self._figures(before, look, seconds, rows),
                "workers": rows[:MOST_WORKERS],
                "workers_total": len(rows),
                "errors": self._errors(),
            }
        )
        return Response(answer.status, answer.body, answer.content_type, _PRIVATE)

    def _figures(
        self, before: Look, look: Look, seconds: float, rows: list[dict[str, Any]]
    ) -> dict[str, Any]:
        metrics, snapshot = self._metrics, self._readiness.snapshot
        requests = look.requests - before.requests
        return {
            "version": __version__,
            "uptime_secs": look.at - self._started,
            "window_secs": seconds,
            "not_ready": snapshot.reason,
            "workers_healthy": snapshot.healthy,
            "requests": {
                "per_second": per_second(before.requests, look.requests, seconds),
                "error_share": share(look.errors - before.errors, requests),
                "in_flight": sum(row["load"] for row in rows),
                "queued": total(metrics.admission_queue_depth),
            },
            "latency": quantiles(before.latency, look.latency, metrics.router_request_duration),
            "ttft": quantiles(before.ttft, look.ttft, metrics.router_ttft),
            "overhead": quantiles(before.overhead, look.overhead, metrics.gateway_overhead),
            "tokens": {
                "input_per_second": per_second(before.input_tokens, look.input_tokens, seconds),
                "output_per_second": per_second(before.output_tokens, look.output_tokens, seconds),
            },
            "cache_hit_share": share(look.hits - before.hits, look.placed - before.placed),
        }

    def _errors(self) -> list[dict[str, Any]]:
        latest = self._server().recent_errors.latest()
        # A page that has no key yet finds that out here: no error that anybody looks for.
        return [asdict(error) for error in latest if error.path != PATH]

    def _row(self, worker: Worker, look: Look) -> dict[str, Any]:
        breaker = worker.breaker
        if breaker is not None:
            look.workers[worker.url] = float(breaker.good + breaker.bad)
        return {
            "url": worker.url,
            "models": list(worker.model_ids[:8]),
            "type": worker.worker_type,
            "engine": worker.runtime,
            "status": worker.status.value,
            "healthy": worker.is_healthy and (breaker is None or breaker.admits),
            "load": worker.load,
            "per_second": None,
            "breaker": None if breaker is None else STATE_NAMES[breaker.state],
            "failures": None if breaker is None else breaker.failures,
        }
