"""A control-plane HTTP client without sockets: answers from a table, remembers what was asked.

`fetcher.set(url, "/health", 200)`; an answer may also be an error to raise, or a function.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from smg.core.errors import ConnectFailed


@dataclass
class FakeReply:
    """An answer."""

    status: int
    body: bytes = b""
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)

    def header(self, name: bytes) -> bytes | None:
        """First value."""
        return next((value for key, value in self.headers if key == name), None)


@dataclass
class Asked:
    """A request that was made."""

    url: str
    method: str
    path: str
    headers: dict[bytes, bytes]
    timeout: float
    body: bytes = b""


Answer = Any  # FakeReply, Exception or a function that returns one


class FakeFetcher:
    """Unknown addresses refuse the connection, unknown paths are 404."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.answers: dict[tuple[str, str], Answer] = {}
        self.gate: asyncio.Event | None = None  # while set to an unset event, every fetch waits
        self.in_flight = 0
        self.most_in_flight = 0

    def set(self, url: str, path: str, status: int, data: Any = b"", **headers: str) -> None:
        """Answer GET or POST of `path`; anything but bytes becomes JSON."""
        body = data if isinstance(data, bytes) else orjson.dumps(data)
        pairs = [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]
        self.answers[url, path] = FakeReply(status, body, pairs)

    def fail(self, url: str, path: str, error: Exception) -> None:
        """Raise instead."""
        self.answers[url, path] = error

    def down(self, url: str) -> None:
        """Nothing listens there any more."""
        for key in [key for key in self.answers if key[0] == url]:
            del self.answers[key]

    def paths(self, url: str | None = None) -> list[str]:
        """What was asked, in order."""
        return [asked.path for asked in self.asked if url is None or asked.url == url]

    async def fetch(
        self,
        base_url: str,
        method: str,
        path: str,
        *,
        headers: Sequence[tuple[bytes, bytes]] = (),
        body: bytes = b"",
        timeout: float,
        max_bytes: int = 64 << 20,
    ) -> FakeReply:
        """As `HttpClient.fetch`."""
        self.asked.append(Asked(base_url, method, path, dict(headers), timeout, body))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            if self.gate is not None:
                await self.gate.wait()
            answer = self.answers.get((base_url, path))
            if answer is None:
                if not any(url == base_url for url, _ in self.answers):
                    raise ConnectFailed("Connection to the worker failed", cause="refused")
                return FakeReply(404)
            if isinstance(answer, Exception):
                raise answer
            if isinstance(answer, FakeReply):
                return answer
            made = answer()
            if isinstance(made, Exception):
                raise made
            return made  # type: ignore[no-any-return]
        finally:
            self.in_flight -= 1
