"""Joins the pieces of streams that come faster than anybody reads them.

A write costs the kernel ten times what it costs us. Tokens come 5 to 50 ms apart and always leave
at once; but when a worker answers in a burst, or this loop is behind, the pieces of one stream
follow each other within a fraction of a millisecond, and one write can carry several. Such pieces
wait here for `LONGEST` and go out together, with the end of the stream at the latest.
"""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smg.backends.http.relay import Relay

#: seconds; a piece this soon after the last write of its stream waits for others
SOON = 0.002
#: seconds; nothing waits longer
LONGEST = 0.001
#: bytes; what is as large as this costs more to copy than to write
LARGE = 16_384


class Gather:
    """See the module. One for all relays of a backend."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: list[Relay] = []

    def add(self, relay: Relay) -> None:
        """`relay` holds its first piece; its `flush` will be called within `LONGEST`, or a little
        later when the loop is busy.
        """
        if not self._waiting:
            self._loop.call_later(LONGEST, self._out)
        self._waiting.append(relay)

    def _out(self) -> None:
        now = perf_counter()
        waiting, self._waiting = self._waiting, []
        for relay in waiting:
            relay.flush(now)
