"""What is fuzzed: each target makes one input from a generator of chance and checks it."""

from __future__ import annotations

import random
from typing import Any

from smg._speedups.framing import CHUNKED, LENGTH, UNTIL_CLOSE, BodyTracker, FramingError
from smg._speedups.head import HeadError, parse_reply_head
from tests.fuzz.mutate import cut, mutate
from tests.property.test_radix import LETTERS, TOKENS, text_twins, token_twins
from tests.property.test_reply_head import check as check_reply_head
from tests.unit.server.edge import Edge
from tests.unit.speedups.framing_plain import PlainError, PlainTracker

CHUNKS = [
    b"5\r\nhello\r\n0\r\n\r\n",
    b"00A;x=y\r\ndata: 123\n\r\n2\r\n\r\n\r\n0\r\nx: y\r\nz:\r\n\r\n",
    b"8 \r\n\r\r\n\n\r\n\r\n\r\nffff\r\n",
    b"0;last\r\n\r\n",
]
CHUNK_TOKENS = [b"\r\n", b"0\r\n\r\n", b";a", b"\n\n", b"\r\r", b"1\r\nx\r\n", b"f" * 15, b" " * 9]


class Failed(AssertionError):
    """Carries the input, so that it can be replayed."""

    def __init__(self, text: str, data: object) -> None:
        super().__init__(f"{text}\ninput: {data!r}")


def framing(rng: random.Random) -> None:
    """BodyTracker as its plain twin."""
    mode = rng.choice([CHUNKED, CHUNKED, CHUNKED, LENGTH, UNTIL_CLOSE])
    length = rng.randrange(60) if mode == LENGTH else 0
    pieces = cut(rng, mutate(rng, CHUNKS, CHUNK_TOKENS))
    ours, fed, plain = (kind(mode, length) for kind in (BodyTracker, BodyTracker, PlainTracker))
    for piece in pieces:
        outcomes: list[object] = []
        for tracker, error in ((ours, FramingError), (plain, PlainError)):
            try:
                outcome = tracker.decode(piece)
            except error:
                outcome = None
            looks = (tracker.complete, tracker.payload_bytes)
            boundaries = (tracker.at_chunk_boundary, tracker.at_frame_boundary)
            outcomes.append((outcome, looks, boundaries))
        try:
            used = fed.feed(piece)
        except FramingError:
            used = None
        if outcomes[0] != outcomes[1] or used != (outcome and outcome[0]):
            raise Failed(f"{outcomes[0]} {used}, the twin: {outcomes[1]}", (mode, length, pieces))
    if not ours.close() == fed.close() == plain.close():
        raise Failed("close", (mode, length, pieces))


HEADS = [
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
    b"HTTP/1.0 404 Not Found\r\nContent-Length: 12\r\nConnection: keep-alive\r\n\r\n",
    b"HTTP/1.1 204 \r\nServer: x\r\nX-Request-Id: a\r\nKeep-Alive: timeout=5\r\n\r\n",
    b"HTTP/1.1 500\r\nset-cookie: a=b; c\r\nset-cookie: d\r\nx:\r\n\r\n",
]
HEAD_TOKENS = [
    *[b"\r\n", b"\r\n ", b": ", b" :", b"content-length: 5\r\n", b"transfer-encoding: chunked\r\n"],
    *[
        b"connection: close\r\n",
        b", close",
        b"\r\n\r\n",
        b"HTTP/1.1 ",
        b"\tx",
        b"99999999999999999999",
    ],
]


def reply_head(rng: random.Random) -> None:
    """parse_reply_head as httptools; and no byte behind the end is looked at."""
    data = mutate(rng, HEADS, HEAD_TOKENS)
    try:
        check_reply_head(data)
    except AssertionError as error:
        raise Failed(f"httptools reads it differently: {error}", data) from error
    except Exception as error:
        raise Failed(f"accepted, but httptools raises {error!r}", data) from error
    end = rng.randrange(-3, len(data) + 4)
    looks: list[object] = []
    for wire in (data, data[: max(end, 0)]):
        try:
            head = parse_reply_head(wire, end, 64)
            looks.append((head.status, head.lines, head.mode, head.length, head.keep_alive))
        except HeadError:
            looks.append(None)
    if looks[0] != looks[1]:
        raise Failed(f"bytes behind {end} matter: {looks}", data)


