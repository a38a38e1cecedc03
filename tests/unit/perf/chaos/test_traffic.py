"""The open loop against servers that answer right, late, twice or not at all."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from perf.chaos.asks import Ask, asks
from perf.chaos.traffic import Traffic
from perf.chaos.verdict import Verdict

HOST = "127.0.0.1"
ASK = Ask(number=1, path="/v1/completions", prompt="Hello", tokens=3, stream=False)


def answer(ask: Ask = ASK) -> bytes:
    usage = {"prompt_tokens": ask.prompt_tokens}
    body = json.dumps({"choices": [{"text": ask.text}], "usage": usage}).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


class Scripted(asyncio.Protocol):
    """Calls `reply(transport)` for each request (they fit into one packet)."""

    def __init__(self, reply: Callable[[Any], None], opened: list[Any]) -> None:
        self.reply, self.opened = reply, opened

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.opened.append(transport)

    def data_received(self, data: bytes) -> None:
        self.reply(self.transport)


def write(data: bytes) -> Callable[[Any], None]:
    return lambda transport: transport.write(data)


def write_and_close(data: bytes) -> Callable[[Any], None]:
    def reply(transport: Any) -> None:
        transport.write(data)
        transport.close()

    return reply


def always(ask: Ask) -> Iterator[Ask]:
    while True:
        yield ask


async def traffic(
    reply: Callable[[Any], None], ask: Ask = ASK, *, patience: float = 5.0
) -> tuple[Traffic, int]:
    """The traffic after a few requests, and the number of connections."""
    loop = asyncio.get_running_loop()
    opened: list[Any] = []
    server = await loop.create_server(lambda: Scripted(reply, opened), HOST, 0)
    port = server.sockets[0].getsockname()[1]
    made = Traffic(HOST, port, always(ask), rate=200.0, patience=patience, label=lambda: "none")
    await made.run(0.05)
    server.close()
    await server.wait_closed()
    return made, len(opened)


async def test_right_answers_keep_their_connection() -> None:
    made, connections = await traffic(write(answer()))
    assert made.tally[Verdict.RIGHT] == made.sent == made.tally.ended
    assert made.sent >= 5
    assert connections < made.sent


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (write_and_close(b""), "closed without an answer"),
        (write_and_close(b"HTTP/1.1 200 OK\r\nContent-Le"), "closed without an answer"),
        (write(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"), "status 503"),
    ],
)
async def test_failures(reply: Callable[[Any], None], reason: str) -> None:
    made, _ = await traffic(reply)
    assert dict(made.tally.reasons) == {(Verdict.FAILED, reason): made.sent}


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (write(answer() + answer()), "bytes after the answer"),
        (write(b"\x00\xff nothing like it \r\n\r\n"), "not HTTP"),
        (write(answer(dataclasses.replace(ASK, prompt="Hallo"))), "another text"),
        (write_and_close(b"HTTP/1.1 200 OK\r\n\r\n{}"), "no framing"),
    ],
)
async def test_wrong_answers(reply: Callable[[Any], None], reason: str) -> None:
    made, _ = await traffic(reply)
    assert dict(made.tally.reasons) == {(Verdict.WRONG, reason): made.sent}


@pytest.mark.parametrize(
    "bad", [answer()[:-5], b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"]
)
async def test_cut_answers(bad: bytes) -> None:
    made, _ = await traffic(write_and_close(bad))
    assert made.tally[Verdict.CUT] == made.sent


async def test_bytes_nobody_asked_for() -> None:
    def again(transport: Any) -> None:
        if not transport.is_closing():
            transport.write(answer())

    def reply(transport: Any) -> None:
        transport.write(answer())
        asyncio.get_running_loop().call_later(0.002, again, transport)

    made, _ = await traffic(reply)
    assert made.strays + made.tally[Verdict.WRONG] > 0


async def test_patience_ends() -> None:
    made, _ = await traffic(lambda transport: None, patience=0.02)
    assert made.tally[Verdict.HUNG] == made.sent
    assert made.tally.retryable == made.sent


async def test_clients_that_leave() -> None:
    made, _ = await traffic(lambda transport: None, dataclasses.replace(ASK, leaves=0.001))
    assert made.tally[Verdict.LEFT] == made.sent


async def test_nobody_listens() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(asyncio.Protocol, HOST, 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    made = Traffic(HOST, port, asks(1), rate=200.0, patience=5.0, label=lambda: "none")
    await made.run(0.02)
    assert made.tally[Verdict.FAILED] == made.sent > 0
