"""Which request headers reach an HTTP worker (http-api 5.1): an allow-list, never the gateway's
own credential.
"""

from __future__ import annotations

from collections.abc import Iterable

from smg._speedups.request_head import TRACEPARENT, request_head

_ALWAYS = (
    b"x-correlation-id",
    TRACEPARENT,
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

#: where a key of the gateway may stand besides `authorization` (auth/keys.py)
_CREDENTIALS = frozenset({b"x-api-key", b"api-key", b"x-goog-api-key"})


class ForwardRules:
    """The allow-list of one gateway.

    `consumes_credentials`: the gateway has keys of its own, so the caller's credential admitted
    the caller *here* and is not sent on; the worker gets its own key or none.
    """

    def __init__(self, extra: Iterable[str] = (), *, consumes_credentials: bool = False) -> None:
        names = {name.lower().encode("latin-1") for name in extra} - _NEVER
        names.update(_ALWAYS)
        names.discard(b"authorization")
        if consumes_credentials:
            names -= _CREDENTIALS
        self._names = frozenset(names)
        self._consumes = consumes_credentials

    def head(
        self,
        prefix: bytes,
        headers: list[tuple[bytes, bytes]],
        request_id: bytes,
        worker_authorization: bytes,
        length: int,
    ) -> bytes:
        """The whole head of a request to a worker: `prefix`, what is forwarded, and a body of
        `length` bytes.

        `x-request-id` is always the effective one; `worker_authorization` is a header line or
        nothing.
        """
        return request_head(
            prefix,
            headers,
            self._names,
            request_id,
            worker_authorization,
            not self._consumes,
            length,
        )