REQUESTS = [
    b"GET /now HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /later?x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nX-Request-Id: i\r\n\r\nhello",
    b"POST /stream HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
    b"POST /nowhere HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 90\r\n\r\n",
    b"HEAD /items/a%2Fb HTTP/1.0\r\n\r\n",
    b"POST /now HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n"
    b"Content-Length: 2\r\n\r\nab",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
]
REQUEST_TOKENS = [
    *[
        b"\r\n",
        b"\r\n\r\n",
        b": ",
        b"Host: b\r\n",
        b"Content-Length: 5\r\n",
        b"Connection: close\r\n",
    ],
    *[b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n", b"GET ", b" HTTP/1.1\r\n", b"/later"],
    *[b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", b"http://a/now", b"PRI * HTTP/2.0\r\n\r\n"],
]


def request(rng: random.Random) -> None:
    """The HTTP edge: no exception, whole answers only, nothing left behind."""
    data = mutate(rng, REQUESTS, REQUEST_TOKENS)
    pieces = cut(rng, data)
    try:
        with Edge(
            drain_bytes=50, max_payload_size=100, max_head_bytes=300, max_pipelined_bytes=150
        ) as edge:
            client = edge.connect()
            for piece in pieces:
                client.send(piece, settle=rng.random() < 0.5)
                chance = rng.random()
                if chance < 0.1 and not client.transport.closed:
                    client.conn.pause_writing()
                elif chance < 0.3 and not client.transport.closed:
                    client.conn.resume_writing()
                elif chance < 0.4:
                    edge.release()
                elif chance < 0.42:
                    client.transport.lose(ConnectionResetError())
            edge.settle()
            if not client.transport.closed:
                client.conn.resume_writing()
            edge.settle()
            while edge.release():
                edge.settle()
            if b"HEAD" not in data:
                client.answers()
            edge.advance(500)
            assert client.transport.lost, "the connection stays open for ever"
    except Exception as error:
        raise Failed(f"{type(error).__name__}: {error}", pieces) from error


def radix(rng: random.Random) -> None:
    """The routing trees as their plain twin, whole after every step."""
    sizes = (
        rng.choice([0, 1, 3, 10, 40, 200, 5000]),
        rng.choice([1, 2, 5, 1000, 1000]),
        rng.choice([8, 13, 24, 60, 16380]),
        rng.choice([0xFFFFFFFF, 0xFFFFFFFF, 0, 1 << 31]),
    )
    empty: tuple[int, ...] | str
    letters: list[Any]
    if rng.random() < 0.5:
        twins, empty, letters = text_twins(*sizes), "", rng.sample(LETTERS, rng.randrange(1, 6))
    else:
        twins, empty, letters = token_twins(*sizes, rng.randrange(1, 4)), (), TOKENS
    tenants = rng.choice([1, 3, 12])
    steps: list[tuple[Any, ...]] = []
    seen: list[Any] = [empty]
    try:
        for _ in range(rng.randrange(1, 40)):
            prompt = rng.choice(seen) if rng.random() < 0.5 else empty
            prompt = prompt[: rng.randrange(len(prompt) + 1)]
            for _ in range(rng.randrange(5)):
                prompt += rng.choice(letters)
            seen.append(prompt)
            step: tuple[Any, ...] = rng.choices(
                [
                    ("insert", prompt, rng.randrange(tenants)),
                    ("match", prompt),
                    ("remove", rng.randrange(12)),
                    ("resize", rng.choice([0, 5, 50, 5000])),
                ],
                [70, 20, 6, 2],
            )[0]
            steps.append(step)
            getattr(twins, step[0])(*step[1:])
    except Exception as error:
        raise Failed(f"{type(error).__name__}: {error}", (sizes, steps)) from error


TARGETS = {"framing": framing, "reply_head": reply_head, "request": request, "radix": radix}
