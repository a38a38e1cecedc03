"""Rerank: the one relayed route whose answer the gateway builds itself (http-api 13.3)."""

from __future__ import annotations

import time
from time import perf_counter
from typing import TYPE_CHECKING, cast

from smg.backends.http.relay import Relay
from smg.core.errors import GatewayError, ReplyTooLarge
from smg.protocols.rerank import RerankBody
from smg.protocols.rerank_reply import reshape
from smg.reliability.breaker import NOTHING

if TYPE_CHECKING:
    from smg._speedups.head import ReplyHead
    from smg.backends.http.context import RelayContext
    from smg.protocols import CheckedBody
    from smg.server.exchange import Exchange
    from smg.upstream.connection import UpstreamConnection


class RerankRelay(Relay):
    """Collects a 2xx answer, at most `max_payload_size` bytes, and reshapes it; errors of the
    worker pass through.
    """

    __slots__ = ("_collected", "_collecting", "_rerank", "_size")

    def __init__(
        self, backend: RelayContext, exchange: Exchange, body: CheckedBody, endpoint: str, path: str
    ) -> None:
        super().__init__(backend, exchange, body, endpoint, path)
        self._rerank = cast(RerankBody, body)
        self._collecting = False
        self._collected: list[bytes] = []
        self._size = 0

    def upstream_head(self, conn: UpstreamConnection, head: ReplyHead) -> None:
        """Collect what will be reshaped."""
        if not 200 <= head.status < 300:
            super().upstream_head(conn, head)
            return
        if self.backend.first_byte.seconds:
            self.backend.first_byte.discard(self)
        self._collecting = True
        self._status = head.status
        self._came = perf_counter()
        conn.decode = True
        conn.sink = self._collect

    def _take_head_back(self) -> None:
        """The same for an answer of which any part has come."""
        super()._take_head_back()
        self._collecting = False
        self._collected = []
        self._size = 0

    def upstream_first(self, piece: bytes) -> None:
        """The first piece of what is collected."""
        if self._collecting:
            self._collect(piece)
        else:
            super().upstream_first(piece)

    def _collect(self, data: bytes) -> None:
        self._collected.append(data)
        self._size += len(data)
        if self._size > self.exchange.conn.settings.max_payload_size:
            conn, self.conn = self.conn, None
            if conn is not None:
                conn.drop()
            self._fail(ReplyTooLarge("The worker's answer is too large."))

    def upstream_done(self, tail: bytes) -> None:
        """Build the answer."""
        if not self._collecting:
            super().upstream_done(tail)
            return
        self.conn = None
        if self._size + len(tail) > self.exchange.conn.settings.max_payload_size:
            self._fail(ReplyTooLarge("The worker's answer is too large."))
            return
        self._collected.append(tail)
        self._count_head(self._status, self._came)
        try:
            answer = reshape(
                b"".join(self._collected), self._rerank, model=self.model, created=int(time.time())
            )
        except GatewayError as error:
            self._fail(error)
            return
        breaker = self._breaker
        self._end(NOTHING if breaker is None else breaker.judge(self._status))
        self.exchange.respond(200, answer)
