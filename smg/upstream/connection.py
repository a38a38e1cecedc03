"""One connection to a worker: writes a request, reads the head of the answer, relays its body.

The head is parsed in one pass (`_speedups.head`); of the body only the end is tracked
(`_speedups.framing`), so a piece costs one scan in C and one write. The connection belongs to one
`UpstreamUser` at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, cast

from smg._speedups.framing import LENGTH, UNTIL_CLOSE, BodyTracker, FramingError
from smg._speedups.head import HeadError, ReplyHead, parse_reply_head
from smg.core.errors import BadReply, ConnectFailed, UpstreamClosed, UpstreamError

if TYPE_CHECKING:
    from smg.upstream.pool import UpstreamPool

_HEAD_END = b"\r\n\r\n"
_PREFIX = b"HTTP/1."


class UpstreamUser(Protocol):
    """Who uses a connection. After `upstream_failed` or `upstream_done` the connection is gone
    from its view.
    """

    def connected(self, conn: UpstreamConnection) -> None:
        """The connection asked for is there; send now."""

    def upstream_head(self, conn: UpstreamConnection, head: ReplyHead) -> None:
        """The head came. Set `conn.sink` (and `conn.decode`), where body pieces go from now on;
        then comes one of
        `upstream_first` and `upstream_done`, or `upstream_failed`."""

    def upstream_first(self, piece: bytes) -> None:
        """What came with the head, possibly nothing; further pieces go to the sink."""

    def upstream_done(self, tail: bytes) -> None:
        """The answer is complete; `tail` is its last piece, which did not go to the sink."""

    def upstream_failed(self, error: UpstreamError, *, reused: bool) -> None:
        """Nothing (more) will come. `reused`: a kept connection died before the first byte of an
        answer.
        """


class UpstreamConnection:
    """See the module. `active` is set by every piece of body, and cleared by whoever watches for
    silence.
    """

    def __init__(self, pool: UpstreamPool) -> None:
        self.pool = pool
        self.transport: asyncio.Transport = None  # type: ignore[assignment]
        self.user: UpstreamUser | None = None
        self.tracker: BodyTracker | None = None
        self.sink: Callable[[bytes], object] = _nowhere
        self.decode = False
        self.active = False
        self.uses = 0
        self.idle_since = 0.0
        self._buffer = b""
        self._keep_alive = False
        self._head_request = False
        self._paused = False

    # -- used by the owner ------------------------------------------------------------------------

    def send(
        self, user: UpstreamUser, head: bytes, body: bytes, head_request: bool = False
    ) -> None:
        """Write one request; the answer goes to `user`."""
        self.user = user
        self.uses += 1
        self._head_request = head_request
        write = self.transport.write
        if not body:
            write(head)
        elif len(body) < 32_768:
            write(head + body)
        else:
            write(head)
            write(body)

    def pause(self) -> None:
        """Stop reading from the worker."""
        if not self._paused and not self.transport.is_closing():
            self._paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if self._paused:
            self._paused = False
            if not self.transport.is_closing():
                self.transport.resume_reading()

    def drop(self) -> None:
        """Close at once, in the middle of whatever runs; the worker sees it and aborts the
        request.
        """
        self.user = None
        self.sink = _nowhere
        self.transport.abort()

    # -- transport callbacks ----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self.transport = cast(asyncio.Transport, transport)
        self.pool.opened(self)

    def eof_received(self) -> bool:
        """The worker sends no more: close our side too."""
        return False

    def pause_writing(self) -> None:
        """The worker takes the body slowly; it is in memory already and waits in the transport."""

    def resume_writing(self) -> None:
        """The worker took the body."""

    def connection_lost(self, exc: BaseException | None) -> None:
        """Closed by either side."""
        self.pool.lost(self)
        user = self.user
        if user is None:
            return
        tracker = self.tracker
        if tracker is None:
            self.user = None
            if self._buffer:
                user.upstream_failed(
                    BadReply("The worker's answer broke off in its head.", cause=exc), reused=False
                )
            else:
                user.upstream_failed(
                    ConnectFailed("The worker closed the connection.", cause=exc),
                    reused=self.uses > 1,
                )
        elif exc is None and tracker.close():
            self._complete(b"")
        else:
            self.user = None
            self.sink = _nowhere
            user.upstream_failed(
                UpstreamClosed("The worker broke off its answer.", cause=exc), reused=False
            )

    def data_received(self, data: bytes) -> None:
        """Bytes of an answer."""
        tracker = self.tracker
        if tracker is None:
            self._read_head(data)
            return
        self.active = True
        if self.decode:
            self._feed_decoded(tracker, data)
            return
        try:
            used = tracker.feed(data)
        except FramingError as error:
            self._broken(error)
            return
        if tracker.complete:
            if used != len(data):
                self._keep_alive = False  # bytes nobody asked for: this connection is out of step
                data = data[:used]
            self._complete(data)
        else:
            self.sink(data)

    # -- parsing ----------------------------------------------------------------------------------

    def _read_head(self, data: bytes) -> None:
        if self.user is None:
            # An idle connection must be silent; whatever this is, it is not an answer to a request
            # of ours.
            self.transport.abort()
            return
        settings = self.pool.settings
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        while True:
            end = data.find(_HEAD_END)
            if end < 0:
                if not data.startswith(_PREFIX[: len(data)]):
                    self._broken("not an HTTP answer")
                elif len(data) > settings.max_head_bytes:
                    self._broken("head too large")
                else:
                    self._buffer = data
                return
            end += 4
            if end > settings.max_head_bytes:
                self._broken("head too large")
                return
            try:
                head = parse_reply_head(data, end, settings.max_headers)
            except HeadError as error:
                self._broken(error)
                return
            status = head.status
            if status < 100 or status == 101:
                self._broken("unexpected status")
                return
            if status >= 200:
                break
            data = data[end:]  # an interim answer; the real one follows
            self.uses = (
                1  # the worker has the request: should it die now, that is no stale connection
            )
            if not data:
                return
        self._open_body(head, data[end:])

    def _open_body(self, head: ReplyHead, rest: bytes) -> None:
        status = head.status
        if status == 204 or status == 304 or self._head_request:
            tracker = BodyTracker(LENGTH, 0)
        else:
            tracker = BodyTracker(head.mode, head.length)
        self._keep_alive = head.keep_alive and (head.mode != UNTIL_CLOSE or tracker.complete)
        self.tracker = tracker
        self.decode = False
        self.active = True
        user = self.user
        assert user is not None
        user.upstream_head(self, head)
        if self.user is not user:
            return  # the user dropped us
        used = 0
        if rest and not tracker.complete:
            try:
                if self.decode:
                    used, piece = tracker.decode(rest)
                else:
                    used = tracker.feed(rest)
                    piece = rest if used == len(rest) else rest[:used]
            except FramingError as error:
                self._broken(error)
                return
        else:
            piece = b""
        if tracker.complete:
            if used != len(rest):
                self._keep_alive = False
            self._complete(piece)
        else:
            user.upstream_first(piece)

    def _feed_decoded(self, tracker: BodyTracker, data: bytes) -> None:
        try:
            used, payload = tracker.decode(data)
        except FramingError as error:
            self._broken(error)
            return
        if tracker.complete:
            if used != len(data):
                self._keep_alive = False
            self._complete(payload)
        elif payload:
            self.sink(payload)

    def _complete(self, tail: bytes) -> None:
        """The answer ended; keep the connection if it is clean."""
        user = self.user
        self.user = None
        self.tracker = None
        self.sink = _nowhere
        transport = self.transport
        if self._paused:
            self.resume()
        if (
            self._keep_alive
            and not transport.get_write_buffer_size()
            and not transport.is_closing()
        ):
            self.pool.release(self)
        elif transport.get_write_buffer_size():
            transport.abort()  # it answered before it took the whole body; nobody needs the rest
        else:
            transport.close()
        if user is not None:
            user.upstream_done(tail)

    def _broken(self, cause: BaseException | str) -> None:
        user = self.user
        in_body = self.tracker is not None
        self.drop()
        if user is not None:
            error: UpstreamError
            if in_body:
                error = UpstreamClosed("The worker broke off its answer.", cause=cause)
            else:
                error = BadReply("The worker's answer is not valid HTTP.", cause=cause)
            user.upstream_failed(error, reused=False)


def _nowhere(data: bytes) -> None:
    """Sink of a connection without a user."""
