"""Load generator: raw protocols on uvloop, as cheap as possible because it shares the cores with
what it measures.

Every answer is checked: status 200, complete by its own framing, and a stream must carry the
expected number of events and end with [DONE]. Anything else is counted as an error with its reason;
a run with errors is no result.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from perf.messages import DONE, EVENT
from perf.stats import percentile

HEAD = -1  # waiting for the end of the head
CHUNKED = -2  # in a body that ends with an empty chunk
IDLE = -3  # nothing is owed

END = b"0\r\n\r\n"


@dataclass
class Result:
    """What one run saw."""

    answers: int = 0
    events: int = 0
    seconds: float = 0.0
    errors: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)  # request sent to answer complete
    first: list[float] = field(default_factory=list)  # request sent to first event

    def milliseconds(self, percent: float) -> float:
        return percentile(self.latencies, percent) * 1e3

    def describe_errors(self) -> str:
        return ", ".join(f"{reason} x{count}" for reason, count in self.errors.most_common(4))


class Answer(asyncio.Protocol):
    """One client connection; tells `finished(connection, reason)` of each answer, "" = good."""

    __slots__ = (
        "begun", "carry", "events", "finished", "head", "left", "result", "seen", "tail",
        "transport", "wanted",
    )  # fmt: skip

    def __init__(
        self, result: Result, wanted: int, finished: Callable[[Answer, str], None]
    ) -> None:
        self.result = result
        self.wanted = wanted  # events per answer; 0 = not a stream
        self.finished = finished
        self.left = IDLE
        self.head = b""
        self.carry = b""
        self.tail = b""
        self.events = 0
        self.seen = 0.0
        self.begun = 0.0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def send(self, request: bytes) -> None:
        self.left = HEAD
        self.events = 0
        self.carry = self.tail = b""
        self.begun = time.perf_counter()
        self.transport.write(request)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.left != IDLE:
            self._end("connection lost" if self.left == HEAD else "answer cut")

    def data_received(self, data: bytes) -> None:
        if self.left == HEAD:
            if self.head:
                data, self.head = self.head + data, b""
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self.head = data
                return
            reason = self._read_head(data[:end])
            if reason:
                self.transport.close()
                self._end(reason)
                return
            data = data[end + 4 :]
            if not data and self.left:
                return
        if self.left == IDLE:
            self.transport.close()
            self.result.errors["bytes after the answer"] += 1
            return
        if self.wanted:
            self._count(data)
        if self.left == CHUNKED:
            self.tail = (self.tail + data)[-64:] if len(data) < 64 else data[-64:]
            if self.tail.endswith(END):
                self._complete()
        else:
            self.left -= len(data)
            if self.left <= 0:
                self.tail = data[-64:]
                self._complete()

    def _read_head(self, head: bytes) -> str:
        if not head.startswith(b"HTTP/1.1 200"):
            return "status " + head[9:12].decode("latin-1")
        head = head.lower() + b"\r\n"
        at = head.find(b"\r\ncontent-length:")
        if at >= 0:
            self.left = int(head[at + 17 : head.index(b"\r\n", at + 17)])
            return ""
        if b"\r\ntransfer-encoding: chunked" in head:
            self.left = CHUNKED
            return ""
        return "no framing"

    def _count(self, data: bytes) -> None:
        # An event's start may be cut between two pieces; the carry is too short to hold a whole
        # one.
        found = (self.carry + data).count(EVENT)
        self.carry = data[-5:] if len(data) >= 5 else (self.carry + data)[-5:]
        if found:
            if not self.events:
                self.result.first.append(time.perf_counter() - self.begun)
            self.events += found
            self.result.events += found

    def _complete(self) -> None:
        if self.left not in (0, CHUNKED):
            self._end("answer too long")
        elif self.wanted == 0:
            # The last bytes before the end of the framing are the end of a JSON object.
            self._end("" if b"}" in self.tail else "not JSON")
        elif DONE not in self.tail:
            self._end("no [DONE]")
        else:
            self._end("" if self.events == self.wanted else f"{self.events} events")

    def _end(self, reason: str) -> None:
        self.left = IDLE
        if reason:
            self.result.errors[reason] += 1
        else:
            self.result.answers += 1
            self.result.latencies.append(time.perf_counter() - self.begun)
        self.finished(self, reason)


class ClosedLoop:
    """`connections` keep-alive connections, each sending its next request after an answer."""

    def __init__(
        self, host: str, port: int, request: bytes, *, connections: int, total: int, wanted: int = 0
    ) -> None:
        self.host, self.port, self.request = host, port, request
        self.connections, self.total, self.wanted = connections, total, wanted
        self.result = Result()
        self.to_send = total
        self.open: list[Answer] = []
        self.busy = 0
        self.done: asyncio.Future[None] | None = None

    async def connect(self) -> None:
        """Opens the connections; apart from `run` so that it can be left out of a measurement."""
        loop = asyncio.get_running_loop()
        for _ in range(min(self.connections, self.total)):
            _, answer = await loop.create_connection(
                lambda: Answer(self.result, self.wanted, self._finished), self.host, self.port
            )
            self.open.append(answer)

    async def run(self, timeout: float = 120.0) -> Result:
        """All `total` requests; the connections are closed then."""
        if not self.open:
            await self.connect()
        await self.burst(self.total, timeout)
        self.close()
        return self.result

    async def burst(self, count: int, timeout: float = 120.0) -> None:
        """`count` requests, at least one for each connection; these stay open for the next burst.
        What it comes to is added to `result`.
        """
        self.to_send = count
        self.done = asyncio.get_running_loop().create_future()
        begun = time.perf_counter()
        self.busy = len(self.open)
        for answer in self.open:
            self.to_send -= 1
            answer.send(self.request)
        try:
            await asyncio.wait_for(self.done, timeout)
        except asyncio.TimeoutError:
            self.result.errors["timeout"] += self.busy
        self.result.seconds += time.perf_counter() - begun

    def close(self) -> None:
        """Closes the connections."""
        for answer in self.open:
            answer.left = IDLE
            answer.transport.close()

    def _finished(self, answer: Answer, reason: str) -> None:
        if self.to_send > 0 and not answer.transport.is_closing():
            self.to_send -= 1
            answer.send(self.request)
            return
        self.busy -= 1
        if self.busy == 0 and self.done is not None and not self.done.done():
            if self.to_send > 0:
                self.result.errors["never sent"] += self.to_send
            self.done.set_result(None)


class _Paced(Answer):
    """A stream whose gaps between events can be sampled."""

    __slots__ = ("gaps",)

    gaps: list[float] | None

    def _count(self, data: bytes) -> None:
        super()._count(data)
        if self.gaps is not None:
            now = time.perf_counter()
            if self.seen:
                self.gaps.append(now - self.seen)
            self.seen = now


class PacedStreams:
    """Open loop: streams start at a steady rate on connections of their own; the worker paces."""

    def __init__(
        self, host: str, port: int, requests: list[tuple[bytes, int]], *, streams: int, ramp: float
    ) -> None:
        self.host, self.port = host, port
        self.requests = requests  # (request, events it must bring), used in turn
        self.streams, self.ramp = streams, ramp
        self.result = Result()
        self.gaps: list[float] = []
        self.ended = 0
        self.done = asyncio.Event()
        self.begun = 0.0
        self.open: list[_Paced] = []

    async def start(self, timeout: float = 60.0) -> None:
        """Opens all streams over `ramp` seconds; returns when each has begun or failed."""
        self.begun = time.perf_counter()
        batch = max(1, self.streams // 100)
        for first in range(0, self.streams, batch):
            numbers = range(first, min(first + batch, self.streams))
            await asyncio.gather(*(self._open(number) for number in numbers))
            ahead = self.begun + self.ramp * (numbers[-1] + 1) / self.streams - time.perf_counter()
            await asyncio.sleep(max(0.0, ahead))
        until = time.perf_counter() + timeout
        while self._waiting and time.perf_counter() < until:  # noqa: ASYNC110 - polled: an event per stream costs
            await asyncio.sleep(0.02)

    @property
    def _waiting(self) -> bool:
        return len(self.result.first) + sum(self.result.errors.values()) < self.streams

    async def _open(self, number: int) -> None:
        request, events = self.requests[number % len(self.requests)]

        def build() -> _Paced:
            answer = _Paced(self.result, events, self._finished)
            answer.gaps = self.gaps if number % 20 == 0 else None
            return answer

        try:
            loop = asyncio.get_running_loop()
            _, answer = await loop.create_connection(build, self.host, self.port)
        except OSError as error:
            self.result.errors[f"connect: {type(error).__name__}"] += 1
            self._count_end()
            return
        self.open.append(answer)
        answer.send(request)

    def _finished(self, answer: Answer, reason: str) -> None:
        answer.transport.close()
        self._count_end()

    def _count_end(self) -> None:
        self.ended += 1
        if self.ended == self.streams:
            self.done.set()

    async def finish(self, timeout: float) -> Result:
        """Waits for every stream's end; what has not ended by then is an error."""
        try:
            await asyncio.wait_for(self.done.wait(), timeout)
        except asyncio.TimeoutError:
            self.result.errors["stream without end"] += self.streams - self.ended
        for answer in self.open:
            answer.left = IDLE
            answer.transport.close()
        self.result.seconds = time.perf_counter() - self.begun
        return self.result
