"""The HTTP edge over any cut of any bytes: same exchanges, same answers, nothing left behind."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.server.edge import Edge

DRAIN = 50  # small, so that both ways of refusing a body occur


@dataclass(frozen=True)
class Request:
    """One request, and what must come of it by the book."""

    method: str
    path: str
    body: bytes
    chunked: bool
    close: bool
    http10: bool

    def wire(self, number: int) -> bytes:
        lines = [f"{self.method} {self.path}?n={number} HTTP/1.{0 if self.http10 else 1}"]
        lines += ["Host: test", f"X-Request-Id: id-{number}"]
        if self.close:
            lines.append("Connection: close")
        body = self.body
        if self.has_body and self.chunked:
            lines.append("Transfer-Encoding: chunked")
            pieces = [body[at : at + 7] for at in range(0, len(body), 7)]
            body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
            body += b"0\r\n\r\n"
        elif self.has_body:
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join([*lines, "", ""]).encode() + (body if self.has_body else b"")

    @property
    def has_body(self) -> bool:
        return self.method == "POST"

    @property
    def status(self) -> int:
        if self.path == "/nowhere":
            return 404
        if self.path == "/stream" and self.method != "POST":
            return 405
        if self.path == "/items/a" and self.method == "POST":
            return 405
        return 200

    @property
    def last(self) -> bool:
        """The connection ends after this one."""
        unread = self.has_body and (self.chunked or len(self.body) > DRAIN)
        return self.close or self.http10 or (self.status != 200 and unread)

    def answer(self, number: int) -> tuple[int, bytes, bytes, bool]:
        target = f"{self.path}?n={number}".encode()
        body = b""
        if self.status == 200 and self.path == "/stream":
            body = target + b"|" + self.body
        elif self.status == 200:
            version = b"HTTP/1.0" if self.http10 else b"HTTP/1.1"
            body = b"|".join([self.method.encode(), target, version, self.body])
        if self.method == "HEAD":
            body = b""
        return self.status, f"id-{number}".encode(), body, not self.last


@st.composite
def requests(draw):
    method = draw(st.sampled_from(["GET", "POST", "POST", "HEAD"]))
    path = draw(st.sampled_from(["/now", "/later", "/later", "/stream", "/items/a", "/nowhere"]))
    body = draw(st.binary(max_size=20) | st.just(b"x" * 60)) if method == "POST" else b""
    chunked = draw(st.booleans())
    close = draw(st.sampled_from([False] * 5 + [True]))
    http10 = not (method == "POST" and chunked) and draw(st.sampled_from([False] * 7 + [True]))
    return Request(method, path, body, chunked, close, http10)


SEQUENCES = st.lists(requests(), min_size=1, max_size=6)
STEPS = st.lists(
    st.one_of(
        st.integers(1, 400), st.sampled_from(["release", "settle", "turn", "pause", "resume"])
    ),
    max_size=25,
)


@given(SEQUENCES, STEPS)
def test_any_cut_and_any_timing_gives_the_answers_in_order(sequence, steps):
    wire = b"".join(request.wire(number) for number, request in enumerate(sequence))
    expected = []
    for number, request in enumerate(sequence):
        expected.append(request.answer(number))
        if request.last:
            break
    with Edge(drain_bytes=DRAIN, max_pipelined_bytes=200) as edge:
        client = edge.connect()
        paused = False
        for step in steps:
            if isinstance(step, int):
                client.send(wire[:step], settle=False)
                wire = wire[step:]
            elif step == "release":
                edge.release()
            elif step == "turn":
                edge.loop.turn()
            elif step == "settle":
                edge.settle()
            elif not client.transport.closed and paused is (step == "resume"):
                paused = not paused
                client.conn.pause_writing() if paused else client.conn.resume_writing()
        client.send(wire, settle=False)
        if paused and not client.transport.closed:
            client.conn.resume_writing()
        edge.settle()
        while edge.release():
            edge.settle()
        methods = [request.method for request in sequence]
        got = []
        for answer, request in zip(client.answers(*methods), sequence, strict=False):
            body = answer.body if request.status == 200 else b""
            got.append((answer.status, answer.header(b"x-request-id"), body, answer.keep_alive))
        assert got == expected
        assert client.ended is sequence[len(expected) - 1].last


@given(SEQUENCES, STEPS, st.integers(0, 2000))
def test_a_client_that_leaves_at_any_point_leaves_nothing_behind(sequence, steps, end):
    wire = b"".join(request.wire(number) for number, request in enumerate(sequence))[:end]
    with Edge(drain_bytes=DRAIN, max_pipelined_bytes=200) as edge:
        client = edge.connect()
        for step in steps:
            if isinstance(step, int):
                client.send(wire[:step], settle=False)
                wire = wire[step:]
            elif step == "release":
                edge.release()
            elif step in ("turn", "settle"):
                edge.loop.turn()
        client.transport.lose(ConnectionResetError())
        edge.settle()  # Edge checks at its end


TOKENS = st.sampled_from(
    [
        *[b"GET ", b"POST ", b"HEAD ", b"CONNECT ", b"OPTIONS ", b"BREW ", b"PRI * HTTP/2.0\r\n"],
        *[b"/now", b"/later", b"/nowhere", b"*", b"http://a/now", b"a:443", b"/%00", b"/now#f"],
        *[b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", b" HTTP/2.0\r\n", b" HTTP/1.1\n", b"\r\n", b"\n"],
        *[b"Host: a\r\n", b"Host: a\r\nhost: b\r\n", b"host:\r\n", b"Host: a b\r\n"],
        *[b"Content-Length: 3\r\n", b"Content-Length: 90\r\n", b"content-length: -1\r\n"],
        *[b"Transfer-Encoding: chunked\r\n", b"transfer-encoding: gzip\r\n", b"Upgrade: h2c\r\n"],
        *[b"Connection: close\r\n", b"Connection: upgrade\r\n", b"Expect: 100-continue\r\n"],
        *[
            b"\r\n3\r\nabc\r\n0\r\n\r\n",
            b"abc",
            b"0\r\n\r\n",
            b" x: y\r\n",
            b": y\r\n",
            b"\0",
            b"\r",
        ],
        *[b"GET /now HTTP/1.1\r\nHost: a\r\n\r\n", b"POST /later HTTP/1.1\r\nHost: a\r\n"],
    ]
)


@given(st.lists(st.lists(TOKENS | st.binary(max_size=5), max_size=8).map(b"".join), max_size=6))
def test_no_bytes_raise_or_leave_anything_behind(pieces):
    with Edge(drain_bytes=DRAIN, max_payload_size=80, max_head_bytes=300) as edge:
        client = edge.connect()
        for piece in pieces:
            client.send(piece)
        while edge.release():
            edge.settle()
        if b"HEAD" not in b"".join(pieces):  # whose answers cannot be told apart without the method
            client.answers()
        edge.advance(400)
        assert client.transport.lost
