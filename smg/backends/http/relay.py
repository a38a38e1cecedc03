"""One proxied request: from a chosen worker to the last byte of its answer.

An object with callbacks; no task, no future. It is the exchange's consumer (client side) and the
connection's user (worker side). Every path ends in `_end` exactly once, which gives back the
worker's load and all registrations.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any

from smg._speedups.framing import CHUNKED, LENGTH
from smg.backends.http.target import target_of
from smg.core.errors import ConnectFailed, GatewayError, UpstreamError, UpstreamTimeout
from smg.protocols import routing_text
from smg.wire.errors import stream_error_frame
from smg.wire.head import LAST_CHUNK, chunk, status_line
from smg.workers.selection import no_available_workers

if TYPE_CHECKING:
    from smg._speedups.head import ReplyHead
    from smg.backends.http.context import RelayContext
    from smg.backends.http.lane import Lane
    from smg.backends.http.series import RelaySeries
    from smg.policies.base import Policy
    from smg.protocols.body import CheckedBody
    from smg.server.exchange import Exchange
    from smg.upstream.connection import UpstreamConnection
    from smg.workers.model import Worker

log = logging.getLogger(__name__)

_EVENT_STREAM = b"text/event-stream"
_KEEP_ALIVE = b": keep-alive\n\n"
_PING = b'event: ping\ndata: {"type": "ping"}\n\n'

CUT = "upstream_stream_cut"
TIMED_OUT = "upstream_stream_timeout"
SHUTDOWN = "gateway_shutdown"


class Relay:
    """See the module. Also what a policy sees of the request (`RoutingView`)."""

    def __init__(
        self, backend: RelayContext, exchange: Exchange, body: CheckedBody, endpoint: str, path: str
    ) -> None:
        self.backend = backend
        self.exchange = exchange
        self.body = body
        self.endpoint = endpoint
        self.path = path
        self.model = body.model
        self.headers = exchange.headers
        self.conn: UpstreamConnection | None = None
        self.quiet = 0
        self.ticket = 0
        self._worker: Worker | None = None
        self._series: RelaySeries | None = None
        self._policy: Policy | None = None  # one that follows requests
        self._decision = b""
        self._unread = False  # somebody wants to know when the body begins
        self._sink: Callable[[bytes], Any] | None = None
        self._resent = False
        self._sent = False  # the request is on its way to the worker
        self._over = False
        self._tried: tuple[Worker, ...] = ()
        self._chunk_out = False
        self._sse = False
        self._watched = False
        self._told = False  # the policy knows that the body began
        self._head = b""
        self._dispatched = 0.0
        self._status = 0

    # -- RoutingView ------------------------------------------------------------------------------

    def text(self) -> str:
        """The flattened prompt."""
        return routing_text.text(self.endpoint, self.body.data)

    def tokens(self) -> Sequence[int] | None:
        """Token ids from the hint header or the body."""
        hint = self.exchange.header(b"x-smg-routing-tokens")
        if hint is not None and (ids := routing_text.header_tokens(hint)) is not None:
            return ids
        return routing_text.tokens(self.endpoint, self.body.data)

    def routing_key(self) -> bytes | None:
        """The first usable routing-key header."""
        return routing_text.routing_key(self.headers, self.backend.key_headers)

    def request_key(self) -> bytes | None:
        """The body's own request id."""
        return routing_text.request_key(self.body.data)

    # -- dispatch ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Choose a worker and send. Raises GatewayError while nothing was taken yet."""
        backend = self.backend
        try:
            lane = backend.lane(self.model)
            if not self._take(lane, lane.group.available):
                raise no_available_workers()
        except GatewayError as error:
            if backend.series is not None:
                self._count_refused(error)
            raise
        series = lane.series(self.endpoint, self.body.stream)
        if series is not None:
            self._series = series
            series.requests.inc()
            series.selections.inc()
        self.exchange.consumer = self
        backend.deadlines.add(self)
        self._acquire(False)

    def _take(self, lane: Lane, workers: tuple[Worker, ...]) -> bool:
        """Let the policy choose among `workers`; False if it chooses nobody."""
        policy = lane.policy
        worker = policy.select(workers, self) if workers else None
        if worker is None:
            return False
        if self.backend.notes_decisions:
            self._explain(policy, worker)
        worker.acquire()
        self._worker = worker
        if lane.follows:
            self._policy = policy
            self._told = False
            self._unread = lane.follows_first_byte
        return True

    def _explain(self, policy: Policy, worker: Worker) -> None:
        """Why this worker: for the debug log, and with `--explain-routing` for the client."""
        decision = f"policy={policy.name}; reason={policy.reason or policy.name}"
        if policy.score >= 0:
            decision += f"; score={policy.score:.2f}"
        if self._tried:
            decision += f"; attempts={len(self._tried) + 1}"
        if self.backend.explain:
            line = f"x-smg-routing-decision: {decision}\r\n"
            self._decision = line.encode("latin-1", "replace")
        fields = {
            "request_id": self.exchange.request_id.decode("latin-1"),
            "routing_decision": decision,
        }
        log.debug("routed to %s", worker.url, extra={"fields": fields})

    def _count_refused(self, error: GatewayError) -> None:
        assert self.backend.series is not None
        # An unknown name comes from the client and is without number; a known one is a label
        # already.
        model, policy = "other", "none"
        if error.status != 404:
            model, policy = self.model, self.backend.lane(self.model).policy.name
        series = self.backend.series.relay(model, self.endpoint, self.body.stream, policy)
        series.requests.inc()
        series.failed(error.status)
        self.backend.series.upstream(error.status, str(error.code))

    def _acquire(self, fresh: bool) -> None:
        assert self._worker is not None
        conn = target_of(self._worker, self.backend.client).pool.acquire(self, fresh)
        if conn is not None:
            self._send(conn)

    def connected(self, conn: UpstreamConnection) -> None:
        """The pool opened a connection for us."""
        if self._over:
            # The client left meanwhile; the connection is good for somebody else.
            conn.uses = 1  # to them it is a kept connection, which may be dead
            conn.pool.release(conn)
        else:
            self._send(conn)

    def _send(self, conn: UpstreamConnection) -> None:
        worker = self._worker
        assert worker is not None
        exchange = self.exchange
        raw = self.body.raw
        target = worker.transport
        path = self.path
        if exchange.query:
            # Not cached: query strings are without number.
            prefix = target.request_line("POST", path + "?" + exchange.query.decode("latin-1"))
            prefix += b"content-type: application/json\r\n"
        else:
            prefix = target.prefix(path)
        head = self.backend.forward.head(
            prefix, self.headers, exchange.request_id, target.authorization, len(raw)
        )
        self.conn = conn
        self._sent = True
        conn.send(self, head, raw)
        self._dispatched = perf_counter()
        if self.backend.first_byte.seconds:
            self.backend.first_byte.add(self)

    # -- the worker's side ------------------------------------------------------------------------

    def upstream_head(self, conn: UpstreamConnection, head: ReplyHead) -> None:
        """Send the head on, and choose how body bytes travel."""
        came = perf_counter()
        exchange = self.exchange
        backend = self.backend
        worker = self._worker
        assert worker is not None
        if backend.first_byte.seconds:
            backend.first_byte.discard(self)
        status = head.status
        client = exchange.conn
        conn.sink = client.write
        self._sse = head.event_stream
        mode = head.mode
        framing = b""
        if mode == LENGTH:
            if status != 204:
                framing = b"content-length: %d\r\n" % head.length
        elif conn.tracker is not None and conn.tracker.complete:
            pass  # an answer without a body, and without a length: 204, 304
        elif exchange.http10:
            exchange.keep_alive = False
            conn.decode = mode == CHUNKED
        else:
            framing = b"transfer-encoding: chunked\r\n"
            if mode != CHUNKED:
                self._chunk_out = True
                conn.sink = self._piece
        if self._sse:
            framing += b"x-accel-buffering: no\r\n"
        if self._series is not None and self.body.stream and status < 400:
            self._unread = True
        if self._unread:
            self._sink, conn.sink = conn.sink, self._first_piece
        self._head = b"".join(
            (
                status_line(status),
                head.lines,
                worker.transport.routed,
                self._decision,
                framing,
                exchange.common_headers(),
                b"\r\n",
            )
        )
        self._status = status
        if client.is_write_paused:
            conn.pause()
        if self._series is not None:
            self._count_head(status, came)
        self.body.data = {}  # parsed form and original bytes are not needed any more
        self.body.raw = b""
        watch = backend.watch
        if (self._sse and watch.enabled) or watch.idle_limit:
            self._watched = True
            watch.add(self)

    def _count_head(self, status: int, came: float) -> None:
        """Metrics of a worker's head that came at `came`."""
        exchange, series, backend = self.exchange, self._series, self.backend.series
        if series is None or backend is None:
            return
        backend.upstream(status)
        now = perf_counter()
        series.overhead.observe(self._dispatched - exchange.started + now - came)
        if status < 400:
            series.duration.observe(now - exchange.started)
        else:
            series.failed(status)

    def _write_head(self, piece: bytes) -> None:
        """The head goes out with whatever came with it, in one write; until here an error can
        still be JSON.
        """
        self.exchange.conn.write(self._head + piece)
        self._head = b""
        self.exchange.sent(self._status)

    def _first_piece(self, data: bytes) -> None:
        """The first body bytes after the head; later ones go straight to the sink."""
        sink = self._sink
        assert sink is not None
        if self.conn is not None:
            self.conn.sink = sink
        sink(data)
        self._body_began()

    def _body_began(self) -> None:
        self._unread = False
        if self._series is not None and self.body.stream and self._status < 400:
            self._series.ttft.observe(perf_counter() - self._dispatched)
        policy, worker = self._policy, self._worker
        if policy is not None and worker is not None:
            self._tell_first_byte(policy, worker)

    def _tell_first_byte(self, policy: Policy, worker: Worker) -> None:
        if self._told:
            return
        self._told = True
        try:
            policy.first_byte(worker, self)
        except Exception as error:  # perhaps of others' code; it must not cost anybody an answer
            self._policy_failed(policy, error)

    def _policy_failed(self, policy: Policy, error: Exception) -> None:
        extra = self.exchange.log_extra()
        log.error("policy %s failed", policy.name, exc_info=error, extra=extra)

    def upstream_first(self, piece: bytes) -> None:
        """What came with the head, possibly nothing."""
        if piece and self._unread:
            assert self.conn is not None
            assert self._sink is not None
            self.conn.sink = self._sink
            self._body_began()
        self._write_head(chunk(piece) if piece and self._chunk_out else piece)

    def _piece(self, data: bytes) -> None:
        self.exchange.conn.write(chunk(data))

    def upstream_done(self, tail: bytes) -> None:
        """The answer is complete."""
        self.conn = None
        exchange = self.exchange
        if self._unread and tail:
            self._body_began()
        if self._chunk_out:
            tail = (chunk(tail) if tail else b"") + LAST_CHUNK
        if self._head:
            self._write_head(tail)
        elif tail:
            exchange.conn.write(tail)
        self._end()
        exchange.ended()

    def upstream_failed(self, error: UpstreamError, *, reused: bool) -> None:
        """The worker failed; before its head that may be cured, after it the stream must end
        visibly broken.
        """
        conn, self.conn = self.conn, None
        worker = self._worker
        if worker is None:
            return
        backend = self.backend
        exchange = self.exchange
        if exchange.head_sent:
            self._break_off(conn, CUT, "The worker broke off its answer.", error)
            return
        if reused and not self._resent:
            # A kept connection was closed under us before any answer byte: the one safe resend.
            self._resent = True
            self._sent = False
            if backend.series is not None:
                backend.series.resends.inc()
            self._acquire(True)
            return
        backend.worker_failed(worker)
        if self._sent or not (
            isinstance(error, ConnectFailed) and self._go_elsewhere(worker, error)
        ):
            self._fail(error)

    def _go_elsewhere(self, worker: Worker, error: UpstreamError) -> bool:
        """Nobody answered at this worker's address, so nothing was begun: another one that was not
        tried yet may have the request. False if there is none.
        """
        backend = self.backend
        self._tried = (*self._tried, worker)
        try:
            lane = backend.lane(self.model)
        except GatewayError:
            return False  # the model's last worker was removed meanwhile
        others = tuple(other for other in lane.group.available if other not in self._tried)
        if not others:
            return False
        self._leave_worker()
        if backend.series is not None:
            backend.series.upstream(error.status, error.code)
        try:
            if not self._take(lane, others):
                return False
        except Exception as failure:
            self._policy_failed(lane.policy, failure)
            return False
        if self._series is not None:
            self._series.selections.inc()
        self._resent = False
        self._acquire(False)
        return True

    # -- the client's side ------------------------------------------------------------------------

    def client_gone(self) -> None:
        """Abort the worker's request in this very loop turn."""
        conn, self.conn = self.conn, None
        self._end()
        if conn is not None:
            conn.drop()

    def pause(self) -> None:
        """The client reads slowly."""
        if self.conn is not None:
            self.conn.pause()

    def resume(self) -> None:
        """The client caught up."""
        if self.conn is not None:
            self.conn.resume()

    # -- limits -----------------------------------------------------------------------------------

    def timed_out(self) -> None:
        """The whole-request limit, or the first-byte limit, is over."""
        conn, self.conn = self.conn, None
        error = UpstreamTimeout("The request took too long.")
        if not self.exchange.head_sent:
            if conn is not None:
                conn.drop()
            self._fail(error)
        else:
            self._break_off(conn, TIMED_OUT, "The request took too long.", error)
            if conn is not None:
                conn.drop()

    def silent_too_long(self) -> None:
        """The worker fell silent in the middle of its answer."""
        if self.exchange.conn.is_write_paused:
            self.quiet = 0  # it is we who do not read, because the client is slow
            return
        conn, self.conn = self.conn, None
        error = UpstreamTimeout("The worker fell silent.")
        self._break_off(conn, TIMED_OUT, "The worker fell silent.", error)
        if conn is not None:
            conn.drop()

    def keep_alive_due(self) -> None:
        """A comment between two frames, so that nobody on the way takes the stream for dead."""
        conn = self.conn
        if conn is None or not self._sse or self.exchange.conn.is_write_paused:
            return
        if self._can_insert(conn):
            self._insert(_PING if self.endpoint == "messages" else _KEEP_ALIVE)

    def shut_down(self) -> None:
        """The drain deadline is over; what is still open must end now."""
        conn, self.conn = self.conn, None
        if self.exchange.head_sent:
            self._break_off(conn, SHUTDOWN, "The gateway is shutting down.", None)
        else:
            self._fail(GatewayError("The gateway is shutting down.", status=503, code=SHUTDOWN))
        if conn is not None:
            conn.drop()

    # -- ending -----------------------------------------------------------------------------------

    def _can_insert(self, conn: UpstreamConnection) -> bool:
        """Whether a frame of ours may go out now: between two chunks and between two SSE frames."""
        tracker = conn.tracker
        if tracker is None or tracker.mode == LENGTH:
            return False
        return tracker.at_frame_boundary and (tracker.at_chunk_boundary or conn.decode)

    def _insert(self, frame: bytes) -> None:
        exchange = self.exchange
        exchange.conn.write(frame if exchange.http10 else chunk(frame))

    def _break_off(
        self, conn: UpstreamConnection | None, code: str, message: str, error: UpstreamError | None
    ) -> None:
        """End a started answer: an error frame where one fits, else broken framing. Never a clean
        end.
        """
        exchange = self.exchange
        worker = self._worker
        if self.backend.series is not None:
            self.backend.series.cut(code)
        if code != SHUTDOWN and worker is not None:
            log.error(
                "stream broken off: %s (%s) worker=%s",
                code,
                error.cause if error is not None else None,
                worker.url,
                extra=exchange.log_extra(),
            )
        insert = self._sse and conn is not None and self._can_insert(conn)
        self._end()
        if not insert:
            exchange.abort()
            return
        self._insert(stream_error_frame(code, message, endpoint=self.endpoint))
        if not exchange.http10:
            exchange.conn.write(LAST_CHUNK)
        exchange.ended()

    def _fail(self, error: GatewayError) -> None:
        exchange = self.exchange
        if self.backend.series is not None:
            self.backend.series.upstream(error.status, str(error.code))
        if self._series is not None:
            self._series.failed(error.status)
        self._end()
        exchange.fail(error)

    def _leave_worker(self) -> None:
        """Give back what the choice of a worker took."""
        worker, self._worker = self._worker, None
        if worker is None:
            return
        worker.release()
        policy = self._policy
        if policy is not None:
            self._policy = None
            self._tell_first_byte(policy, worker)
            try:
                policy.ended(worker, self)
            except Exception as error:
                self._policy_failed(policy, error)

    def _end(self) -> None:
        if self._over:
            return
        self._over = True
        self._leave_worker()
        backend = self.backend
        backend.deadlines.discard(self)
        if backend.first_byte.seconds:
            backend.first_byte.discard(self)
        if self._watched:
            backend.watch.discard(self)
