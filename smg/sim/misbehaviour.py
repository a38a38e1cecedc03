"""Carrying out faults on a live connection.

The only module that reaches below the exchange, to the client's transport: a broken answer cannot
be written through an interface that keeps answers whole. After a raw write the connection is never
used again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import orjson

from smg.sim.answers import chunk
from smg.wire.errors import stream_error_frame

if TYPE_CHECKING:
    from smg.server import Exchange
    from smg.sim.faults import Fault
    from smg.sim.wheel import Wheel

GARBAGE = b"\x00\xff\x16\x03\x01 this is not HTTP \r\n\r\n"
BIG_HEAD_BYTES = 1 << 20
SMALL_BODY = b'{"object":"chat.completion","choices":[]}'
DRIBBLE_BYTES = 1
DRIBBLE_SECS = 0.005
FAILURE = "simulated engine failure"
CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\ntransfer-encoding: chunked\r\n\r\n"
EVENT_STREAM = b"text/event-stream; charset=utf-8"


def reset(exchange: Exchange, wheel: Wheel, after_secs: float = 0.02) -> None:
    """Close with a TCP reset, a moment later: an abort throws away what is still buffered."""
    conn = exchange.conn
    wheel.at(conn.server.loop.time() + after_secs, Later(lambda: conn.server.reset(conn.transport)))


class Later:
    """A callback on the wheel."""

    __slots__ = ("_callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback = callback

    def fire(self, now: float) -> None:
        """Called by the wheel."""
        self._callback()


def strike_head(
    exchange: Exchange,
    fault: Fault,
    wheel: Wheel,
    proceed: Callable[[], None],
    gone: Callable[[], None],
) -> None:
    """Carry out a fault that comes before or instead of the answer.

    After a stall `proceed` answers normally; `gone` is called when the client left before.
    """
    transport = exchange.conn.transport
    kind = fault.kind
    if kind == "status":
        status = int(fault.value or 500)
        error = {
            "message": f"simulated status {status}",
            "type": "server_error",
            "param": None,
            "code": status,
        }
        headers = (
            [(b"retry-after", b"%d" % fault.retry_after)] if fault.retry_after is not None else []
        )
        exchange.respond(status, orjson.dumps({"error": error}), headers=headers)
    elif kind == "stall":
        exchange.consumer = Silent(gone)
        if fault.seconds is not None:
            wheel.at(
                exchange.conn.server.loop.time() + fault.seconds,
                Later(lambda: _resume(exchange, proceed)),
            )
    elif kind == "garbage":
        transport.write(GARBAGE)
        transport.close()
    elif kind == "partial-head":
        transport.write(b"HTTP/1.1 200 OK\r\ncontent-type: applic")
        transport.close()
    elif kind == "big-head":
        size = int(fault.value or BIG_HEAD_BYTES)
        transport.write(_head(len(SMALL_BODY), b"x-padding: " + b"p" * size + b"\r\n") + SMALL_BODY)
        transport.close()
    elif kind == "length-short":
        # More bytes than announced, and the connection lives on: a client that keeps it
        # reads the rest as an answer.
        transport.write(_head(len(SMALL_BODY) - 4) + SMALL_BODY)
        _end_raw(exchange)
    elif kind == "length-long":
        transport.write(_head(len(SMALL_BODY) + 64) + SMALL_BODY)
        transport.close()
    else:  # close; refuse, when it reaches a request through the header
        transport.close()


def _resume(exchange: Exchange, proceed: Callable[[], None]) -> None:
    if not exchange.done:
        exchange.consumer = None
        proceed()


class Silent:
    """Consumer of an exchange that nobody answers."""

    __slots__ = ("_gone",)

    def __init__(self, gone: Callable[[], None]) -> None:
        self._gone = gone

    def client_gone(self) -> None:
        """Tell the engine."""
        self._gone()

    def pause(self) -> None:
        """Nothing is produced."""

    def resume(self) -> None:
        """Nothing is produced."""


def _head(length: int, extra: bytes = b"", content_type: bytes = b"application/json") -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\n%scontent-length: %d\r\n\r\n" % (
        content_type,
        extra,
        length,
    )


def strike_body(
    exchange: Exchange, fault: Fault, body: bytes, wheel: Wheel, finish: Callable[[], None]
) -> None:
    """Carry out a body fault on a whole answer: half of it arrives, then the fault strikes.

    `finish` is called when the answer is nevertheless completed, to account for it.
    """
    transport = exchange.conn.transport
    half = len(body) // 2
    kind = fault.kind
    if kind == "dribble":
        dribble(exchange, fault, _head(len(body)) + body, wheel, finish)
    elif kind == "error-frame":
        error = {
            "message": FAILURE,
            "type": "server_error",
            "param": None,
            "code": 500,
        }
        exchange.respond(500, orjson.dumps({"error": error}))
        finish()
    elif kind in ("cut-mid-chunk", "bad-chunk-size"):
        head = CHUNKED_HEAD % b"application/json"
        size = b"%x" % len(body) if kind == "cut-mid-chunk" else b"zz"
        transport.write(head + size + b"\r\n" + body[:half])
        transport.close()
    else:
        transport.write(_head(len(body)) + body[:half])
        if kind == "reset":
            reset(exchange, wheel)
        elif kind == "stall-after":
            if fault.seconds is not None:
                when = exchange.conn.server.loop.time() + fault.seconds
                wheel.at(when, Later(lambda: _complete(exchange, body[half:], finish)))
        else:
            transport.close()


def _complete(exchange: Exchange, rest: bytes, finish: Callable[[], None]) -> None:
    if exchange.done:
        return
    exchange.conn.transport.write(rest)
    finish()
    _end_raw(exchange)


def _end_raw(exchange: Exchange) -> None:
    """A raw answer is complete: the exchange ends and the connection lives on."""
    exchange.sent(200)
    exchange.ended()


def strike_stream(exchange: Exchange, fault: Fault, frame: bytes, wheel: Wheel) -> None:
    """Carry out a body fault between two frames of a stream; `frame` would come next."""
    transport = exchange.conn.transport
    half = len(frame) // 2
    kind = fault.kind
    if kind == "cut-mid-frame":
        exchange.write(frame[:half])
        transport.close()
    elif kind == "cut-mid-chunk":
        transport.write(b"%x\r\n%s" % (len(frame), frame[:half]))
        transport.close()
    elif kind == "bad-chunk-size":
        transport.write(b"zz\r\n%s\r\n" % frame)
        transport.close()
    elif kind == "error-frame":
        endpoint = exchange.path.rpartition(b"/")[2].decode("latin-1")
        exchange.write(stream_error_frame("engine_error", FAILURE, endpoint=endpoint))
        exchange.finish()
    elif kind == "reset":
        reset(exchange, wheel)
    elif kind == "cut":
        transport.close()
    # stall-after: nothing; the caller goes on later, or never


def dribble(
    exchange: Exchange, fault: Fault, message: bytes, wheel: Wheel, finish: Callable[[], None]
) -> None:
    """Send a whole HTTP message some bytes at a time.

    The fault's value is the bytes per write, `seconds` the pause between writes.
    """
    size = int(fault.value or DRIBBLE_BYTES)
    pause = DRIBBLE_SECS if fault.seconds is None else fault.seconds
    drip = _Drip(exchange, message, size, pause, wheel, finish)
    drip.fire(exchange.conn.server.loop.time())


def chunked_message(frames: list[bytes]) -> bytes:
    """A whole streamed answer, head and chunks, for `dribble`."""
    head = CHUNKED_HEAD % EVENT_STREAM
    return head + b"".join(map(chunk, frames)) + b"0\r\n\r\n"


class _Drip:
    """Writes slowly until all is out."""

    def __init__(
        self,
        exchange: Exchange,
        message: bytes,
        size: int,
        pause: float,
        wheel: Wheel,
        finish: Callable[[], None],
    ) -> None:
        self._exchange = exchange
        self._message = message
        self._size = size
        self._pause = pause
        self._wheel = wheel
        self._finish = finish
        self._sent = 0

    def fire(self, now: float) -> None:
        """The next bytes."""
        exchange = self._exchange
        if exchange.done:
            return
        exchange.conn.transport.write(self._message[self._sent : self._sent + self._size])
        self._sent += self._size
        if self._sent < len(self._message):
            self._wheel.at(now + self._pause, self)
        else:
            self._finish()
            _end_raw(exchange)
