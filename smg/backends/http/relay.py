"""One proxied request: from the head of a worker's answer to its last byte.

An object with callbacks; no task, no future. It is the exchange's consumer (client side) and the
connection's user (worker side). Every path ends in `_end` exactly once, which gives back the
worker's load and all registrations. How it found its worker is in `dispatch.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from smg._speedups.clock import perf_counter
from smg._speedups.framing import CHUNKED, LENGTH
from smg._speedups.request_head import length_line
from smg.backends.http.dispatch import Dispatch, evidence_of
from smg.backends.http.gather import LARGE, SOON
from smg.core.errors import GatewayError, UpstreamError, UpstreamTimeout
from smg.protocols import usage
from smg.reliability.breaker import FAILURE, NOTHING
from smg.reliability.settings import RETRYABLE_STATUSES
from smg.wire.errors import stream_error_frame
from smg.wire.head import LAST_CHUNK, chunk, status_line

if TYPE_CHECKING:
    from smg._speedups.head import ReplyHead
    from smg.backends.http.context import RelayContext
    from smg.backends.http.series import RelaySeries
    from smg.protocols.body import CheckedBody
    from smg.server.exchange import Exchange
    from smg.upstream.connection import UpstreamConnection

_EVENT_STREAM = b"text/event-stream"
_KEEP_ALIVE = b": keep-alive\n\n"
_PING = b'event: ping\ndata: {"type": "ping"}\n\n'

CUT = "upstream_stream_cut"
TIMED_OUT = "upstream_stream_timeout"
SHUTDOWN = "gateway_shutdown"


class Relay(Dispatch):
    """See the module."""

    def __init__(
        self, backend: RelayContext, exchange: Exchange, body: CheckedBody, endpoint: str, path: str
    ) -> None:
        super().__init__(backend, exchange, body, endpoint, path)
        self.quiet = 0
        self._sink: Callable[[bytes], Any] | None = None
        self._chunk_out = False
        self._sse = False
        self._watched = False
        self._head = b""
        self._came = 0.0  # when the worker's head did
        self._wrote = 0.0  # when a piece of a stream last went out
        self._began = 0.0  # when the body of a stream did
        self._last = b""  # the piece of a stream that came last, and the one before it
        self._before = b""
        self._status = 0

    # -- the worker's side ------------------------------------------------------------------------

    def upstream_head(self, conn: UpstreamConnection, head: ReplyHead) -> None:
        """Send the head on, and choose how body bytes travel; or try again if it is a failure."""
        came = perf_counter()
        exchange = self.exchange
        backend = self.backend
        target = self._target
        assert target is not None
        if backend.first_byte.seconds:
            backend.first_byte.discard(self)
        status = head.status
        if status >= 400:
            if backend.retry is not None and self._refused(conn, head):
                return
        elif self._breaker is not None and self._breaker.state:
            self._term = self._breaker.began(self._term)
        client = exchange.conn
        self._sse = head.event_stream
        conn.sink = self._stream_piece if self._sse else client.write
        mode = head.mode
        framing = b""
        if mode == LENGTH:
            if status != 204:
                framing = length_line(head.length)
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
        if self._series is not None and self.body.stream and status < 300:
            self._unread = True
        if self._unread:
            self._sink, conn.sink = conn.sink, self._first_piece
        self._head = b"".join(
            (
                status_line(status),
                head.lines,
                target.routed,
                self._decision,
                framing,
                exchange.common_headers(),
                b"\r\n",
            )
        )
        self._status = status
        self._came = came
        if client.is_write_paused:
            conn.pause()
        watch = backend.watch
        if (self._sse and watch.enabled) or watch.idle_limit:
            self._watched = True
            watch.add(self)

    def _refused(self, conn: UpstreamConnection, head: ReplyHead) -> bool:
        """Whether somebody else is asked instead of passing this answer on."""
        self.conn = None
        status = head.status
        evidence = NOTHING if self._breaker is None else self._breaker.judge(status)
        if not self._try_again(status, "", self._asked_to_wait(head.headers), evidence):
            self.conn = conn
            return False
        conn.drop()  # reading an answer that nobody wants may take longer than a new connection
        return True

    def _count_head(self, status: int, came: float) -> None:
        """Metrics of a worker's head that came at `came`."""
        exchange, series, backend = self.exchange, self._series, self.backend.series
        if series is None or backend is None:
            return
        backend.upstream(status)
        now = perf_counter()
        ours = self._dispatched - exchange.started - exchange.waited
        series.overhead.observe(ours + now - came)
        if status < 300:
            series.duration.observe(now - exchange.started)
        else:
            self._count_failure(series, status)
            if status >= 500:
                exchange.remember(status, "", "The worker's own answer.")

    def _count_failure(self, series: RelaySeries, status: int) -> None:
        """The final answer is an error of this status."""
        series.failed(status)
        if self.backend.retry is None and status in RETRYABLE_STATUSES:
            series.retries_exhausted.inc()  # with retries on, `_try_again` counts

    def _count_stream(self, series: RelaySeries, tail: bytes) -> None:
        """A stream is complete: how long it took, and how many tokens it says it had."""
        now = perf_counter()
        # Cut first: pieces of a fast stream can be large.
        most = usage.TAIL_BYTES
        end = b"".join((self._before[-most:], self._last[-most:], tail[-most:]))[-most:]
        since = now - self._began if self._began else 0.0
        series.stream_ended(now - self._dispatched, since, *usage.counted(end))

    def _write_head(self, piece: bytes) -> None:
        """The head goes out with whatever came with it, in one write; until here an error can
        still be JSON.
        """
        self.exchange.conn.write(self._head + piece)
        self._head = b""
        if self._series is not None:
            self._count_head(self._status, self._came)
        self.body.data = {}  # parsed form and original bytes are not needed any more
        self.body.raw = b""
        self.exchange.sent(self._status)

    def _take_head_back(self) -> None:
        """The worker's head was good, what came with it is not, and the client has none of it."""
        self._status = 0
        self._head = b""
        self._sink = None
        self._unread = self._chunk_out = self._sse = False
        if self._watched:
            self._watched = False
            self.backend.watch.discard(self)

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
        if self._series is not None and self.body.stream and self._status < 300:
            self._began = self._wrote = perf_counter()
            self._series.first_byte(self._began - self._dispatched)
        policy, worker = self._policy, self._worker
        if policy is not None and worker is not None:
            self._tell_first_byte(policy, worker)

    def upstream_first(self, piece: bytes) -> None:
        """What came with the head, possibly nothing."""
        if piece and self._unread:
            assert self.conn is not None
            assert self._sink is not None
            self.conn.sink = self._sink
            self._body_began()
            self._last = piece
        self._write_head(chunk(piece) if piece and self._chunk_out else piece)

    def _piece(self, data: bytes) -> None:
        data = chunk(data)
        if self._sse:
            self._stream_piece(data)
        else:
            self.exchange.conn.write(data)

    def _stream_piece(self, data: bytes) -> None:
        """A piece of a stream: out at once; the next may take a moment if they come fast (see
        `gather`).
        """
        self._before = self._last
        self._last = data
        self.exchange.conn.write(data)
        now = perf_counter()
        soon = now - self._wrote < SOON
        self._wrote = now
        if soon and len(data) < LARGE and self.conn is not None:
            self.conn.pause()
            self.backend.gather.rest(self)

    def rested(self) -> None:
        """Read on, unless the client is the one who needs time."""
        conn = self.conn
        if conn is not None and not self.exchange.conn.is_write_paused:
            conn.resume()

    def upstream_done(self, tail: bytes) -> None:
        """The answer is complete."""
        self.conn = None
        exchange = self.exchange
        if self._unread and tail:
            self._body_began()
        if self._series is not None and self.body.stream and self._status < 300:
            self._count_stream(self._series, tail)
        if self._chunk_out:
            tail = (chunk(tail) if tail else b"") + LAST_CHUNK
        if self._head:
            self._write_head(tail)
        elif tail:
            exchange.conn.write(tail)
        breaker = self._breaker
        self._end(NOTHING if breaker is None else breaker.judge(self._status))
        exchange.ended()

    def upstream_failed(self, error: UpstreamError, *, reused: bool) -> None:
        """The worker failed; before its head that may be cured, after it the stream must end
        visibly broken.
        """
        conn, self.conn = self.conn, None
        if self._worker is None:
            return
        if self.exchange.head_sent:
            self._break_off(conn, CUT, "The worker broke off its answer.", error)
        elif self._status:
            self._take_head_back()
            self._failed_before_head(error, False)
        else:
            self._failed_before_head(error, reused)

    # -- the client's side ------------------------------------------------------------------------

    def client_gone(self) -> None:
        """Abort the worker's request in this very loop turn."""
        conn, self.conn = self.conn, None
        self._end(NOTHING)
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
        """The whole-request limit is over."""
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

    def first_byte_late(self) -> None:
        """The worker took the request and says nothing."""
        conn, self.conn = self.conn, None
        if conn is not None:
            conn.drop()
        worker = self._worker
        if worker is not None:
            self.backend.worker_failed(worker)
        self._fail_or_retry(UpstreamTimeout("The worker did not answer in time."))

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
            cause = None if error is None else error.cause
            exchange.server.access_log.broken(exchange, code, worker.url, cause)
        exchange.remember(self._status, code, message)
        insert = self._sse and conn is not None and self._can_insert(conn)
        # A slow client can use up the request's time, and we our own: neither is the worker's
        # fault.
        ours = code == SHUTDOWN or exchange.conn.is_write_paused
        if not ours and self.backend.series is not None:
            self.backend.series.worker_error("timeout" if code == TIMED_OUT else "backend_error")
        self._end(NOTHING if ours else FAILURE)
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
            reached = self._worker is not None and isinstance(error, UpstreamError)
            self.backend.series.upstream(error.status, str(error.code), reached=reached)
        if self._series is not None:
            self._count_failure(self._series, error.status)
        self._end(evidence_of(error))
        exchange.fail(error)

    def _end(self, evidence: int) -> None:
        """Over, whatever the reason; `evidence` as in `_leave_worker`."""
        if self._over:
            return
        self._over = True
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        self._sink = None  # a method of ours: a cycle that only the collector would find
        self._leave_worker(evidence)
        backend = self.backend
        backend.deadlines.discard(self)
        if backend.first_byte.seconds:
            backend.first_byte.discard(self)
        if self._watched:
            backend.watch.discard(self)
