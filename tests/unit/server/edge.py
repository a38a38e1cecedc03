"""The HTTP edge without sockets and without time: bytes in, bytes out, turns and ticks by hand.

    with Edge(routes) as edge:
        client = edge.connect()
        client.send(b"GET /now HTTP/1.1\\r\\nhost: a\\r\\n\\r\\n")
        assert client.answers()[0].status == 200
        edge.advance(30)

`Edge` fails at its end for an exception that nobody handled, an error in the server's log, or
anything that outlives the last connection.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from smg._speedups.framing import LENGTH, BodyTracker
from smg._speedups.head import parse_reply_head
from smg.core.deadlines import Ticker
from smg.server import Exchange, HttpServer, Route, ServerSettings
from smg.server.listener import Authorize
from smg.server.protocol import ClientConnection

START = 1000.0  # not 0: a forgotten start value shows


class SteppedLoop:
    """The part of a loop that the edge uses."""

    def __init__(self) -> None:
        self.now = START
        self._soon: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self.problems: list[object] = []

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[..., object], *args: Any) -> None:
        self._soon.append((callback, args))

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> Any:
        raise AssertionError("nothing but the ticker waits")

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.problems.append(context)

    def turn(self) -> bool:
        """One loop turn; False when there was nothing to do."""
        ready, self._soon = self._soon, deque()
        for callback, args in ready:
            callback(*args)
        return bool(ready)

    def settle(self) -> None:
        """Turns until nothing is left to do."""
        while self.turn():
            pass


class SteppedTicker(Ticker):
    """Ticks when told."""

    def start(self) -> None:
        """Nothing to start."""

    def advance(self, seconds: float) -> None:
        """Move on in steps of the interval."""
        loop: Any = self._loop
        for _ in range(round(seconds / self.interval)):
            loop.now += self.interval
            self.now = loop.now
            for callback in tuple(self._subscribers):
                callback(self.now)
            loop.settle()


class FakeTransport(asyncio.Transport):
    """Keeps what was written; refuses what uvloop refuses. Slow readers set `buffered`."""

    def __init__(self, loop: SteppedLoop, protocol: Any) -> None:
        super().__init__()
        self._stepped = loop
        self._protocol = protocol
        self.written = bytearray()
        self.buffered = 0
        self.eof_sent = False
        self.closed = False  # by our side, in whatever way
        self.aborted = False
        self.lost = False
        self.reading = True

    def write(self, data: Any) -> None:
        if self.eof_sent:
            raise RuntimeError("Cannot call write() after write_eof()")
        if not self.closed:
            self.written += data

    def write_eof(self) -> None:
        self.eof_sent = True

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            if not self.buffered:
                self._stepped.call_soon(self.lose)

    def abort(self) -> None:
        if not self.aborted:
            self.closed = self.aborted = True
            self._stepped.call_soon(self.lose)

    def lose(self, error: Exception | None = None) -> None:
        """`connection_lost`, once."""
        if not self.lost:
            self.lost = self.closed = True
            self._protocol.connection_lost(error)

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        if self.closed:
            raise RuntimeError("unable to perform operation on a closed transport")
        self.reading = True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return self.buffered

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


@dataclass(frozen=True)
class Answer:
    """One parsed answer."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    keep_alive: bool

    def header(self, name: bytes) -> bytes | None:
        return next((value for key, value in self.headers if key == name), None)


