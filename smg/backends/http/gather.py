"""Lets the kernel join the pieces of streams that come faster than anybody reads them.

Reading and writing a piece costs the kernel ten times what it costs us. Tokens come 5 to 50 ms
apart and always leave at once; but when a worker answers in a burst, or this loop is behind, the
pieces of one stream follow each other within a fraction of a millisecond. The worker's connection
then rests for a moment: what comes meanwhile waits in its socket, and is one read and one write
afterwards. Nothing that we have read is ever held back.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smg.backends.http.relay import Relay

#: seconds; after a piece this soon after the one before it, its connection rests
SOON = 0.002
#: seconds; a connection rests for one to two of these
TICK = 0.001
#: bytes; a stream whose pieces are as large as this has nothing to gain
LARGE = 16_384


class Gather:
    """See the module. One for all relays of a backend."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._resting: list[Relay] = []
        self._next: list[Relay] = []
        self._ticking = False

    def rest(self, relay: Relay) -> None:
        """The worker's connection of `relay` is paused; its `rested` will be called."""
        self._next.append(relay)
        if not self._ticking:
            self._ticking = True
            self._loop.call_later(TICK, self._tick)

    def _tick(self) -> None:
        rested, self._resting, self._next = self._resting, self._next, []
        if self._resting:
            self._loop.call_later(TICK, self._tick)
        else:
            self._ticking = False
        for relay in rested:
            relay.rested()
