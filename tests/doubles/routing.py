"""A request as a policy sees it, without a request."""

from __future__ import annotations

from collections.abc import Sequence


class View:
    """Plain values behind the `RoutingView` methods."""

    def __init__(
        self,
        text: str = "",
        *,
        key: bytes | None = None,
        rid: bytes | None = None,
        tokens: Sequence[int] | None = None,
        headers: Sequence[tuple[bytes, bytes]] = (),
        model: str = "m",
    ) -> None:
        self.model = model
        self.ticket = 0
        self.headers = list(headers)
        self._text = text
        self._tokens = tokens
        self._key = key
        self._rid = rid

    def text(self) -> str:
        return self._text

    def tokens(self) -> Sequence[int] | None:
        return self._tokens

    def routing_key(self) -> bytes | None:
        return self._key

    def request_key(self) -> bytes | None:
        return self._rid
