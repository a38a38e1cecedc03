"""Where a worker listens."""

from __future__ import annotations

import pytest

from smg.upstream.origin import Origin


@pytest.mark.parametrize(
    ("url", "tls", "host", "port", "base_path", "host_header"),
    [
        ("http://w:8000", False, "w", 8000, "", b"w:8000"),
        ("http://w", False, "w", 80, "", b"w"),
        ("https://w/", True, "w", 443, "", b"w"),
        ("https://w:8443/base/", True, "w", 8443, "/base", b"w:8443"),
        ("http://w/a/v1//", False, "w", 80, "/a/v1", b"w"),
        ("http://[::1]:8000", False, "::1", 8000, "", b"[::1]:8000"),
        ("https://[2001:db8::1]/v1", True, "2001:db8::1", 443, "/v1", b"[2001:db8::1]"),
        ("http://127.0.0.1:1", False, "127.0.0.1", 1, "", b"127.0.0.1:1"),
    ],
)
def test_parse(url, tls, host, port, base_path, host_header):
    assert Origin.parse(url) == Origin(tls, host, port, base_path, host_header)


@pytest.mark.parametrize(
    "url",
    [
        *["", "w", "w:8000", "//w", "http://", "http:///a", "ftp://w", "grpc://w:1", "unix:/a"],
        *["http://w:x", "http://w:70000", "http://[::1", "http://wä", "http://:80"],
    ],
)
def test_what_is_no_origin(url):
    with pytest.raises(ValueError):  # noqa: PT011 - urlsplit has words of its own
        Origin.parse(url)


@pytest.mark.parametrize(
    ("base", "path", "expected"),
    [
        ("http://w", "/v1/models", "/v1/models"),
        ("http://w/", "/health", "/health"),
        ("http://w/v1", "/v1/models", "/v1/models"),
        ("http://w/v1/", "/v1/chat/completions?x=/v1/", "/v1/chat/completions?x=/v1/"),
        ("http://w/v1", "/health", "/v1/health"),
        ("http://w/v1", "/v1", "/v1/v1"),
        ("http://w/base/v1", "/v1/models", "/base/v1/models"),
        ("http://w/base", "/v1/models", "/base/v1/models"),
        ("http://w/xv1", "/v1/models", "/xv1/v1/models"),
        ("http://w/v1", "/v10/x", "/v1/v10/x"),
    ],
)
def test_path_for(base, path, expected):
    assert Origin.parse(base).path_for(path) == expected
