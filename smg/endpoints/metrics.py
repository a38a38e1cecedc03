"""`GET /metrics`, the only page of the metrics port (operations 1.2)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from smg.observability.exposition import CONTENT_TYPE, render_parts
from smg.observability.turns import BUDGET, PAUSE

if TYPE_CHECKING:
    from smg.observability.metrics import Registry

PATH = "/metrics"


def page(registry: Registry) -> tuple[int, bytes, bytes]:
    """Status, body and content type; for a thread of its own, which sleeps after every part (why:
    `smg.observability.turns`).
    """
    parts = []
    for part in render_parts(registry, BUDGET):
        parts.append(part)
        time.sleep(PAUSE)
    return 200, b"".join(parts), CONTENT_TYPE
