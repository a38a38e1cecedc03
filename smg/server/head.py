"""What a request head must look like: header kinds, the values that are checked, the errors they
make.

Rules: http-api 3.6 and 3.7; RFC 9112 sections 3.2 and 5.
"""

from __future__ import annotations

from smg.core.errors import GatewayError

# Kinds of headers the server itself looks at; from REQUEST_ID on they are request id headers, in
# order of preference.
HOST, LENGTH, CODING, EXPECT, ORIGIN, TYPE, CONNECTION = 1, 2, 3, 4, 5, 6, 7
REQUEST_ID = 10
MAX_REQUEST_ID = 256


def special_headers(request_id_headers: tuple[bytes, ...]) -> dict[bytes, int]:
    """Header name → kind, for the one loop over a request's headers. Kinds from 10 on are request
    id headers.
    """
    kinds = {
        b"host": HOST,
        b"content-length": LENGTH,
        b"transfer-encoding": CODING,
        b"expect": EXPECT,
        b"origin": ORIGIN,
        b"content-type": TYPE,
        b"connection": CONNECTION,
    }
    for index, name in enumerate(request_id_headers):
        kinds.setdefault(name.lower(), REQUEST_ID + index)
    return kinds


_PRINTABLE = bytes(range(0x20, 0x7F))
_HOST_BYTES = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_~:[]%!$&'()*+,;="


def is_printable(value: bytes) -> bool:
    """Visible ASCII and spaces only."""
    return not value.translate(None, _PRINTABLE)


#: Host values found well-formed; clients use few, so the check is a look-up. Bounded: full means
#: start again.
seen_hosts: set[bytes] = set()


def is_host(value: bytes) -> bool:
    """Whether a Host value is well-formed enough to be passed by."""
    # The parser leaves white space behind a value; it is no part of it.
    if value.rstrip(b" \t").translate(None, _HOST_BYTES):
        return False
    if len(seen_hosts) >= 1024:
        seen_hosts.clear()
    if len(value) <= 256:  # clients use short ones; 1024 long ones would be a lot of memory
        seen_hosts.add(value)
    return True


def origin_form(target: bytes) -> bytes:
    """The path of an absolute-form target; anything else becomes a path nobody serves."""
    scheme, sep, rest = target.partition(b"://")
    if sep and scheme.lower() in (b"http", b"https"):
        return b"/" + rest.partition(b"/")[2]
    return b"*"


def head_too_large() -> GatewayError:
    """431."""
    return GatewayError("Request head too large.", status=431, code="headers_too_large")


def body_too_large(limit: int) -> GatewayError:
    """413; `limit` in bytes."""
    return GatewayError(
        f"Request body larger than the limit of {limit} bytes: length limit exceeded.",
        status=413,
        code="request_body_too_large",
    )
