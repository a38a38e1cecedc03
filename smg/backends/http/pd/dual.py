"""SGLang: both legs are sent at once and find each other by a bootstrap room.

Decode's answer is relayed as soon as prefill's head is good; prefill's body is drained meanwhile.
When log-probabilities were asked for, those of the prompt come from prefill's body and are put
before decode's own. Rules: routing-reliability 23.1.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from smg._speedups.framing import CHUNKED, LENGTH, BodyTracker
from smg._speedups.request_head import length_line
from smg.backends.http.pd import inject, logprobs
from smg.backends.http.pd.pair import PairRelay
from smg.core.errors import ReplyTooLarge
from smg.reliability.breaker import NOTHING
from smg.wire.head import status_line

if TYPE_CHECKING:
    from smg._speedups.head import ReplyHead
    from smg.backends.http.pd.backend import PairBackend
    from smg.backends.http.pd.leg import PrefillLeg
    from smg.core.errors import UpstreamError
    from smg.protocols.body import CheckedBody
    from smg.server.exchange import Exchange
    from smg.upstream.connection import UpstreamConnection


class DualRelay(PairRelay):
    """See the module."""

    def __init__(
        self, backend: PairBackend, exchange: Exchange, body: CheckedBody, endpoint: str, path: str
    ) -> None:
        super().__init__(backend, exchange, body, endpoint, path)
        self._merges = logprobs.wanted(endpoint, body.data)
        self._merge: logprobs.StreamMerge | None = None
        self._waiting: ReplyHead | None = None  # decode's good head, until prefill's came
        self._pieces: list[bytes] = []  # what came after it
        self._size = 0
        self._whole = False  # and that is all of it
        self._ready: ReplyHead | None = None  # of a whole answer that goes out now

    def _begin(self) -> None:
        leg, worker = self._leg, self._worker
        assert leg is not None
        assert worker is not None
        prefill = leg.worker
        ranks = prefill.spec.dp_size or 0
        fields = inject.bootstrap(
            prefill.host,
            prefill.spec.bootstrap_port,
            inject.batch_size(self.endpoint, self.body.data),
            prefill.dp_rank,
            ranks,
        )
        raw = inject.with_fields(self.body, fields)
        if prefill.dp_rank >= 0 or worker.dp_rank >= 0:
            own, decodes = inject.dp_fields(prefill.dp_rank, worker.dp_rank)
            raw = inject.with_fields(self.body, {**fields, **own})
            self._decode_raw = inject.with_fields(self.body, {**fields, **decodes})
        else:
            self._decode_raw = raw
        self._forget()
        leg.send(raw, self.exchange.conn.settings.max_payload_size if self._merges else 0)
        if self._leg is leg:
            self._open_decode()

    # -- prefill ----------------------------------------------------------------------------------

    def prefill_answered(self, leg: PrefillLeg) -> None:
        """Decode's answer may go out."""
        self._release()

    def prefill_done(self, leg: PrefillLeg) -> None:
        """The log-probabilities are complete."""
        super().prefill_done(leg)
        if leg.answered:
            self._release()

    # -- decode -----------------------------------------------------------------------------------

    def upstream_head(self, conn: UpstreamConnection, head: ReplyHead) -> None:
        """Send it on, or hold the answer until prefill got further."""
        if 200 <= head.status < 300 and self._must_wait(head):
            if self.backend.first_byte.seconds:
                self.backend.first_byte.discard(self)
            self._waiting = head
            conn.decode = self._merges or (self.exchange.http10 and head.mode == CHUNKED)
            conn.sink = self._hold
            if not self._is_collected(head):
                conn.pause()
            return
        PairRelay.upstream_head(self, conn, head)
        if self._merges and 200 <= head.status < 300:
            self._merge_stream(conn)

    def _must_wait(self, head: ReplyHead) -> bool:
        leg = self._leg
        if leg is None:
            return False
        if self._merges:
            return not leg.done or self._is_collected(head)
        return not leg.answered

    def _is_collected(self, head: ReplyHead) -> bool:
        """Whether the answer is needed as a whole."""
        return self._merges and (not self.body.stream or head.mode == LENGTH)

    def _hold(self, data: bytes) -> None:
        self._pieces.append(data)
        self._size += len(data)
        if self._size > self.exchange.conn.settings.max_payload_size:
            self._close_decode()
            self._fail(ReplyTooLarge("The worker's answer is too large."))

    def _release(self) -> None:
        """The answer goes out if nothing is missing any more."""
        head, leg = self._waiting, self._leg
        if head is None or leg is None or not (leg.done if self._merges else leg.answered):
            return
        if self._is_collected(head) and not self._whole:
            return
        pieces = b"".join(self._pieces)
        whole, conn = self._whole, self.conn
        self._forget()
        if whole:
            # Its connection may serve somebody else by now: the answer gets a frame of its own.
            if not self._merges and not self.exchange.http10 and head.mode == CHUNKED:
                pieces = BodyTracker(CHUNKED).decode(pieces)[1]
            if self._merges and leg.body:
                pieces = logprobs.merged(pieces, logprobs.of_prompt(leg.body))
            self._ready = head
            self._status = head.status
            self._sse = head.event_stream  # whoever counts events looks there
            self.upstream_done(pieces)
        elif conn is not None:
            self.upstream_head(conn, head)
            self.upstream_first(pieces)
            if not self.exchange.conn.is_write_paused:
                conn.resume()

    def _merge_stream(self, conn: UpstreamConnection) -> None:
        """Pieces of the stream pass the merge from here on, out of the worker's framing."""
        leg = self._leg
        body = None if leg is None else leg.body
        self._merge = logprobs.StreamMerge(logprobs.of_prompt(body) if body else [])
        conn.decode = True
        self._chunk_out = not self.exchange.http10
        if self._unread:
            self._sink = self._merged_piece
        else:
            conn.sink = self._merged_piece

    def _merged_piece(self, data: bytes) -> None:
        assert self._merge is not None
        data = self._merge.feed(data)
        if not data:
            return
        if self._chunk_out:
            self._piece(data)
        else:
            self.exchange.conn.write(data)

    def upstream_first(self, piece: bytes) -> None:
        """What came with the head."""
        if self._waiting is not None:
            self._hold(piece)
            return
        if self._merge is not None:
            piece = self._merge.feed(piece)
        super().upstream_first(piece)

    def upstream_done(self, tail: bytes) -> None:
        """Decode's answer is complete."""
        ready, self._ready = self._ready, None
        if ready is not None:
            self._answer(ready, tail)
            return
        if self._waiting is not None:
            self.conn = None
            self._hold(tail)
            self._whole = True
            self._release()
            return
        if self._merge is not None:
            tail = self._merge.feed(tail) + self._merge.flush()
        super().upstream_done(tail)

    def _failed_before_head(self, error: UpstreamError, reused: bool) -> None:
        self._forget()
        super()._failed_before_head(error, reused)

    def _answer(self, head: ReplyHead, payload: bytes) -> None:
        """Send a whole answer."""
        exchange, target = self.exchange, self._target
        assert target is not None
        self._count_head(head.status, perf_counter())
        if self._pairs is not None:
            self._pairs.ttft.observe(perf_counter() - self._began_at)
        self._body_began()
        lines = (
            status_line(head.status),
            head.lines,
            target.routed,
            self._decision,
            length_line(len(payload)),
            exchange.common_headers(),
            b"\r\n",
            payload,
        )
        exchange.conn.write(b"".join(lines))
        exchange.sent(head.status)
        self._drains = True
        breaker = self._breaker
        self._end(NOTHING if breaker is None else breaker.judge(head.status))
        exchange.ended()

    def _forget(self) -> None:
        """Nothing of decode's answer waits."""
        self._waiting = None
        self._pieces = []
        self._size = 0
        self._whole = False

    def _waits_for(self, leg: PrefillLeg) -> bool:
        return not leg.answered or (self._merges and self._waiting is not None and not leg.done)

    def _is_worth_keeping(self) -> bool:
        return not self._whole

    def _close_decode(self) -> None:
        self._forget()
        super()._close_decode()
