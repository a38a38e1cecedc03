"""One user's connection: a streamed chat completion at a time, as cheap as can be.

Nothing is parsed before the answer is complete; only the arrival of its first byte is noted.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

HEAD_END = b"\r\n\r\n"
LAST_CHUNK = b"\r\n0\r\n\r\n"  # with the end of the chunk before it: no head ends like this
ID_PREFIX = "chatcmpl-"
BOOT_DIGITS = 8  # the simulated engine's ids begin with eight digits of its own


class AskFailed(Exception):
    """No complete answer; the message says why, `first` when something of it came (loop time)."""

    def __init__(self, reason: str, first: float | None = None) -> None:
        super().__init__(reason)
        self.first = first


@dataclass
class Answer:
    """A complete answer. `first` is loop time; `worker` tells workers apart."""

    first: float
    text: str = ""
    worker: str = ""
    prompt_tokens: int = 0
    cached_tokens: int = 0


@dataclass(eq=False)
class Connection(asyncio.Protocol):
    """Keep-alive; `open` when it may be used again."""

    loop: asyncio.AbstractEventLoop
    open: bool = False
    _transport: Any = None
    _answer: asyncio.Future[Answer] | None = None
    _parts: list[bytes] = field(default_factory=list)
    _tail: bytes = b""
    _first: float | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self.open = True

    async def ask(self, request: bytes, timeout: float) -> Answer:
        """Raises AskFailed; the connection is closed then."""
        self._parts, self._tail, self._first = [], b"", None
        self._answer = answer = self.loop.create_future()
        timer = self.loop.call_later(timeout, self._fail, "timeout")
        self._transport.write(request)
        try:
            result: Answer = await answer
            return result
        finally:
            timer.cancel()

    def data_received(self, data: bytes) -> None:
        if self._first is None:
            self._first = self.loop.time()
        self._parts.append(data)
        self._tail = (self._tail + data)[-len(LAST_CHUNK) :]
        # What is not chunked is an error answer, short and in one piece.
        if self._tail == LAST_CHUNK or (len(self._parts) == 1 and not _chunked(data)):
            self._complete(b"".join(self._parts))

    def _complete(self, message: bytes) -> None:
        head, _, body = message.partition(HEAD_END)
        status = head[9:12]
        if status != b"200" or not _chunked(message):
            self._fail(f"status {status.decode('latin-1')}", answered=False)
            return
        assert self._first is not None
        answer = Answer(self._first)
        problem = read_events(unchunked(body), answer)
        if problem:
            self._fail(problem)
        elif self._answer is not None and not self._answer.done():
            self._answer.set_result(answer)

    def _fail(self, reason: str, *, answered: bool = True) -> None:
        self.close()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(AskFailed(reason, self._first if answered else None))

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail("answer cut" if self._parts else "connection lost")

    def close(self) -> None:
        self.open = False
        self._transport.close()


def _chunked(message: bytes) -> bool:
    return b"transfer-encoding: chunked" in message.partition(HEAD_END)[0].lower()


def unchunked(body: bytes) -> bytes:
    """The content of a body in HTTP chunks."""
    parts: list[bytes] = []
    place = 0
    while True:
        end = body.index(b"\r\n", place)
        size = int(body[place:end].partition(b";")[0], 16)
        if not size:
            return b"".join(parts)
        parts.append(body[end + 2 : end + 2 + size])
        place = end + 2 + size + 2


def read_events(stream: bytes, answer: Answer) -> str:
    """Fills `answer` from SSE frames; returns what is wrong with them, "" if nothing."""
    texts: list[str] = []
    done = usage = False
    for line in stream.split(b"\n"):
        if not line.startswith(b"data: "):
            continue
        if line == b"data: [DONE]":
            done = True
            continue
        event = json.loads(line[6:])
        if "error" in event:
            error = event["error"]
            return f"error frame: {error.get('code') or error.get('type') or error.get('message')}"
        for choice in event["choices"]:
            texts.append(choice["delta"].get("content") or "")
        counts = event.get("usage")
        if counts:
            usage = True
            answer.prompt_tokens = counts["prompt_tokens"]
            answer.cached_tokens = counts["prompt_tokens_details"]["cached_tokens"]
            answer.worker = event["id"].removeprefix(ID_PREFIX)[:BOOT_DIGITS]
    answer.text = "".join(texts)
    return "" if done and usage else "no [DONE]" if not done else "no usage"
