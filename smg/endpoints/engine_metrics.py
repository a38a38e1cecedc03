"""`GET /engine_metrics`: the workers' own metrics as one exposition.

The route is of the data-plane class: it needs a key as soon as keys exist. The answer is kept for a
second, so that many scrapers cost the engines as much as one.
Merging: `smg.observability.engine_metrics`.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from smg.core.errors import GatewayError
from smg.endpoints.fanout import for_each_address
from smg.endpoints.memo import Memo
from smg.fleet.probe import describe, key_headers
from smg.observability import engine_metrics
from smg.observability.turns import Turns
from smg.server.handlers import Response, text_response

if TYPE_CHECKING:
    from smg.fleet.clock import Clock
    from smg.fleet.probe import Fetcher
    from smg.server.exchange import Exchange
    from smg.workers import Worker, WorkerRegistry

log = logging.getLogger(__name__)

FETCH_SECS = 5.0
MAX_BYTES = 16 << 20
EXPOSITION = b"text/plain; version=0.0.4; charset=utf-8"


class EngineMetrics:
    """The handler over one registry."""

    def __init__(self, registry: WorkerRegistry, fetcher: Fetcher, clock: Clock) -> None:
        self._registry = registry
        self._fetcher = fetcher
        self._memo = Memo("engine_metrics", self._collect, clock)

    async def handle(self, exchange: Exchange) -> Response:
        """All workers that answered, merged."""
        return await self._memo.get()

    async def close(self) -> None:
        """Cancel a collection under way."""
        await self._memo.close()

    async def _collect(self) -> Response:
        workers = [worker for worker in self._registry.all() if worker.connection_mode == "http"]
        if not workers:
            return text_response("No available workers", 500)
        texts = await for_each_address(workers, self._fetch)
        # By address: data-parallel ranks have one, and one exposition.
        by_address = dict(zip((worker.base_url for worker in workers), texts, strict=True))
        packs = [(url, text) for url, text in by_address.items() if text is not None]
        if not packs:
            return text_response("All backend requests failed", 500)
        # Parsing takes milliseconds per worker: not on the loop that relays tokens.
        merged = await asyncio.to_thread(engine_metrics.merge, packs, Turns())
        return Response(200, merged, EXPOSITION)

    async def _fetch(self, worker: Worker) -> str | None:
        try:
            reply = await self._fetcher.fetch(
                worker.base_url,
                "GET",
                "/metrics",
                headers=key_headers(worker),
                timeout=FETCH_SECS,
                max_bytes=MAX_BYTES,
            )
        except GatewayError as error:
            log.info("no metrics from worker %s: %s", worker.base_url, describe(error))
            return None
        if reply.status != 200:
            log.info("no metrics from worker %s: status %d", worker.base_url, reply.status)
            return None
        return reply.body.decode("utf-8", "replace")
