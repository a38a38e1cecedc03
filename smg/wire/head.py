"""Values of HTTP/1.1 heads that the server and the upstream client share."""

from __future__ import annotations

import http

HTTP_1_1 = b"HTTP/1.1 "

#: Status lines, prepared once. Unknown codes are made on demand by `status_line`.
_LINES: dict[int, bytes] = {
    status.value: b"HTTP/1.1 %d %s\r\n" % (status.value, status.phrase.encode())
    for status in http.HTTPStatus
}

#: Headers of a worker's answer that describe its connection, not its content (http-api 5.2).
HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"trailers",
        b"transfer-encoding",
        b"upgrade",
        b"host",
    }
)


def status_line(status: int) -> bytes:
    """The HTTP/1.1 status line with its CRLF."""
    line = _LINES.get(status)
    if line is None:
        line = _LINES[status] = (
            b"HTTP/1.1 %d \r\n" % status if 100 <= status <= 999 else _LINES[502]
        )
    return line


def is_json(content_type: bytes | None) -> bool:
    """Media type `application/json` or `application/*+json`, parameters ignored."""
    if content_type is None:
        return False
    media = content_type.split(b";", 1)[0].strip().lower()
    return media == b"application/json" or (
        media.startswith(b"application/") and media.endswith(b"+json")
    )


def chunk(data: bytes) -> bytes:
    """One HTTP/1.1 chunk around `data` (not empty)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"
