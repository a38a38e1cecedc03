"""What the requests to prefill/decode pairs have in common, whichever engine they are for.

A relay whose own worker is decode's: decode's answer travels as any other. Beside it stands the
prefill leg (`leg.py`). Both workers are chosen, and both breakers asked, before anything is sent;
whoever fails is charged alone, and the next attempt is another pair. Rules: routing-reliability 23.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING

from smg.backends.http.pd.faults import late, named, refused
from smg.backends.http.pd.kept import KeptLeg, Opening, Request
from smg.backends.http.pd.lanes import PairLane
from smg.backends.http.pd.leg import ERROR_BYTES, PrefillLeg
from smg.backends.http.relay import CUT, Relay
from smg.backends.http.target import target_of
from smg.core.errors import ConnectFailed, GatewayError, UpstreamError
from smg.reliability.breaker import FAILURE, NOTHING
from smg.reliability.retry import untried
from smg.workers.selection import nobody_available

if TYPE_CHECKING:
    from smg._speedups.head import ReplyHead
    from smg.backends.http.lane import Lane
    from smg.backends.http.pd.backend import PairBackend
    from smg.backends.http.pd.series import PairSeries
    from smg.backends.http.target import Target
    from smg.protocols.body import CheckedBody
    from smg.server.exchange import Exchange
    from smg.upstream.connection import UpstreamConnection
    from smg.workers.model import Worker


class PairRelay(Relay):
    """See the module. Subclasses say in `_begin` when which leg is sent what.

    Where a method is a C function, its base is called by name: there is no `super()` in those.
    """

    backend: PairBackend
    #: what a prefill leg is
    leg_type = PrefillLeg

    def __init__(
        self, backend: PairBackend, exchange: Exchange, body: CheckedBody, endpoint: str, path: str
    ) -> None:
        super().__init__(backend, exchange, body, endpoint, path)
        self._pairs: PairSeries | None = None
        self._leg: PrefillLeg | None = None
        self._decode_raw = b""  # what decode is sent
        self._opening: Opening | None = None
        self._fault: Worker | None = None  # whose, while that is not decode
        self._prompt: str | None = None  # while the policies choose
        self._began_at = 0.0  # when the pair was sent to
        self._drains = False  # the prefill leg's rest is worth reading
        self._error: list[bytes] | None = None  # pieces of decode's error answer
        self._error_room = 0
        self._asked = 0.0  # seconds: the `Retry-After` of the worker that refused last
        self._kept: KeptLeg | None = None

    # -- choosing ---------------------------------------------------------------------------------

    def text(self) -> str:
        """The flattened prompt, made once for both policies."""
        if self._prompt is None:
            self._prompt = super().text()
        return self._prompt

    def _take(self, lane: Lane, workers: tuple[Worker, ...]) -> bool:
        """Let the policies choose: prefill, then decode among `workers`."""
        assert isinstance(lane, PairLane)
        self._pairs = lane.pairs
        leg = self.leg_type(self) if self._wants_prefill() else None
        taken = False
        try:
            if leg is None or (workers and leg.take(lane.prefill, self._prefills(lane))):
                taken = bool(Relay._take(self, lane, workers))
        finally:
            self._prompt = None
            if not taken and leg is not None:
                leg.part(drain=False)
        if not taken:
            return False
        self._leg = leg
        if leg is not None:
            if lane.pairs is not None:
                lane.pairs.selections.inc()
            if self._decision:
                chosen = lane.prefill.policy
                why = f"; prefill-policy={chosen.name}; prefill-reason="
                why += chosen.reason or chosen.name
                self._decision = self._decision[:-2] + why.encode("latin-1", "replace") + b"\r\n"
        return True

    def _prefills(self, lane: PairLane) -> tuple[Worker, ...]:
        available = lane.prefills()
        if self._tried:
            available = untried(available, self._tried) or available
        return available

    def _wants_prefill(self) -> bool:
        """Whether this request is split at all."""
        return True

    def _nobody(self, lane: Lane) -> GatewayError:
        """Why there is no pair to choose."""
        assert isinstance(lane, PairLane)
        prefills = lane.prefill.group
        if lane.group.available and not prefills.available:
            return nobody_available(prefills.workers, self.backend.shed_retry_after)
        return super()._nobody(lane)

    # -- sending ----------------------------------------------------------------------------------

    def _acquire(self, fresh: bool) -> None:
        if fresh:
            self._open_decode(True)  # the one resend after a kept connection had died
        else:
            self._error = None
            self._began_at = perf_counter()
            self._begin()

    def _begin(self) -> None:
        """Send the pair what it needs; subclasses do."""
        raise NotImplementedError

    def _open_decode(self, fresh: bool = False) -> None:
        assert self._worker is not None
        target = self._target = target_of(self._worker, self.backend.client)
        opening = Opening(self)
        conn = target.pool.acquire(opening, fresh)
        if conn is not None:
            self._send(conn)
        else:
            self._opening = opening

    def decode_connected(self, conn: UpstreamConnection) -> None:
        """Send decode's leg."""
        self._opening = None
        self._send(conn)

    def decode_unreachable(self, error: UpstreamError) -> None:
        """There is no connection to decode."""
        self._opening = None
        self.upstream_failed(error, reused=False)

    def _send(self, conn: UpstreamConnection) -> None:
        self.conn = conn
        self._sent = True
        assert self._worker is not None
        head, body = self._request(self._worker)
        conn.send(self, head, body)
        self._dispatched = perf_counter()
        if self.backend.first_byte.seconds:
            self.backend.first_byte.add(self)

    def _request(self, worker: Worker) -> Request:
        """Head and body of decode's leg."""
        target = target_of(worker, self.backend.client)
        return self._request_head(target, len(self._decode_raw)), self._decode_raw

    def head_to(self, target: Target, length: int) -> bytes:
        """The head of the request to a worker, for a body of `length` bytes."""
        return self._request_head(target, length)

    # -- the prefill leg's owner ------------------------------------------------------------------

    def prefill_answered(self, leg: PrefillLeg) -> None:
        """A good head came."""

    def prefill_done(self, leg: PrefillLeg) -> None:
        """The answer is complete; after a refusal it is what the client is told."""
        if not leg.answered:
            self._fail(self._prefill_error(leg.status, leg.body, self._asked))
            return
        if self._pairs is not None:
            self._pairs.prefill_duration.observe(perf_counter() - leg.sent_at)

    def _prefill_error(self, status: int, body: bytes | None, asked: float) -> UpstreamError:
        return refused("prefill", status, body, asked)

    def prefill_failed(self, leg: PrefillLeg, error: UpstreamError) -> None:
        """Decode would wait for a KV cache that never comes: it is closed at once."""
        error = named("prefill", error)
        if self.exchange.head_sent:
            if not self._spoke():
                self._tell_breaker(NOTHING)  # decode's
                conn, self.conn = self.conn, None
                self._break_off(conn, CUT, "The prefill worker broke off its answer.", error)
                if conn is not None:
                    conn.drop()
            return
        self._tell_breaker(NOTHING)
        self._close_decode()
        refusing = not leg.sent and isinstance(error, ConnectFailed)
        if refusing and self._go_elsewhere(leg.worker, error):
            return
        if not self._blamed(leg.worker, error.status, str(error.code)):
            self._fail(error)

    def prefill_refused(self, leg: PrefillLeg, head: ReplyHead) -> None:
        """An error answer: another pair, or its message for the client (`prefill_done`)."""
        self._tell_breaker(NOTHING)
        self._close_decode()
        self._asked = self._asked_to_wait(head.headers)
        self._blamed(leg.worker, head.status, "", self._asked)

    def _blamed(self, worker: Worker, status: int, code: str, asked: float = 0.0) -> bool:
        """Whether there is another attempt after one that a prefill worker failed."""
        self._fault = worker
        try:
            return self._try_again(status, code, asked, NOTHING)
        finally:
            self._fault = None

    def _at_fault(self) -> Worker | None:
        return self._fault or super()._at_fault()

    def _try_again(self, status: int, code: str, asked: float, evidence: int) -> bool:
        again = super()._try_again(status, code, asked, evidence)
        if again and self._pairs is not None:
            self._pairs.retried(self.endpoint)
        return again

    def _go_elsewhere(self, worker: Worker, error: UpstreamError) -> bool:
        """A pair without `worker`, which nobody answers at; False if there is none."""
        try:
            lane = self.backend.lane(self.model)
        except GatewayError:
            return False
        tried = (*self._tried, worker)
        if not lane.has_others(tried):
            return False
        self._tried = tried
        self._leave_worker(FAILURE)  # of decode, unless its breaker was told otherwise
        if self.backend.series is not None:
            self.backend.series.upstream(error.status, str(error.code))
        return self._attempt(lane, untried(lane.group.available, tried))

    def _close_decode(self) -> None:
        """Decode's part of the attempt is over, however far it got."""
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.owner = None
        conn, self.conn = self.conn, None
        if conn is not None:
            conn.drop()
        if self.backend.first_byte.seconds:
            self.backend.first_byte.discard(self)

    def _spoke(self) -> bool:
        """Whether a byte of decode's body came: then it has the KV cache."""
        conn = self.conn
        tracker = None if conn is None else conn.tracker
        return tracker is not None and tracker.payload_bytes > 0

    # -- decode's answer --------------------------------------------------------------------------

    def upstream_head(self, conn: UpstreamConnection, head: ReplyHead) -> None:
        """Send a good head on; of another one the message is read, if nobody else is asked."""
        if not 200 <= head.status < 300:
            self._decode_refused(conn, head)
            return
        if self._pairs is not None:
            self._pairs.ttft.observe(perf_counter() - self._began_at)
        Relay.upstream_head(self, conn, head)
        self._decode_raw = b""

    def _decode_refused(self, conn: UpstreamConnection, head: ReplyHead) -> None:
        if self.backend.first_byte.seconds:
            self.backend.first_byte.discard(self)
        status = head.status
        evidence = NOTHING if self._breaker is None else self._breaker.judge(status)
        self.conn = None
        self._asked = self._asked_to_wait(head.headers)
        if self._try_again(status, "", self._asked, evidence):
            conn.drop()
            return
        self._tell_breaker(evidence)
        self._part_leg()
        self.conn = conn
        self._status = status
        self._error, self._error_room = [], ERROR_BYTES
        conn.decode = True
        conn.sink = self._error_piece

    def _error_piece(self, data: bytes) -> None:
        assert self._error is not None
        if data and self._error_room > 0:
            self._error.append(data[: self._error_room])
            self._error_room -= len(data)

    def upstream_first(self, piece: bytes) -> None:
        """What came with the head."""
        if self._error is not None:
            self._error_piece(piece)
        else:
            super().upstream_first(piece)

    def upstream_done(self, tail: bytes) -> None:
        """The answer is complete."""
        if self._error is not None:
            self.conn = None
            self._error_piece(tail)
            self._fail(refused("decode", self._status, b"".join(self._error), self._asked))
            return
        self._drains = True
        super().upstream_done(tail)

    def upstream_failed(self, error: UpstreamError, *, reused: bool) -> None:
        """Decode failed."""
        if self._error is not None:
            self.conn = None
            self._fail(refused("decode", self._status, None, self._asked))
        else:
            super().upstream_failed(error, reused=reused)

    def _failed_before_head(self, error: UpstreamError, reused: bool) -> None:
        super()._failed_before_head(named("decode", error), reused)

    # -- limits and the client --------------------------------------------------------------------

    def first_byte_late(self) -> None:
        """Decode took the request and says nothing."""
        self._close_decode()
        if self._worker is not None:
            self.backend.worker_failed(self._worker)
        self._fail_or_retry(late("decode"))

    def timed_out(self) -> None:
        """The whole-request limit is over; whoever is silent is told of."""
        leg = self._leg
        if self.exchange.head_sent or self._worker is None:
            super().timed_out()
            return
        blamed = leg if leg is not None and self._waits_for(leg) else None
        self._close_decode()
        if blamed is not None:
            self._tell_breaker(NOTHING)
            blamed.blame()
            self._fail(late("prefill"))
        else:
            self._fail(late("decode"))

    def _waits_for(self, leg: PrefillLeg) -> bool:
        """Whether it is prefill that the answer waits for."""
        return not leg.answered

    def client_gone(self) -> None:
        """Abort both legs, unless prefill has committed what only decode can free."""
        leg = self._leg
        if leg is not None and leg.answered and self._worker is not None:
            self._drains = True
            if not self._spoke() and self._is_worth_keeping():
                self._keep(leg, self._worker)
                return
        self._close_decode()
        super().client_gone()

    def _is_worth_keeping(self) -> bool:
        return True

    def _keep(self, leg: PrefillLeg, worker: Worker) -> None:
        kept = self._kept = KeptLeg(self.backend, worker, leg, self._later(worker))
        conn, self.conn = self.conn, None
        opening, self._opening = self._opening, None
        if conn is not None:
            kept.adopt(conn)
        elif opening is not None:
            kept.await_connection(opening, self._request(worker))
        self._end(NOTHING)

    def _later(self, worker: Worker) -> Callable[[PrefillLeg], Request | None]:
        """What makes decode's request when prefill is done, for a decode that was not asked."""
        return lambda leg: None

    # -- ending -----------------------------------------------------------------------------------

    def _part_leg(self) -> None:
        leg, self._leg = self._leg, None
        if leg is not None:
            leg.part(drain=self._drains and leg.answered, owner=self._kept)

    def _leave_worker(self, evidence: int) -> None:
        self._part_leg()
        Relay._leave_worker(self, evidence)

    def _end(self, evidence: int) -> None:
        if not self._over and self._opening is not None:
            self._opening.owner = None
            self._opening = None
        Relay._end(self, evidence)
