"""The inbound HTTP/1.1 connection: bytes from a client to exchanges, in order.

httptools (llhttp, strict) parses; this class adds what a parser cannot know: limits, deadlines,
routes, pipelining and what happens to a body nobody wants. RFC 9112; the limits are those of http-
api 3.7.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, cast

import httptools

from smg._speedups.request_head import query_mark
from smg.core.errors import GatewayError, RequestError
from smg.core.ids import request_suffix
from smg.server.exchange import Exchange
from smg.server.head import (
    CODING,
    CONNECTION,
    EXPECT,
    HOST,
    LENGTH,
    MAX_REQUEST_ID,
    REQUEST_ID,
    TYPE,
    body_too_large,
    head_too_large,
    is_host,
    is_printable,
    origin_form,
    seen_hosts,
)
from smg.server.routes import Auth
from smg.wire.errors import JSON, error_body, error_headers
from smg.wire.head import status_line

if TYPE_CHECKING:
    from smg.core.deadlines import DeadlineQueue
    from smg.server.listener import HttpServer
    from smg.server.routes import Endpoint

log = logging.getLogger(__name__)

#: bytes of framing a chunked body may carry beyond eight times its payload; one read is at most
#: 256 KiB of head
_MAX_FRAMING = 524_288
#: an attribute of an Enum class is a slow look-up
_PUBLIC = Auth.PUBLIC
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
#: `_head_bytes` of a connection that is closing: more heads may stand in the bytes that are being
#: parsed
_NO_MORE_HEADS = 1 << 62


class ClientConnection:
    """One client socket. At most one exchange is being answered; further requests wait in order."""

    # No __slots__: asyncio.Protocol subclasses get them, but `write` is bound per connection for
    # speed.

    def __init__(self, server: HttpServer) -> None:
        self.server = server
        self.settings = server.settings
        self.transport: asyncio.Transport = None  # type: ignore[assignment]
        self.write = _closed_write
        self._parser = httptools.HttpRequestParser(self)
        self._closing = False
        self._paused = False
        # the request being read
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._reading: Exchange | None = None
        self._chunks: list[bytes] = []
        self._body_bytes = 0
        self._head_bytes = 0
        self._discard = False
        self._in_head = False
        self._wire_bytes = 0
        self._queue: DeadlineQueue | None = None
        # the request being answered, those complete and waiting, and bytes not parsed yet
        self._exchange: Exchange | None = None
        self._ready: deque[Exchange] = deque()
        self._stash: list[bytes] = []
        self._stash_bytes = 0
        self._reading_paused = False
        # a request with a body that asked for another protocol, and one whose client waits for
        # "100 Continue"
        self._upgrading: tuple[Exchange, int] | None = None
        self._continue_for: Exchange | None = None

    # -- transport callbacks ----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register; the clock for the first head starts now."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=self.settings.write_buffer_high)
        self.write = self.transport.write
        self.server.connections.add(self)
        self._watch(self.server.head_deadlines)

    def connection_lost(self, exc: BaseException | None) -> None:
        """The client left: whoever works for it stops at once."""
        self._closing = True
        server = self.server
        server.connections.discard(self)
        self._watch(None)
        self.write = _closed_write
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.client_gone()
        reading, self._reading = self._reading, None
        if reading is not None and reading is not exchange:
            reading.client_gone()
        while self._ready:
            self._ready.popleft().client_gone()
        self._stash.clear()
        # The parser points back at us: break the cycle so that memory goes back without the
        # collector.
        self._parser = None  # type: ignore[assignment]

    def eof_received(self) -> bool:
        """A client that shuts down its side has left; half-closed requests are not served."""
        exchange = self._exchange
        if exchange is not None and not exchange.done:
            # At once: a close would first wait until the client reads what is written already, and
            # the worker would go on for as long.
            if exchange.http10:
                self.server.reset(self.transport)  # as in `cut`
            else:
                self.transport.abort()
        return False

    def pause_writing(self) -> None:
        """The client reads slowly."""
        self._paused = True
        exchange = self._exchange
        if exchange is not None and exchange.consumer is not None:
            exchange.consumer.pause()

    def resume_writing(self) -> None:
        """The client caught up."""
        self._paused = False
        exchange = self._exchange
        if exchange is not None:
            if exchange.consumer is not None:
                exchange.consumer.resume()
            elif exchange.done:
                self._advance()

    @property
    def is_write_paused(self) -> bool:
        """True while the client's buffer is full: a new producer must start paused."""
        return self._paused

    def data_received(self, data: bytes) -> None:
        """Parse, unless a request is being answered: then pipelined bytes wait."""
        if self._closing:
            return
        if self._exchange is not None and self._reading is None:
            self._hold(data)
            return
        self._feed(data)

    # -- parsing ----------------------------------------------------------------------------------

    def _hold(self, data: bytes) -> None:
        self._stash.append(data)
        self._stash_bytes += len(data)
        if self._stash_bytes > self.settings.max_pipelined_bytes and not self._reading_paused:
            self._reading_paused = True
            self.transport.pause_reading()

    def _feed(self, data: bytes) -> None:
        if self._reading is None:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as stop:
            # We never switch protocols: the request is served like any other, what follows it is
            # not HTTP.
            upgrading, self._upgrading = self._upgrading, None
            if upgrading is None or self._closing:
                self._no_more_requests()
            else:
                self._read_body_of_upgrade(*upgrading, data[stop.args[0] :])
            return
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__ or error
            if isinstance(cause, GatewayError):
                self._refuse(cause)
            else:
                log.error("request parsing failed", exc_info=cause)
                self._refuse(GatewayError("Internal error in the gateway"))
            return
        except httptools.HttpParserError as error:
            if self._closing or (self._exchange is not None and not self._exchange.keep_alive):
                return  # bytes after the last request of this connection
            self._refuse(RequestError("Malformed HTTP request.", code="bad_request", cause=error))
            return
        if self._closing:
            return
        if self._reading is None:
            if self._exchange is None and (self._in_head or self._head_bytes):
                if self._head_bytes > self.settings.max_head_bytes:
                    self._refuse(head_too_large())
                elif self._queue is not self.server.head_deadlines:
                    self._watch(self.server.head_deadlines)
            return
        self._watch(self.server.body_deadlines)
        # What is neither head nor payload: chunk sizes and extensions, trailers. A chunk of one
        # byte costs six.
        before = self._wire_bytes
        self._wire_bytes = before + len(data)
        if not self._discard and self._wire_bytes > _MAX_FRAMING + 8 * self._body_bytes:
            self._refuse(
                RequestError("Chunk extensions or trailers too large.", code="bad_request")
            )
        elif self._wire_bytes >> 20 != before >> 20:
            # Another MiB. The event loop reads a socket up to 32 times in a turn, which may be
            # 8 MB, and nobody else has a turn meanwhile: so we pause for one.
            self.transport.pause_reading()
            self.server.loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        if not self._reading_paused and not self.transport.is_closing():
            self.transport.resume_reading()

    def _read_body_of_upgrade(self, exchange: Exchange, length: int, rest: bytes) -> None:
        """The parser stops after the head of a request to upgrade; its body is read by another
        one.
        """
        self._reading = exchange
        self._parser = httptools.HttpRequestParser(_BodyOnly(self))
        framing = b"content-length: %d" % length if length > 0 else b"transfer-encoding: chunked"
        self._parser.feed_data(b"POST / HTTP/1.1\r\nhost: x\r\n" + framing + b"\r\n\r\n")
        if rest:
            self._feed(rest)
        else:
            self._watch(self.server.body_deadlines)

    def on_message_begin(self) -> None:
        """httptools: a request line begins."""
        self._in_head = True
        self._headers = []
        self._target = b""
        self._chunks = []
        self._body_bytes = 0

    def on_url(self, url: bytes) -> None:
        """httptools: the request target."""
        self._target = url if not self._target else self._target + url

    def on_header(self, name: bytes, value: bytes) -> None:
        """httptools: one header line (or trailer, which is dropped)."""
        if self._reading is None:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """httptools: the head is complete; match the route and decide about the body."""
        parser = self._parser
        server = self.server
        headers = self._headers
        if self._head_bytes > server.max_head_bytes:
            if self._closing:  # set below together with `_head_bytes`: one test for both
                raise RequestError("A request behind the last one.", code="bad_request")
            size = len(self._target) + sum(len(n) + len(v) + 4 for n, v in headers)
            if size > server.max_head_bytes:
                raise head_too_large()
        if len(headers) > server.max_headers:
            raise GatewayError("Too many request headers.", status=431, code="headers_too_large")
        target = self._target
        if len(target) > server.max_target_bytes:
            raise GatewayError("Request target too long.", status=414, code="uri_too_long")
        special = server.special_headers
        request_id = origin = expect = length = host = coding = connection = content_type = None
        rank = 99
        for name, value in headers:
            kind = special.get(name)
            if kind is None:
                continue
            if kind >= REQUEST_ID:  # lower number = earlier in the list
                if kind < rank and 0 < len(value) <= MAX_REQUEST_ID and is_printable(value):
                    request_id, rank = value, kind
            elif kind == HOST:
                if host is not None or (value not in seen_hosts and not is_host(value)):
                    raise RequestError("Repeated or malformed Host header.", code="bad_request")
                host = value
            elif kind == LENGTH:
                length = int(value)
            elif kind == TYPE:
                if content_type is None:
                    content_type = value
            elif kind == CONNECTION:
                connection = value
            elif kind == CODING:
                coding = value if coding is None else b"repeated"
                length = -1
            elif kind == EXPECT:
                expect = value
            else:
                origin = value
        method = parser.get_method()
        keep_alive = parser.should_keep_alive()
        # Without a Connection header only HTTP/1.1 keeps alive: the usual request needs no second
        # look.
        http10 = upgrade = False
        if connection is not None or not keep_alive or method == b"CONNECT":
            version = parser.get_http_version()
            http10 = version != "1.1"
            if http10 and version != "1.0":
                raise GatewayError("HTTP version not supported.", status=505, code="http_version")
            upgrade = parser.should_upgrade()
        if coding is not None and (http10 or coding.strip().lower() != b"chunked"):
            raise RequestError("Unsupported Transfer-Encoding.", code="bad_request")
        if host is None and not http10:
            raise RequestError("Missing Host header.", code="bad_request")
        path, query = target, b""
        mark = query_mark(target)  # `in` tries the needle as a number first: 2,000 instructions
        if mark >= 0:
            path, query = target[:mark], target[mark + 1 :]
        if not path.startswith(b"/"):
            path = origin_form(path)
        error: GatewayError | None = None
        params = None
        endpoint: Endpoint
        try:
            endpoint, params = server.table.match(method, path)
        except GatewayError as caught:
            error = caught
            endpoint = server.table.other
            if caught.status == 405:
                if server.cors is not None and method == b"OPTIONS":
                    error, endpoint = None, server.cors.preflight
                else:
                    endpoint = server.table.sibling(path)
        if request_id is None:
            request_id = endpoint.id_prefix + request_suffix()
        exchange = Exchange(
            self,
            endpoint,
            method,
            path,
            query,
            headers,
            request_id,
            http10,
            keep_alive and not http10 and not upgrade,
        )
        self._in_head = False
        self._wire_bytes = 0
        exchange.params = params
        exchange.content_type = content_type
        exchange.origin = origin
        self._head_bytes = 0
        self._discard = False
        server.request_arrived(exchange, endpoint, method)
        if error is None:
            if endpoint.auth is not _PUBLIC and server.authorize is not None:
                error = server.authorize(exchange)
            if error is None and length is not None and length > server.max_payload_size:
                error = body_too_large(server.max_payload_size)
        self._reading = exchange
        if error is not None:
            exchange.early_error = error
            self._discard = True
            # A client that waits for "100 Continue" may never send the body that we would drain.
            if length is not None and (
                expect is not None or not 0 <= length <= server.settings.drain_bytes
            ):
                exchange.keep_alive = False
                self._answer_unread(exchange)
        elif expect is not None and length and not http10 and expect.lower() == b"100-continue":
            if self._exchange is None:
                self.write(_CONTINUE)
            else:
                self._continue_for = exchange  # when its turn comes
        if upgrade and length and method != b"CONNECT":
            self._upgrading = exchange, length
            self._reading = None  # on_message_complete comes now, before the body

    def on_body(self, body: bytes) -> None:
        """httptools: a piece of the body."""
        if self._discard:
            return
        self._chunks.append(body)
        self._body_bytes += len(body)
        if self._body_bytes > self.server.max_payload_size and self._reading is not None:
            # Only a chunked body gets here; a declared length was refused with the head.
            self._reading.early_error = body_too_large(self.settings.max_payload_size)
            self._discard = True
            self._chunks = []
            self._reading.keep_alive = False
            self._answer_unread(self._reading)

    def on_message_complete(self) -> None:
        """httptools: the request is complete; answer it, or queue it behind the one being
        answered.
        """
        exchange = self._reading
        self._reading = None
        if exchange is None or exchange.done or self._closing:
            return
        exchange.body_complete = True
        chunks = self._chunks
        if chunks:
            exchange.body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
            self._chunks = []
        if self._exchange is None:
            self._watch(None)
            self._exchange = exchange
            self._start(exchange)
        elif self._exchange is not exchange:
            self._watch(None)
            self._ready.append(exchange)

    # -- answering --------------------------------------------------------------------------------

    def _start(self, exchange: Exchange) -> None:
        if exchange.early_error is not None:
            exchange.fail(exchange.early_error)
            return
        try:
            exchange.endpoint.start(exchange)
        except GatewayError as caught:
            exchange.fail(caught)
        except Exception as caught:
            log.exception("handler of %s failed", exchange.route.path, extra=exchange.log_extra())
            exchange.fail(GatewayError("Internal error in the gateway", cause=caught))

    def _answer_unread(self, exchange: Exchange) -> None:
        """Answer a request whose body is still coming and will not be read."""
        if self._exchange is not None:
            return  # it is not its turn yet; on_message_complete or the deadline will come
        self._exchange = exchange
        self._start(exchange)

    def exchange_done(self, exchange: Exchange) -> None:
        """The exchange wrote its last byte: go on with the next, or close."""
        if self._exchange is not exchange:
            return
        if exchange.keep_alive and (self._ready or self._stash or self._paused):
            # The ended exchange keeps its place until `_advance`, so that new input cannot
            # overtake what waits.
            if self._paused:
                if self._reading is None:
                    self._watch(self.server.idle_deadlines)
            else:
                # Not from inside the previous answer's call chain: a long pipeline must not grow
                # the stack.
                self.server.loop.call_soon(self._advance)
            return
        self._exchange = None
        if self._closing:
            return
        if not exchange.keep_alive:
            self._close_gently(unread=not exchange.body_complete)
        elif self._reading is None:
            if self.server.draining:
                self.close_if_idle()
            else:
                self._watch_between()
        elif self._reading is self._continue_for:
            self.write(_CONTINUE)

    def _watch(self, queue: DeadlineQueue | None) -> None:
        """At most one inbound deadline runs per connection."""
        old = self._queue
        if old is not None:
            old.discard(self)
        self._queue = queue
        if queue is not None:
            queue.add(self)

    def _watch_between(self) -> None:
        """Nothing is being answered: the next request has begun already, or the connection is
        idle.
        """
        server = self.server
        self._watch(server.head_deadlines if self._in_head else server.idle_deadlines)

    def _advance(self) -> None:
        ended = self._exchange
        if self._closing or self._paused or (ended is not None and not ended.done):
            return
        self._exchange = None
        if self._ready:
            self._watch(None if self._reading is None else self.server.body_deadlines)
            self._exchange = exchange = self._ready.popleft()
            self._start(exchange)
        elif self._stash:
            data = b"".join(self._stash)
            self._stash.clear()
            self._stash_bytes = 0
            if self._reading_paused:
                self._reading_paused = False
                self.transport.resume_reading()
            self._feed(data)
        elif self._reading is None:
            self._watch_between()
        elif self._reading is self._continue_for:
            self.write(_CONTINUE)

    def connection_header(self, exchange: Exchange) -> bytes:
        """The `connection` line of an answer that is the last one, or that comes before its
        request was read.
        """
        exchange.keep_alive = False
        return b"connection: close\r\n"

    def _no_more_requests(self) -> None:
        if self._closing:
            return
        last = self._ready[-1] if self._ready else self._exchange
        if last is not None and not last.done:
            last.keep_alive = False
        elif self._reading is None:
            self._close_gently(unread=False)

    def _refuse(self, error: GatewayError) -> None:
        """A request that cannot even be read: answer once, then close."""
        if self._closing:
            return
        self._stash.clear()
        reading, self._reading = self._reading, None
        if reading is not None and not reading.done and self._exchange in (None, reading):
            self._exchange = reading
            reading.keep_alive = False
            reading.fail(error)
            return
        if reading is not None:
            reading.client_gone()
        if self._exchange is not None or self._ready:
            self._no_more_requests()  # earlier requests are answered first, then it ends
            return
        self.server.refused(error)
        body = error_body(error)
        head = [status_line(error.status), b"content-type: ", JSON, b"\r\n"]
        for name, value in error_headers(error):
            head += (name, b": ", value, b"\r\n")
        request_id = b"req-" + request_suffix()
        head.append(
            b"content-length: %d\r\nx-request-id: %b\r\nconnection: close\r\n\r\n"
            % (len(body), request_id)
        )
        self.write(b"".join(head) + body)
        self._close_gently(unread=True)

    # -- closing ----------------------------------------------------------------------------------

    def _close_gently(self, *, unread: bool) -> None:
        """Close after the last answer. With unread input a plain close would reset the connection
        and could destroy the answer on its way, so we half-close and read on until the client
        closes or the linger time is over.
        """
        self._closing = True
        self._head_bytes = _NO_MORE_HEADS
        self._watch(self.server.linger_deadlines)
        if unread and self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    def cut(self, exchange: Exchange) -> None:
        """Close in the middle of an answer."""
        if self._exchange is exchange:
            self._exchange = None
        self._closing = True
        self._head_bytes = _NO_MORE_HEADS
        # close(), not abort(): what was written before the cut is still delivered, the framing
        # stays open.
        self._watch(self.server.linger_deadlines)
        if exchange.http10:
            # An HTTP/1.0 body ends by close: only a reset tells the client that this one is not
            # complete.
            self.server.reset(self.transport)
        else:
            self.transport.close()

    def close_if_idle(self) -> None:
        """For draining: close now when nothing is being answered or read."""
        if self._exchange is None and self._reading is None and not self._ready:
            self._closing = True
            self.transport.close()

    def head_timed_out(self) -> None:
        """The head did not complete in time."""
        if self._head_bytes or self._in_head:
            self._refuse(
                GatewayError("Request head not received in time.", status=408, code="timeout")
            )
        else:
            self._closing = True
            self.transport.close()

    def body_timed_out(self) -> None:
        """The client stopped sending its body."""
        self._refuse(
            GatewayError("The request body stalled.", status=408, code="request_body_stalled")
        )

    def idle_timed_out(self) -> None:
        """A kept connection was not used again."""
        self._closing = True
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            self.transport.close()

    def linger_timed_out(self) -> None:
        """The client did not take its last answer or did not close."""
        self.transport.abort()


class _BodyOnly:
    """Callbacks of a parser that reads one body behind a head of our own."""

    def __init__(self, connection: ClientConnection) -> None:
        self.on_body = connection.on_body
        self.on_message_complete = connection.on_message_complete


def _closed_write(data: bytes) -> None:
    """Writes after the connection is gone go nowhere."""
