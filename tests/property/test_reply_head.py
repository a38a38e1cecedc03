"""parse_reply_head against httptools: what we accept it accepts too, and means the same."""

from __future__ import annotations

import re

import httptools
from hypothesis import given
from hypothesis import strategies as st

from smg._speedups.framing import CHUNKED, LENGTH, UNTIL_CLOSE
from smg._speedups.head import HeadError, ReplyHead, parse_reply_head
from smg.wire.head import HOP_BY_HOP

DROPPED = HOP_BY_HOP | {
    b"content-length",
    b"x-request-id",
    b"x-smg-routed-worker-id",
    b"x-smg-routing-decision",
}

NAMES = st.sampled_from(
    [
        b"Content-Length",
        b"Transfer-Encoding",
        b"Connection",
        b"Content-Type",
        b"X-Request-Id",
        b"keep-alive",
        b"trailer",
        b"set-cookie",
        b"x-smg-routed-worker-id",
        b"x-smg-routing-decision",
    ]
) | st.binary(min_size=1, max_size=6).map(lambda raw: re.sub(rb"[^a-z-]", b"x", raw))
VALUES = st.sampled_from(
    [
        *[b"", b"0", b"5", b"05", b"5, 5", b"99999999999999999999", b"close", b"keep-alive"],
        *[b"Close, x", b"chunked", b"Chunked", b"gzip, chunked", b"text/event-stream", b" a "],
    ]
) | st.binary(max_size=8).map(lambda raw: re.sub(rb"[\x00-\x08\x0a-\x1f\x7f]", b".", raw))
COLONS = st.sampled_from([b": ", b": ", b": ", b":", b":\t ", b" : "])
LINES = st.tuples(NAMES, COLONS, VALUES).map(b"".join)
STATUS = st.sampled_from(
    [
        *[b"HTTP/1.1 200 OK"] * 4,
        *[b"HTTP/1.0 200 OK", b"HTTP/1.1 204", b"HTTP/1.1 304 Not Modified", b"HTTP/1.1 500 "],
        *[b"HTTP/1.1 99 x", b"HTTP/2.0 200 OK", b"HTTP/1.1 2000 x", b"HTTP/1.1 200 \xff\x80"],
    ]
)


@st.composite
def heads(draw):
    lines = [draw(STATUS), *draw(st.lists(LINES, max_size=5)), b"", b""]
    return b"\r\n".join(lines)


@st.composite
def mutated(draw):
    head = bytearray(draw(heads()))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(head) - 1))
        byte = draw(st.sampled_from(list(b"\r\n\0 \t:;,5c\x7f\x80")) | st.integers(0, 255))
        change = draw(st.sampled_from(["drop", "insert", "replace"]))
        if change == "insert":
            head.insert(at, byte)
        elif change == "replace":
            head[at] = byte
        elif len(head) > 1:
            del head[at]
    return bytes(head)


class Theirs:
    """What httptools sees."""

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.head_complete = False
        self.keep_alive = False
        self.parser = httptools.HttpResponseParser(self)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        self.head_complete = True
        self.keep_alive = self.parser.should_keep_alive()

    def values(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.headers if key == name]


def check(data: bytes) -> ReplyHead | None:
    """The property: None, or a head that httptools reads alike."""
    try:
        head = parse_reply_head(data, len(data), 64)
    except HeadError:
        return None
    theirs = Theirs()
    try:
        theirs.parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        pass
    assert theirs.head_complete
    assert head.status == theirs.parser.get_status_code()
    assert head.headers == [pair for pair in theirs.headers if pair[0] not in DROPPED]
    lengths, codings = theirs.values(b"content-length"), theirs.values(b"transfer-encoding")
    assert len(lengths) + len(codings) <= 1
    if codings:
        assert (head.mode, head.length) == (CHUNKED, 0)
        assert codings[0].lower() == b"chunked"
    elif lengths:
        assert (head.mode, head.length) == (LENGTH, int(lengths[0]))
    else:
        assert (head.mode, head.length) == (UNTIL_CLOSE, 0)
    # Theirs is False as well for a body that ends by close (a tab behind "chunked" hides the coding
    # from it), and hears `proxy-connection`; in HTTP/1.0 it keeps a connection that says both.
    ends_itself = head.mode != UNTIL_CLOSE or head.status in (204, 304) or 100 <= head.status < 200
    both = data.startswith(b"HTTP/1.0") and b"," in b",".join(theirs.values(b"connection"))
    ends_itself = ends_itself and not (codings and b"\t" in data)
    if ends_itself and not theirs.values(b"proxy-connection"):
        assert head.keep_alive == theirs.keep_alive or (both and not head.keep_alive)
    types = theirs.values(b"content-type")
    last_type = types[-1].lower() if types else b""
    assert head.event_stream == last_type.startswith(b"text/event-stream")
    for line in head.lines.split(b"\r\n")[:-1]:
        assert re.fullmatch(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*", line)
    return head


@given(heads())
def test_made_heads_are_read_alike(data):
    check(data)


@given(mutated())
def test_broken_heads_are_refused_or_read_alike(data):
    check(data)


@given(st.binary(max_size=60), st.integers(-5, 70))
def test_no_bytes_break_it(data, end):
    for wire in (data, b"HTTP/1.1 200 " + data, b"HTTP/1.1 200 OK\r\n" + data + b"\r\n\r\n"):
        try:
            parse_reply_head(wire, end, 8)
        except HeadError:
            pass
        check(wire)


@given(mutated(), st.integers(0, 200))
def test_no_byte_behind_the_end_is_read(data, end):
    end = min(end, len(data))

    def look(wire: bytes) -> object:
        try:
            head = parse_reply_head(wire, end, 64)
        except HeadError as error:
            return str(error)
        return (head.status, head.lines, head.mode, head.length, head.keep_alive)

    assert look(data) == look(data[:end]) == look(data[:end] + b"\r\n\r\n") == look(data + b"\0")


@given(st.lists(LINES, max_size=5), st.permutations([0, 1]), st.sampled_from([b"5", b"0"]))
def test_a_length_and_a_coding_are_never_accepted_together(others, order, length):
    pair = [b"Content-Length: " + length, b"transfer-encoding: chunked"]
    lines = [pair[order[0]], *others, pair[order[1]]]
    assert check(b"\r\n".join([b"HTTP/1.1 200 OK", *lines, b"", b""])) is None
    lines = [pair[0], *others, pair[0]]
    assert check(b"\r\n".join([b"HTTP/1.1 200 OK", *lines, b"", b""])) is None
