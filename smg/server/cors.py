"""Cross-origin answers (http-api 3.5). Off by default: an open default lets any web page drive a
local gateway.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smg.server.routes import Endpoint, Route

if TYPE_CHECKING:
    from smg.server.exchange import Exchange

_METHODS = b"GET,POST,PUT,PATCH,DELETE,OPTIONS"
_HEADERS = (
    b"content-type,authorization,x-request-id,x-api-key,x-smg-routing-key,x-smg-target-worker,"
    b"x-smg-priority,x-smg-tenant-id,x-smg-routing-tokens,x-smg-mcp"
)


class Cors:
    """Prepared header lines for the configured origins."""

    def __init__(self, origins: tuple[bytes, ...]) -> None:
        self._any = origins == (b"*",)
        self._origins = frozenset(origins)
        #: answers every OPTIONS on a known path, without authorisation
        self.preflight = Endpoint(Route("OPTIONS", "preflight", self._preflight))

    def _allowed(self, origin: bytes | None) -> bytes | None:
        if self._any:
            return b"*"
        return origin if origin in self._origins else None

    def response_headers(self, origin: bytes | None) -> bytes:
        """Header lines for an ordinary answer."""
        allowed = self._allowed(origin)
        vary = b"" if self._any else b"vary: origin\r\n"
        if allowed is None:
            return vary
        return (
            b"access-control-allow-origin: "
            + allowed
            + b"\r\naccess-control-expose-headers: "
            + (b"*" if self._any else b"x-request-id")
            + b"\r\n"
            + vary
        )

    def _preflight(self, exchange: Exchange) -> None:
        headers: list[tuple[bytes, bytes]] = []
        if self._allowed(exchange.origin) is not None:
            headers = [
                (b"access-control-allow-methods", b"*" if self._any else _METHODS),
                (b"access-control-allow-headers", b"*" if self._any else _HEADERS),
                (b"access-control-max-age", b"3600"),
            ]
        exchange.respond(200, headers=headers)
