"""`/health`, `/liveness`, `/readiness`: constant work, whatever the fleet does (http-api 7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import orjson

from smg.server.handlers import TEXT

if TYPE_CHECKING:
    from smg.fleet.readiness import Readiness
    from smg.server.exchange import Exchange


def alive(exchange: Exchange) -> None:
    """200 `OK` as long as the process answers at all, also while it drains."""
    exchange.respond(200, b"OK", TEXT)


def readiness(state: Readiness) -> Callable[[Exchange], None]:
    """Handler that tells load balancers whether to send traffic."""

    def start(exchange: Exchange) -> None:
        if state.reason:
            exchange.respond(503, orjson.dumps({"status": "not ready", "reason": state.reason}))
            return
        body = {
            "status": "ready",
            "healthy_workers": state.healthy,
            "total_workers": state.total,
        }
        exchange.respond(200, orjson.dumps(body))

    return start
