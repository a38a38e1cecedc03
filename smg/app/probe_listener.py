"""Answers probes on a port of its own (`--health-check-port`).

A busy event loop fails no probe here: the listener's thread reads a snapshot that the loop leaves
behind. So `/liveness` and `/health` say that the process lives, not that its loop turns. Rules:
http-api 7, cli 4.1.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING

from smg.app import plain_http
from smg.app.side_listener import SideListener
from smg.endpoints.probes import ALIVE, readiness_answer

if TYPE_CHECKING:
    from smg.fleet.readiness import Readiness, Snapshot


class ProbeListener(SideListener):
    """Follows `readiness` from `start()` to `close()`."""

    def __init__(self, sockets: Sequence[socket.socket], readiness: Readiness) -> None:
        super().__init__(
            sockets, lambda received: answer(received, readiness.snapshot), name="probe"
        )


def answer(received: bytes, snapshot: Snapshot) -> bytes | None:
    """The whole answer to a request, or None while its head is not complete."""
    pages = {
        b"/readiness": lambda: readiness_answer(snapshot),
        b"/liveness": lambda: ALIVE,
        b"/health": lambda: ALIVE,
    }
    return plain_http.answer(received, pages, "This port answers probes only.")
