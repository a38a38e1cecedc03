"""An exchange without a connection: what a handler sees, and what it answered."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from smg.core.errors import GatewayError


class FakeExchange:
    """`status`, `body`, `answer_headers` and `error` tell what the handler did."""

    def __init__(
        self,
        *,
        params: dict[str, str] | None = None,
        headers: Sequence[tuple[bytes, bytes]] = (),
        query: bytes = b"",
        body: bytes = b"",
    ) -> None:
        self.params = params
        self.headers = list(headers)
        self.query = query
        self.request_body = body
        self.request_id = b"req-test"
        self.status = 0
        self.body = b""
        self.content_type = b""
        self.answer_headers: list[tuple[bytes, bytes]] = []
        self.error: GatewayError | None = None

    def header(self, name: bytes) -> bytes | None:
        """First value."""
        return next((value for key, value in self.headers if key == name), None)

    def respond(
        self,
        status: int,
        body: bytes = b"",
        content_type: bytes = b"application/json",
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        """The whole answer."""
        assert not self.status, "answered twice"
        self.status, self.body, self.content_type = status, body, content_type
        self.answer_headers = list(headers)

    def fail(self, error: GatewayError) -> None:
        """An error answer."""
        assert not self.status, "answered twice"
        self.status, self.error = error.status, error

    @property
    def json(self) -> object:
        """The body, parsed."""
        return orjson.loads(self.body)
