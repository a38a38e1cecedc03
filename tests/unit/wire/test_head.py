"""Status lines, media types, chunks."""

from __future__ import annotations

import pytest

from smg.wire.head import LAST_CHUNK, chunk, is_json, status_line


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (200, b"HTTP/1.1 200 OK\r\n"),
        (404, b"HTTP/1.1 404 Not Found\r\n"),
        (503, b"HTTP/1.1 503 Service Unavailable\r\n"),
        (299, b"HTTP/1.1 299 \r\n"),
        (499, b"HTTP/1.1 499 \r\n"),
        (529, b"HTTP/1.1 529 \r\n"),
        (999, b"HTTP/1.1 999 \r\n"),
        # not a status: what could be read as something else becomes a bad gateway
        (0, b"HTTP/1.1 502 Bad Gateway\r\n"),
        (99, b"HTTP/1.1 502 Bad Gateway\r\n"),
        (1000, b"HTTP/1.1 502 Bad Gateway\r\n"),
        (-200, b"HTTP/1.1 502 Bad Gateway\r\n"),
    ],
)
def test_status_line(status, line):
    assert status_line(status) == line
    assert status_line(status) is status_line(status)


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        (b"application/json", True),
        (b"Application/JSON; charset=utf-8", True),
        (b" application/json ;a=b", True),
        (b"application/problem+json", True),
        (b"application/vnd.api+JSON", True),
        (b"application/jsonl", False),
        (b"text/json", False),
        (b"text/x+json", False),
        (b"application/json+xml", False),
        (b"text/plain; application/json", False),
        (b"", False),
        (None, False),
    ],
)
def test_is_json(content_type, expected):
    assert is_json(content_type) is expected


def test_chunks():
    assert chunk(b"hello") + chunk(b"x" * 16) + LAST_CHUNK == (
        b"5\r\nhello\r\n10\r\n" + b"x" * 16 + b"\r\n0\r\n\r\n"
    )
