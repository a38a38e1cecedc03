"""Watches streams for silence: one coarse timer for all of them (http-api 20, routing-reliability
18.1).

A connection marks itself `active` with every piece; the watch clears the mark once a second and
counts quiet seconds. The work is spread over the second in slices, so that thousands of idle
streams never make one long loop turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from smg.core.deadlines import Ticker
    from smg.upstream.connection import UpstreamConnection

#: A stream is looked at once a second, in this many slices.
_SLICES = 4


class Watched(Protocol):
    """A relay in the middle of an answer."""

    conn: UpstreamConnection | None
    quiet: int

    def keep_alive_due(self) -> None:
        """No byte for the keep-alive time; called once per such period."""

    def silent_too_long(self) -> None:
        """No byte for the upstream idle limit."""


class StreamWatch:
    """Owns the set of watched relays. Times in seconds, 0 = off."""

    def __init__(self, ticker: Ticker, keepalive: int, idle_limit: int) -> None:
        self.keepalive = keepalive
        self.idle_limit = idle_limit
        self.enabled = bool(keepalive or idle_limit)
        self._relays: dict[Watched, None] = {}
        self._round: list[Watched] = []
        self._per_tick = 0
        self._slice = 0
        if self.enabled:
            ticker.subscribe(self._tick)

    def __len__(self) -> int:
        return len(self._relays)

    def add(self, relay: Watched) -> None:
        """Watch a relay whose head went out."""
        self._relays[relay] = None

    def discard(self, relay: Watched) -> None:
        """The relay ended."""
        self._relays.pop(relay, None)

    def _tick(self, now: float) -> None:
        # By count, not when the round is used up: a few relays need fewer slices, but not a
        # shorter second.
        if self._slice == 0:
            self._round = list(self._relays)
            self._per_tick = -(-len(self._round) // _SLICES)
        self._slice = (self._slice + 1) % _SLICES
        batch, self._round = self._round[: self._per_tick], self._round[self._per_tick :]
        for relay in batch:
            conn = relay.conn
            if conn is None:
                continue
            if conn.active:
                conn.active = False
                relay.quiet = 0
                continue
            relay.quiet = quiet = relay.quiet + 1
            if self.idle_limit and quiet >= self.idle_limit:
                relay.silent_too_long()
            elif self.keepalive and quiet % self.keepalive == 0:
                relay.keep_alive_due()
