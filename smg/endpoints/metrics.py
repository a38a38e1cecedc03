"""`GET /metrics`, the only route of the metrics listener (operations 1.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smg.observability.exposition import render_async
from smg.server import Exchange, Response, Route, coroutine_route

if TYPE_CHECKING:
    from smg.observability.metrics import Registry

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"


def routes(registry: Registry) -> list[Route]:
    """Rendered in slices, so that a scrape never holds up requests."""

    async def handler(exchange: Exchange) -> Response:
        return Response(200, await render_async(registry), CONTENT_TYPE)

    return [Route("GET", "/metrics", coroutine_route(handler), probe=True)]
