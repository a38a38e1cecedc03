"""Which request headers reach an HTTP worker (http-api 5.1): an allow-list, never the gateway's own credential."""

from __future__ import annotations

from collections.abc import Iterable

_ALWAYS = (
    b"x-correlation-id",
    b"traceparent",
    b"tracestate",
    b"x-smg-routing-key",
)

#: never forwarded, whatever the operator lists: they belong to one connection or are set by us
_NEVER = frozenset(
    {
        b"connection",
        b"content-length",
        b"content-type",
        b"expect",
        b"host",
        b"keep-alive",
        b"proxy-authorization",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"x-request-id",
    }
)

#: where the caller's key for this gateway may stand, besides `authorization`
_CREDENTIALS = frozenset({b"x-api-key", b"api-key", b"x-goog-api-key"})

#: where a key of the gateway may stand besides `authorization` (auth/keys.py)
_CREDENTIALS = frozenset({b"x-api-key", b"api-key", b"x-goog-api-key"})


class ForwardRules:
    """The allow-list of one gateway.

    `consumes_credentials`: the gateway has keys of its own, so the caller's credential admitted the caller *here* and
    is not sent on; the worker gets its own key or none.
    """

    def __init__(self, extra: Iterable[str] = (), *, consumes_credentials: bool = False) -> None:
        names = {name.lower().encode("latin-1") for name in extra} - _NEVER
        names.update(_ALWAYS)
        names.discard(b"authorization")
        if consumes_credentials:
            names -= _CREDENTIALS
        if consumes_credentials:
            names -= _CREDENTIALS
        self._names = frozenset(names)
        self._consumes = consumes_credentials

    def lines(
        self,
        headers: list[tuple[bytes, bytes]],
        request_id: bytes,
        worker_authorization: bytes,
    ) -> bytes:
        """Header lines for the worker. `x-request-id` is always the effective one."""
        names = self._names
        lines = b"x-request-id: " + request_id + b"\r\n"
        authorization = worker_authorization
        for name, value in headers:
            if name in names:
                lines += name + b": " + value + b"\r\n"
            elif name == b"authorization":
                if not self._consumes:
                    authorization = b"authorization: " + value + b"\r\n"
            elif name.startswith(b"x-request-id-"):
                lines += name + b": " + value + b"\r\n"
        return lines + authorization
