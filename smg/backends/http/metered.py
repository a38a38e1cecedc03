"""A relay that looks how many tokens its answer came to, for limits on tokens.

Used only for tenants that have such a limit; everybody else's bytes pass `Relay` alone. It is mixed
with other kinds of relay, which have C layouts: so it has no slots of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from smg.backends.http.relay import Relay
from smg.protocols import usage

if TYPE_CHECKING:
    from smg._speedups.head import ReplyHead
    from smg.backends.http.context import RelayContext
    from smg.protocols import CheckedBody
    from smg.reliability.tenants import Reservation
    from smg.server.exchange import Exchange
    from smg.upstream.connection import UpstreamConnection


class Meter(Protocol):
    """Limits how much a client may have."""

    def begin(self, exchange: Exchange, body: CheckedBody, endpoint: str) -> Reservation | None:
        """Take what is known before the request runs; None if nothing has to be settled when it is
        over. GatewayError if it is too much. Called once per client request.
        """
        ...


class MeteredRelay(Relay):
    """Settles `reservation` when the answer is complete and good.

    The answer's own count is taken, from its last 4 KiB. A stream that has none is charged a token
    per event; other answers without one cost what was reserved.
    """

    def __init__(
        self,
        backend: RelayContext,
        exchange: Exchange,
        body: CheckedBody,
        endpoint: str,
        path: str,
        reservation: Reservation,
    ) -> None:
        super().__init__(backend, exchange, body, endpoint, path)
        self._reservation = reservation
        self._onward: Callable[[bytes], Any] | None = None
        self._events = 0
        self._tail = b""

    def upstream_head(self, conn: UpstreamConnection, head: ReplyHead) -> None:
        """Stand before whatever takes the bytes."""
        super().upstream_head(conn, head)
        if not 200 <= self._status < 300:
            return
        if self._unread:  # the first piece goes another way, and then to `_sink`
            self._onward, self._sink = self._sink, self._pass
        else:
            self._onward, conn.sink = conn.sink, self._pass

    def upstream_first(self, piece: bytes) -> None:
        """What came with the head."""
        self._note(piece)
        super().upstream_first(piece)

    def upstream_done(self, tail: bytes) -> None:
        """Complete: settle."""
        self._note(tail)
        if 200 <= self._status < 300:
            prompt, answer = usage.counted(self._tail)
            used = self._reservation.tokens if prompt is None else prompt
            used += self._events if answer is None else answer
            self._reservation.settle(used, perf_counter())
        super().upstream_done(tail)

    def _pass(self, data: bytes) -> None:
        self._note(data)
        onward = self._onward
        if onward is not None:
            onward(data)

    def _note(self, data: bytes) -> None:
        if self._sse:
            self._events += data.count(b"\n\n")
        self._tail = (self._tail + data)[-usage.TAIL_BYTES :]

    def _end(self, evidence: int) -> None:
        super()._end(evidence)
        self._onward = None  # a method of ours: a cycle that only the collector would find
