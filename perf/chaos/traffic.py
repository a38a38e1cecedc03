"""Clients at a steady rate, whatever becomes of the answers (an open loop).

Each request goes out on an idle connection or a new one. Answers are parsed by llhttp, which shares
no code with what relayed them, and judged when they end.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable, Iterator
from typing import Any

import httptools

from perf.chaos.asks import Ask
from perf.chaos.tally import Record, Tally
from perf.chaos.verdict import End, Seen, Verdict, judge
from perf.messages import MODEL

CONNECT_SECS = 5.0
PAUSE = 0.005  # between two looks at what is due


class Visit(asyncio.Protocol):
    """One client connection; `ask` is the request under way."""

    __slots__ = (
        "ask", "begun", "body", "complete", "extra", "framed", "kept", "label", "parser",
        "request_id", "status", "traffic", "transport",
    )  # fmt: skip

    def __init__(self, traffic: Traffic) -> None:
        self.traffic = traffic
        self.ask: Ask | None = None
        self.begun = 0.0
        self.label = ""
        self._reset()

    def _reset(self) -> None:
        self.parser: Any = httptools.HttpResponseParser(self)
        self.status = 0
        self.framed = False
        self.request_id = ""
        self.body = bytearray()
        self.complete = self.extra = self.kept = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def send(self, ask: Ask, data: bytes, label: str) -> None:
        self._reset()
        self.ask = ask
        self.label = label
        loop = self.traffic.loop
        self.begun = loop.time()
        self.transport.write(data)
        if ask.leaves is not None:
            loop.call_later(ask.leaves, self.leave, ask)

    def leave(self, ask: Ask) -> None:
        """The client of `ask` has had enough, unless it has its answer."""
        if self.ask is ask:
            self.end(End.LEFT)

    def data_received(self, data: bytes) -> None:
        if self.ask is None:
            self.traffic.strays += 1
            self.transport.abort()
            return
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.end(End.MALFORMED)
            return
        if self.complete:
            self.end(End.COMPLETE)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.ask is not None:
            self.end(End.CLOSED)

    def end(self, end: End) -> None:
        """The answer is over for this client."""
        ask, self.ask = self.ask, None
        assert ask is not None
        keep = end is End.COMPLETE and self.kept and not self.extra
        if not keep:
            self.transport.abort()
        status = self.status
        seen = Seen(end, status, self.framed, self.request_id, bytes(self.body), self.extra)
        self.traffic.ended(self, ask, seen, keep=keep)

    # -- told by the parser -----------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self.extra = self.complete

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"content-length" or (name == b"transfer-encoding" and b"chunked" in value):
            self.framed = True
        elif name == b"x-request-id":
            self.request_id = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if not self.extra:
            self.status = self.parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        if not self.extra:
            self.body += data

    def on_message_complete(self) -> None:
        self.complete = True
        self.kept = self.parser.should_keep_alive()  # llhttp forgets it right afterwards


class Traffic:
    """Sends `asks` to a port at `rate` a second; what the clients saw is added to `tally`.

    `patience` is how long a client waits for the end of its answer, in seconds; `label` names the
    fault of the moment; `model` goes into every request.
    """

    def __init__(
        self,
        host: str,
        port: int,
        asks: Iterator[Ask],
        *,
        rate: float,
        patience: float,
        label: Callable[[], str],
        model: str = MODEL,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.host, self.port, self.model = host, port, model
        self.asks = asks
        self.rate, self.patience, self.label = rate, patience, label
        self.tally = Tally()
        self.lateness: array[float] = array("d")  # of sending, against the steady rate
        self.strays = 0  # bytes on connections where nothing was asked
        self.sent = 0
        self.started = self.loop.time()
        self._idle: list[Visit] = []
        self._busy: dict[Visit, None] = {}  # in the order of their beginning
        self._connecting: set[asyncio.Task[None]] = set()

    async def run(self, seconds: float) -> None:
        """Sends for `seconds`, then waits for what is under way; closes every connection."""
        loop = self.loop
        self.started = loop.time()
        try:
            while (passed := loop.time() - self.started) < seconds:
                while (due := self.sent / self.rate) <= passed:
                    self.lateness.append(passed - due)
                    self.sent += 1
                    self._send(next(self.asks))
                self._lose_patience()
                await asyncio.sleep(PAUSE)
            while self._busy or self._connecting:
                self._lose_patience()
                await asyncio.sleep(PAUSE)
        finally:
            self._close()

    def _send(self, ask: Ask) -> None:
        label = self.label()
        while self._idle:
            visit = self._idle.pop()
            if not visit.transport.is_closing():
                self._start(visit, ask, label)
                return
        task = asyncio.ensure_future(self._connect(ask, label))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, ask: Ask, label: str) -> None:
        """On a connection of its own; `label` is what held when it was due."""
        begun = self.loop.time()
        opening = self.loop.create_connection(lambda: Visit(self), self.host, self.port)
        try:
            _, visit = await asyncio.wait_for(opening, CONNECT_SECS)
        except (OSError, asyncio.TimeoutError):
            self._record(Verdict.FAILED, "no connection", label, begun)
            return
        self._start(visit, ask, label)

    def _start(self, visit: Visit, ask: Ask, label: str) -> None:
        self._busy[visit] = None
        visit.send(ask, ask.wire(self.host, self.port, self.model), label)

    def _lose_patience(self) -> None:
        limit = self.loop.time() - self.patience
        while self._busy:
            visit = next(iter(self._busy))
            if visit.begun > limit:
                return
            visit.end(End.PATIENCE)

    def ended(self, visit: Visit, ask: Ask, seen: Seen, *, keep: bool) -> None:
        """Told by a visit whose answer is over."""
        del self._busy[visit]
        if keep:
            self._idle.append(visit)
        hung = seen.end is End.PATIENCE
        verdict, reason = judge(ask, seen)
        self._record(verdict, reason, visit.label if hung else self.label(), visit.begun)

    def _record(self, verdict: Verdict, reason: str, label: str, begun: float) -> None:
        now = self.loop.time()
        self.tally.add(Record(verdict, reason, label, now - self.started, now - begun))

    def _close(self) -> None:
        for task in self._connecting:
            task.cancel()
        for visit in [*self._idle, *self._busy]:
            visit.ask = None
            visit.transport.abort()
        self._idle.clear()
        self._busy.clear()
