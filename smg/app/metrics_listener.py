"""Answers scrapes on `--prometheus-host` and `--prometheus-port`, until the process ends."""

from __future__ import annotations

import functools
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING

from smg.app import plain_http
from smg.app.side_listener import SideListener
from smg.endpoints import metrics

if TYPE_CHECKING:
    from smg.observability.metrics import Registry

#: a slow scraper of a large fleet needs more time than a probe, seconds
LIFE_SECS = 60.0


class MetricsListener(SideListener):
    """Shows `registry` from `start()` to `close()`."""

    def __init__(self, sockets: Sequence[socket.socket], registry: Registry) -> None:
        pages = {metrics.PATH.encode(): functools.partial(metrics.page, registry)}
        super().__init__(
            sockets,
            lambda received: plain_http.answer(received, pages, "This port has /metrics only."),
            name="metrics",
            life=LIFE_SECS,
        )
