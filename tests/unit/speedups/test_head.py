"""parse_reply_head: what is kept, what is refused."""

from __future__ import annotations

import pytest

from smg._speedups.framing import CHUNKED, LENGTH, UNTIL_CLOSE
from smg._speedups.head import HeadError, parse_reply_head
from smg.wire.head import HOP_BY_HOP


def parse(head: bytes, max_headers: int = 256):
    return parse_reply_head(head, len(head), max_headers)


def with_lines(*lines: bytes, status: bytes = b"HTTP/1.1 200 OK"):
    return parse(b"\r\n".join([status, *lines, b"", b""]))


@pytest.mark.parametrize(
    ("lines", "mode", "length"),
    [
        ((b"Content-Length: 5",), LENGTH, 5),
        ((b"content-length:0",), LENGTH, 0),
        ((b"CONTENT-LENGTH: \t 000123 \t",), LENGTH, 123),
        ((b"content-length: 999999999999999999",), LENGTH, 999999999999999999),
        ((b"Transfer-Encoding: chunked",), CHUNKED, 0),
        ((b"transfer-encoding:\tCHUNKED ",), CHUNKED, 0),
        ((), UNTIL_CLOSE, 0),
    ],
)
def test_how_the_body_ends(lines, mode, length):
    head = with_lines(*lines)
    assert (head.mode, head.length) == (mode, length)
    assert head.lines == b""


@pytest.mark.parametrize(
    ("version", "connection", "keep_alive"),
    [
        (b"1.1", None, True),
        (b"1.1", b"keep-alive", True),
        (b"1.1", b"close", False),
        (b"1.1", b"Close", False),
        (b"1.1", b"x, close ,y", False),
        (b"1.1", b"keep-alive, close", False),
        (b"1.1", b"closed", True),
        (b"1.1", b"x close", True),
        (b"1.1", b", ,\t,", True),
        (b"1.0", None, False),
        (b"1.0", b"keep-alive", True),
        (b"1.0", b"Keep-Alive, close", False),
        (b"1.0", b"upgrade", False),
    ],
)
def test_keep_alive(version, connection, keep_alive):
    lines = [b"content-length: 0"]
    if connection is not None:
        lines.append(b"Connection: " + connection)
    assert with_lines(*lines, status=b"HTTP/" + version + b" 200 OK").keep_alive is keep_alive


def test_connection_given_twice_counts_twice():
    assert not with_lines(b"connection: close", b"connection: keep-alive").keep_alive


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (b"HTTP/1.1 200 OK", 200),
        (b"HTTP/1.1 200", 200),
        (b"HTTP/1.1 200 ", 200),
        (b"HTTP/1.0 404 Not  Found", 404),
        (b"HTTP/1.1 999 \xe4\xf6", 999),
        (b"HTTP/1.1 000 zero", 0),
    ],
)
def test_status(status, code):
    assert with_lines(b"content-length: 0", status=status).status == code


@pytest.mark.parametrize(
    "status",
    [
        b"HTTP/2.0 200 OK",
        b"HTTP/1.2 200 OK",
        b"HTTP/1.1  200 OK",
        b"HTTP/1.1\t200 OK",
        b"HTTP/1.1 20 OK..",
        b"HTTP/1.1 2000 OK",
        b"HTTP/1.1 -20 OK",
        b"HTTP/1.1 2x0 OK",
        b"HTTP/1.1 200OK",
        b"http/1.1 200 OK",
        b"XTTP/1.1 200 OK",
        b" HTTP/1.1 200 OK",
        b"HTTP/1.1 200 a\0b",
        b"HTTP/1.1 200 a\nb",
        b"HTTP/1.1 200 a\rb",
        b"ICY 200 OK......",
    ],
)
def test_bad_status_lines(status):
    with pytest.raises(HeadError):
        with_lines(b"content-length: 0", status=status)


