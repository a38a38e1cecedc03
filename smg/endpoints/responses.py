"""Stored responses in proxy mode: workers keep them, and nobody knows which one has an id.

All healthy workers are asked; the first 2xx wins (http-api 2, row "responses cancel").
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING
from urllib.parse import quote

from smg.core.errors import NotFoundError, NoWorkerError, UpstreamError
from smg.core.tasks import TaskGroupOwner
from smg.server import Response

if TYPE_CHECKING:
    from smg.server import Exchange
    from smg.upstream import HttpClient, Reply
    from smg.workers import Worker, WorkerRegistry

TIMEOUT = 30.0
_TRACE_CONTEXT = (b"traceparent", b"tracestate")
#: workers asked at the same time
_AT_ONCE = 32


def fan_out(
    registry: WorkerRegistry, client: HttpClient, method: str, suffix: str = ""
) -> Callable[[Exchange], Awaitable[Response]]:
    """Handler for `/v1/responses/{response_id}<suffix>`."""

    async def handler(exchange: Exchange) -> Response:
        params = exchange.params or {}
        path = f"/v1/responses/{quote(params['response_id'], safe='')}{suffix}"
        if exchange.query:
            path += "?" + exchange.query.decode("latin-1")
        # Data-parallel ranks share an address, and what is stored there.
        healthy = {worker.base_url: worker for worker in registry.all() if worker.is_healthy}
        workers = list(healthy.values())
        if not workers:
            raise NoWorkerError("No healthy worker to ask.", code="no_workers")
        reply = await _first_success(workers, client, method, path, exchange)
        if reply is None:
            raise NotFoundError("No worker knows this response.", code="response_not_found")
        content_type = reply.header(b"content-type") or b"application/json"
        return Response(reply.status, reply.body, content_type)

    return handler


async def _first_success(
    workers: list[Worker], client: HttpClient, method: str, path: str, exchange: Exchange
) -> Reply | None:
    slots = asyncio.Semaphore(_AT_ONCE)

    async def ask(worker: Worker) -> Reply | None:
        headers = [(b"x-request-id", exchange.request_id)]
        headers += (pair for pair in exchange.headers if pair[0] in _TRACE_CONTEXT)
        if worker.api_key:
            headers.append((b"authorization", b"Bearer " + worker.api_key.encode("latin-1")))
        async with slots:
            try:
                reply = await client.fetch(
                    worker.base_url, method, path, headers=headers, timeout=TIMEOUT
                )
            except UpstreamError:
                return None
        return reply if 200 <= reply.status < 300 else None

    owner = TaskGroupOwner("responses")
    tasks = [owner.start(ask(worker), worker.url) for worker in workers]
    try:
        for next_done in asyncio.as_completed(tasks):
            reply: Reply | None = await next_done
            if reply is not None:
                return reply
        return None
    finally:
        await owner.close()