class Client:
    """The other end of one connection."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge
        self.conn = ClientConnection(edge.server)
        self.transport = FakeTransport(edge.loop, self.conn)
        self._unsent: list[bytes] = []
        self.conn.connection_made(self.transport)

    def send(self, data: bytes, *, settle: bool = True) -> None:
        """Bytes arrive; those that come while reading is paused arrive later."""
        self._unsent.append(data)
        self.deliver()
        if settle:
            self.edge.settle()

    def deliver(self) -> None:
        """What waits in the socket, as long as the server reads."""
        while self._unsent and self.transport.reading and not self.transport.closed:
            self.conn.data_received(self._unsent.pop(0))

    def leave(self) -> None:
        """The client closes."""
        self.transport.lose()
        self.edge.settle()

    @property
    def output(self) -> bytes:
        return bytes(self.transport.written)

    @property
    def ended(self) -> bool:
        """The server will send nothing more."""
        return self.transport.closed or self.transport.eof_sent

    def answers(self, *methods: str) -> list[Answer]:
        """Everything sent, parsed; `methods` of the requests, where a HEAD is among them."""
        return read_answers(self.output, methods)


def read_answers(wire: bytes, methods: Sequence[str] = ()) -> list[Answer]:
    """All answers in `wire`; fails for anything that is not a whole answer."""
    found: list[Answer] = []
    while wire:
        end = wire.find(b"\r\n\r\n") + 4
        assert end >= 4, f"half a head: {wire!r}"
        head = parse_reply_head(wire, end, 100)
        lines = wire[:end].split(b"\r\n")[1:-2]
        pairs = [
            (name.lower(), value) for name, _, value in (line.partition(b": ") for line in lines)
        ]
        wire = wire[end:]
        if head.status < 200:
            continue
        empty = head.status in (204, 304) or methods[len(found) : len(found) + 1] == ("HEAD",)
        tracker = BodyTracker(LENGTH, 0) if empty else BodyTracker(head.mode, head.length)
        used, body = tracker.decode(wire)
        assert tracker.complete or tracker.close(), f"half a body: {wire!r}"
        found.append(Answer(head.status, pairs, body, head.keep_alive))
        wire = wire[used:]
    return found


class _Errors(logging.Handler):
    def __init__(self, problems: list[object]) -> None:
        super().__init__(logging.ERROR)
        self.problems = problems

    def emit(self, record: logging.LogRecord) -> None:
        self.problems.append((record.getMessage(), record.exc_info))


class Edge:
    """A server, its loop and its clock. `held` are exchanges of the route /later, oldest first."""

    def __init__(
        self,
        routes: Sequence[Route] | None = None,
        *,
        authorize: Authorize | None = None,
        metrics: Any = None,
        expect_errors: bool = False,
        **settings: Any,
    ) -> None:
        self.loop = SteppedLoop()
        self.ticker = SteppedTicker(self.loop)  # type: ignore[arg-type]
        self.held: list[Held] = []
        self.seen: list[Exchange] = []
        self.clients: list[Client] = []
        self.expect_errors = expect_errors
        self._log_handler = _Errors(self.loop.problems)
        before = asyncio._get_running_loop()
        asyncio._set_running_loop(self.loop)  # type: ignore[arg-type]
        try:
            self.server = HttpServer(
                default_routes(self) if routes is None else routes,
                ServerSettings(**settings),
                ticker=self.ticker,
                authorize=authorize,
                metrics=metrics,
            )
        finally:
            asyncio._set_running_loop(before)

    def __enter__(self) -> Edge:
        logging.getLogger("smg").addHandler(self._log_handler)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        for client in self.clients:
            client.leave()
        logging.getLogger("smg").removeHandler(self._log_handler)
        if kind is None:
            assert self.expect_errors or not self.loop.problems, self.loop.problems
            self.check_empty()

    def check_empty(self) -> None:
        """Nothing is left of connections that ended."""
        server = self.server
        assert not server.connections
        assert not server.exchanges
        queues = ("head", "body", "idle", "linger")
        assert {
            name: len(getattr(server, f"{name}_deadlines")) for name in queues
        } == dict.fromkeys(queues, 0)
        for held in self.held:
            assert held.gone + held.released == 1, held

    def connect(self) -> Client:
        client = Client(self)
        self.clients.append(client)
        return client

    def settle(self) -> None:
        """Loop turns, and what clients sent meanwhile, until nothing happens."""
        while self.loop.turn():
            for client in self.clients:
                client.deliver()

    def advance(self, seconds: float) -> None:
        """Time passes."""
        self.ticker.advance(seconds)
        self.settle()

    def release(self) -> bool:
        """Answer the oldest exchange of /later; False when there is none."""
        for held in self.held:
            if not held.gone and not held.released:
                held.release()
                return True
        return False


class Held:
    """Consumer of one exchange of /later."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        exchange.consumer = self
        self.gone = self.released = self.paused = self.resumed = 0

    def release(self) -> None:
        self.released += 1
        echo(self.exchange)

    def client_gone(self) -> None:
        self.gone += 1

    def pause(self) -> None:
        self.paused += 1

    def resume(self) -> None:
        self.resumed += 1


def echo(exchange: Exchange) -> None:
    """Answers with what the exchange saw."""
    parts = [exchange.method, exchange.target, exchange.version, exchange.body]
    exchange.respond(200, b"|".join(parts), b"text/plain")


def default_routes(edge: Edge) -> list[Route]:
    """One of each kind."""

    def now(exchange: Exchange) -> None:
        edge.seen.append(exchange)
        echo(exchange)

    def later(exchange: Exchange) -> None:
        edge.seen.append(exchange)
        edge.held.append(Held(exchange))

    def stream(exchange: Exchange) -> None:
        edge.seen.append(exchange)
        body = exchange.body
        exchange.start(200, [(b"content-type", b"text/plain")])
        exchange.write(exchange.target + b"|")
        exchange.write(b"")
        exchange.write(body)
        exchange.finish()

    return [
        Route("GET", "/now", now, endpoint="now"),
        Route("POST", "/now", now, endpoint="now"),
        Route("GET", "/later", later, endpoint="later"),
        Route("POST", "/later", later, endpoint="later"),
        Route("POST", "/stream", stream, endpoint="stream"),
        Route("GET", "/items/{item}", now),
    ]
