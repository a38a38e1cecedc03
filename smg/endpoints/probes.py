"""`/health`, `/liveness`, `/readiness`: constant work, whatever the fleet does (http-api 7).

The answers are values, so that the probe listener gives the same ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import orjson

from smg.server.handlers import TEXT
from smg.wire.errors import JSON

if TYPE_CHECKING:
    from smg.fleet.readiness import Readiness, Snapshot
    from smg.server.exchange import Exchange

#: status, body, content type
Answer = tuple[int, bytes, bytes]

#: as long as the process answers at all, also while it drains
ALIVE: Answer = (200, b"OK", TEXT)


def readiness_answer(snapshot: Snapshot) -> Answer:
    """Tells load balancers whether to send traffic."""
    if snapshot.reason:
        return 503, orjson.dumps({"status": "not ready", "reason": snapshot.reason}), JSON
    body = {
        "status": "ready",
        "healthy_workers": snapshot.healthy,
        "total_workers": snapshot.total,
    }
    return 200, orjson.dumps(body), JSON


def alive(exchange: Exchange) -> None:
    """Handler of `/health` and `/liveness`."""
    exchange.respond(*ALIVE)


def readiness(state: Readiness) -> Callable[[Exchange], None]:
    """Handler of `/readiness`."""

    def start(exchange: Exchange) -> None:
        exchange.respond(*readiness_answer(state.snapshot))

    return start
