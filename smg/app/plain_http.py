"""One short request, one whole answer: HTTP for the listeners beside the gateway's own.

Probes and scrapes need no keep-alive, no bodies and no routes with parameters, and their answers
must not depend on the event loop. Pure; whose bytes these are is told in `side_listener.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from smg.core.errors import GatewayError, NotFoundError, RequestError
from smg.server.head import head_too_large, origin_form
from smg.wire.errors import JSON, error_body, error_headers
from smg.wire.head import status_line

#: status, body, content type
Page = tuple[int, bytes, bytes]

MOST_HEAD = 8192  # bytes


def answer(
    received: bytes, pages: Mapping[bytes, Callable[[], Page]], unknown: str
) -> bytes | None:
    """The whole answer to a request, or None while its head is not complete.

    `pages` by path answer GET and HEAD; any other path is 404 with the message `unknown`.
    """
    head, complete, _ = received.lstrip(b"\r\n").partition(b"\r\n\r\n")
    if len(head) > MOST_HEAD:
        return _refusal(head_too_large())
    if not complete:
        return None
    parts = head.partition(b"\r\n")[0].split(b" ")
    if len(parts) != 3 or not parts[2].startswith(b"HTTP/1."):
        return _refusal(RequestError("Malformed HTTP request.", code="bad_request"))
    method, target, _ = parts
    if not target.startswith(b"/"):
        target = origin_form(target)
    with_body = method != b"HEAD"
    page = pages.get(target.partition(b"?")[0])
    if page is None:
        return _refusal(NotFoundError(unknown), with_body)
    if method not in (b"GET", b"HEAD"):
        return _refusal(
            GatewayError(
                "Method not allowed for this URL. Allowed: GET, HEAD.",
                status=405,
                code="method_not_allowed",
                headers=((b"allow", b"GET, HEAD"),),
            )
        )
    return _whole(*page(), (), with_body)


def _refusal(error: GatewayError, with_body: bool = True) -> bytes:
    return _whole(error.status, error_body(error), JSON, error_headers(error), with_body)


def _whole(
    status: int,
    body: bytes,
    content_type: bytes,
    headers: Sequence[tuple[bytes, bytes]],
    with_body: bool,
) -> bytes:
    lines = [
        status_line(status),
        b"content-type: %b\r\ncontent-length: %d\r\n" % (content_type, len(body)),
        *(b"%b: %b\r\n" % header for header in headers),
        b"connection: close\r\n\r\n",
        body if with_body else b"",
    ]
    return b"".join(lines)
