"""One request and its answer, on one client connection.

Whoever answers talks to this object only. It owns the head of the answer, its framing, the release
of everything that lasted as long as the request, and the rule that an answer which broke off never
ends cleanly.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from smg._speedups.clock import perf_counter
from smg.core.errors import GatewayError
from smg.wire.errors import JSON, error_body, error_headers
from smg.wire.head import LAST_CHUNK, chunk, status_line

if TYPE_CHECKING:
    from smg.server.protocol import ClientConnection
    from smg.server.routes import Endpoint, Route

log = logging.getLogger(__name__)

#: Pieces above this size are written beside their framing instead of being copied into it.
_COPY_LIMIT = 65_536


class Consumer(Protocol):
    """Who produces an answer in pieces, and must know about the client. Never called after the
    answer ended.
    """

    def client_gone(self) -> None:
        """The client left; stop at once and release everything."""

    def pause(self) -> None:
        """The client reads slowly; stop producing."""

    def resume(self) -> None:
        """The client caught up."""


class Permit(Protocol):
    """What a request holds as long as it lasts."""

    def leave(self) -> None:
        """The request is over."""


class Exchange:
    """See the module. `headers` are in order with lower-case names; `started` is
    `time.perf_counter()`, seconds.
    """

    def __init__(
        self,
        conn: ClientConnection,
        endpoint: Endpoint,
        method: bytes,
        path: bytes,
        query: bytes,
        headers: list[tuple[bytes, bytes]],
        request_id: bytes,
        http10: bool,
        keep_alive: bool,
    ) -> None:
        self.conn = conn
        self.server = conn.server
        self.endpoint = endpoint
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.request_id = request_id
        self.http10 = http10
        self.keep_alive = keep_alive
        self.head_only = method == b"HEAD"
        self.params: dict[str, str] | None = None
        self.origin: bytes | None = None
        self.content_type: bytes | None = None
        self.early_error: GatewayError | None = None
        self.body = b""
        self.body_complete = False
        self.head_sent = False
        self.done = False
        self.framed = False
        self.status = 0
        self.error_code = ""
        self.consumer: Consumer | None = None
        #: somebody's permit that this request holds; given back at its end
        self.permit: Permit | None = None
        self.write_raw = conn.write
        #: seconds since `started` that nobody here spent: in the queue, or on attempts that failed
        self.waited = 0.0
        self.started = perf_counter()

    @property
    def route(self) -> Route:
        """The matched route."""
        return self.endpoint.route

    @property
    def target(self) -> bytes:
        """Path and query as sent."""
        return self.path + b"?" + self.query if self.query else self.path

    @property
    def version(self) -> bytes:
        """The client's HTTP version."""
        return b"HTTP/1.0" if self.http10 else b"HTTP/1.1"

    def header(self, name: bytes) -> bytes | None:
        """The first value of a header; `name` in lower case."""
        for key, value in self.headers:
            if key == name:
                return value
        return None

    # -- whole answers ----------------------------------------------------------------------------

    def respond(
        self,
        status: int,
        body: bytes = b"",
        content_type: bytes = JSON,
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        """Send a whole answer and end the exchange."""
        if self.done:
            return
        parts = [status_line(status)]
        if body or content_type is not JSON:
            parts += (b"content-type: ", content_type, b"\r\n")
        for name, value in headers:
            parts += (name, b": ", value, b"\r\n")
        if status >= 200 and status != 204 and status != 304:
            parts.append(b"content-length: %d\r\n" % len(body))
        parts += (self.common_headers(), b"\r\n")
        if self.head_only or len(body) > _COPY_LIMIT:
            self.write_raw(b"".join(parts))
            if body and not self.head_only:
                self.write_raw(body)
        else:
            parts.append(body)
            self.write_raw(b"".join(parts))
        self.sent(status)
        self.ended()

    def fail(self, error: GatewayError) -> None:
        """Answer with an error; before the head it is JSON, after it the connection is closed."""
        if self.done:
            return
        if error.cause is not None and error.status >= 500:
            log.warning(
                "%s: %s (%s)", error.code, error.message, error.cause, extra=self.log_extra()
            )
        if self.head_sent:
            self.abort()
            return
        self.error_code = str(error.code)
        self.remember(error.status, self.error_code, error.message)
        self.respond(error.status, error_body(error), JSON, error_headers(error))

    def remember(self, status: int, code: str, message: str) -> None:
        """Put an error on the list of recent ones. `message` is public."""
        self.server.recent_errors.add(
            self.route.path, status, code, message, self.request_id.decode("latin-1")
        )

    # -- answers in pieces ------------------------------------------------------------------------

    def start(
        self,
        status: int,
        headers: Sequence[tuple[bytes, bytes]],
        *,
        length: int | None = None,
    ) -> None:
        """Send the head of a streamed answer. Without `length` (bytes) the body is chunked, or
        ends by close.
        """
        parts = [status_line(status)]
        for name, value in headers:
            parts += (name, b": ", value, b"\r\n")
        if length is not None:
            parts.append(b"content-length: %d\r\n" % length)
        elif self.http10:
            self.keep_alive = False
        else:
            self.framed = True
            parts.append(b"transfer-encoding: chunked\r\n")
        parts += (self.common_headers(), b"\r\n")
        self.write_raw(b"".join(parts))
        self.sent(status)

    def write(self, data: bytes) -> None:
        """One piece of the body started with `start`."""
        if not data or self.head_only or self.done:
            return
        if not self.framed:
            self.write_raw(data)
        elif len(data) > _COPY_LIMIT:
            self.write_raw(b"%x\r\n" % len(data))
            self.write_raw(data)
            self.write_raw(b"\r\n")
        else:
            self.write_raw(chunk(data))

    def finish(self) -> None:
        """The body is complete."""
        if self.done:
            return
        if self.framed and not self.head_only:
            self.write_raw(LAST_CHUNK)
        self.ended()

    def abort(self) -> None:
        """Close the client's connection in the middle: what was sent must not look complete."""
        if self.done:
            return
        self.keep_alive = False
        if not self.head_sent:
            self.server.access_log.unanswered(self)
        self._release()
        self.conn.cut(self)

    # -- for relays that write heads and bodies themselves ----------------------------------------

    def common_headers(self) -> bytes:
        """Header lines that every answer carries: request id, CORS, `connection: close` when this
        is the last one.
        """
        conn = self.conn
        server = self.server
        if self.keep_alive and server.draining:
            self.keep_alive = False
        lines = b"x-request-id: " + self.request_id + b"\r\n"
        if server.cors is not None:
            lines += server.cors.response_headers(self.origin)
        if not self.keep_alive or not self.body_complete:
            lines += conn.connection_header(self)
        return lines

    def sent(self, status: int) -> None:
        """The head is out: metrics and access log."""
        self.head_sent = True
        self.status = status
        series = self.endpoint.series
        if series is not None:
            series.head(self.method, status, self.error_code, perf_counter() - self.started)
        server = self.server
        if status >= server.log_from_status:
            server.access_log.response(self)

    def ended(self) -> None:
        """The last byte is out; the connection may go on."""
        self._release()
        self.conn.exchange_done(self)

    def client_gone(self) -> None:
        """Called by the connection when the client left in the middle."""
        if self.done:
            return
        consumer = self.consumer
        if not self.head_sent:
            self.server.access_log.unanswered(self)
        self._release()
        if consumer is not None:
            consumer.client_gone()

    def _release(self) -> None:
        self.done = True
        self.consumer = None
        permit = self.permit
        if permit is not None:
            self.permit = None
            permit.leave()
        self.body = b""
        self.server.exchanges.pop(self, None)

    def log_extra(self) -> dict[str, object]:
        """Structured log fields of this request."""
        return {"fields": {"request_id": self.request_id.decode("latin-1")}}