@pytest.mark.parametrize(
    "lines",
    [
        (b"content-length: 5", b"content-length: 5"),
        (b"content-length: 5", b"Content-Length: 6"),
        (b"content-length: 5, 5",),
        (b"content-length:",),
        (b"content-length: ",),
        (b"content-length: +5",),
        (b"content-length: -5",),
        (b"content-length: 0x5",),
        (b"content-length: 5 5",),
        (b"content-length: 5.0",),
        (b"content-length: 1000000000000000000000",),
        (b"content-length: 5", b"transfer-encoding: chunked"),
        (b"transfer-encoding: chunked", b"content-length: 5"),
        (b"transfer-encoding: chunked", b"transfer-encoding: chunked"),
        (b"transfer-encoding: gzip, chunked",),
        (b"transfer-encoding: chunked, chunked",),
        (b"transfer-encoding: identity",),
        (b"transfer-encoding:",),
        (b"transfer-encoding: xchunked",),
        (b"a: b", b" folded"),
        (b"a: b", b"\tfolded: c"),
        (b" a: b",),
        (b"a : b",),
        (b"a\t: b",),
        (b": b",),
        (b"a",),
        (b"a b: c",),
        (b"a\0: b",),
        (b"\xe4: b",),
        (b"a: b\0c",),
        (b"a: b\x01",),
        (b"a: b\x7f",),
        (b"a: b\rc: d",),
        (b"a: b\nc: d",),
        (b"a: b\n",),
        (b"a(: b",),
    ],
)
def test_heads_two_readers_could_read_differently(lines):
    with pytest.raises(HeadError):
        with_lines(*lines)


def test_chunked_in_http_1_0_is_refused():
    with pytest.raises(HeadError):
        with_lines(b"transfer-encoding: chunked", status=b"HTTP/1.0 200 OK")


def test_hop_by_hop_and_our_own_headers_are_left_out():
    dropped = [
        *HOP_BY_HOP - {b"transfer-encoding"},
        b"content-length",
        b"x-request-id",
        b"x-smg-routed-worker-id",
        b"x-smg-routing-decision",
    ]
    lines = []
    for name in dropped:
        value = b"7" if name == b"content-length" else b"x"
        lines += [name.title() + b": " + value, b"X-" + name + b": kept"]
    kept = with_lines(*lines).headers
    assert kept == [(b"x-" + name, b"kept") for name in dropped]
    assert with_lines(b"Transfer-Encoding: chunked").headers == []


def test_lines_are_sent_on_as_they_came():
    head = with_lines(b"X-One:  a b\t", b"Set-Cookie: 1", b"set-cookie: 2", b"X-Empty:", b"x: \xff")
    assert head.lines == (
        b"X-One:  a b\t\r\nSet-Cookie: 1\r\nset-cookie: 2\r\nX-Empty:\r\nx: \xff\r\n"
    )
    assert head.headers == [
        (b"x-one", b"a b"),
        (b"set-cookie", b"1"),
        (b"set-cookie", b"2"),
        (b"x-empty", b""),
        (b"x", b"\xff"),
    ]


@pytest.mark.parametrize(
    ("value", "is_stream"),
    [
        (b"text/event-stream", True),
        (b"Text/Event-Stream; charset=utf-8", True),
        (b"text/event-strea", False),
        (b"application/json", False),
        (b"", False),
    ],
)
def test_event_stream(value, is_stream):
    head = with_lines(b"Content-Type: " + value)
    assert head.event_stream is is_stream
    assert head.headers == [(b"content-type", value)]


def test_number_of_headers():
    lines = [b"a: b"] * 4
    data = b"\r\n".join([b"HTTP/1.1 200 OK", *lines, b"", b""])
    assert len(parse(data, 4).headers) == 4
    with pytest.raises(HeadError):
        parse(data, 3)


def test_the_end_is_where_the_caller_says():
    data = b"HTTP/1.1 200 OK\r\na: b\r\n\r\n"
    assert parse_reply_head(data + b"body", len(data), 10).lines == b"a: b\r\n"
    for end in range(len(data)):
        with pytest.raises(HeadError):
            parse_reply_head(data, end, 10)
    with pytest.raises(HeadError):
        parse_reply_head(data, len(data) + 1, 10)
    with pytest.raises(HeadError):
        parse_reply_head(data, -1, 10)
    with pytest.raises(HeadError):
        parse_reply_head(data + b"x: y\r\n\r\n", len(data) + 8, 10)
    with pytest.raises(TypeError):
        parse_reply_head(bytearray(data), len(data), 10)
