"""Keys of the control plane (`--control-plane-api-keys`): who is calling, and in which role.

External-security-wasm 9.2 and 9.3. Unlike a data-plane key, such a key stands in one place only:
`Authorization: Bearer`.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from smg.auth.keys import Headers, credentials
from smg.core.errors import AuthError, GatewayError

ADMIN = "admin"
_CHALLENGE = ((b"www-authenticate", b'Bearer realm="control-plane"'),)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling. `method` is how they proved it, `api_key:ID`; `role` is `admin` or `user`."""

    id: str
    name: str
    method: str
    role: str


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a call to the control plane may go on: `error` is the answer if not.

    `principal` is known for a valid key, also for one that may not do this.
    """

    principal: Principal | None = None
    error: GatewayError | None = None


class ControlKeys:
    """The configured keys. Without any, nobody is let in."""

    def __init__(self, entries: Sequence[tuple[str, str, str, str]]) -> None:
        """`entries`: (id, name, key, role), as `smg.config.items.control_plane_key` reads them."""
        self._entries = tuple(
            (sha256(key.encode()).digest(), Principal(id, name, f"api_key:{id}", role))
            for id, name, key, role in entries
        )

    def decide(self, headers: Headers) -> Decision:
        """Whether a caller with these headers may use the control plane."""
        token = bearer(headers)
        if token is None:
            return _refused("Missing or invalid Authorization header")
        principal = self.find(token)
        if principal is None:
            return _refused("Invalid authentication token")
        if principal.role != ADMIN:
            error = GatewayError(
                "Admin role required for control plane access",
                status=403,
                code="admin_role_required",
            )
            return Decision(principal, error)
        return Decision(principal)

    def principal(self, headers: Headers) -> Principal | None:
        """Who presents a valid key, in whatever role."""
        token = bearer(headers)
        return None if token is None else self.find(token)

    def find(self, token: bytes) -> Principal | None:
        """Whose key this is. Every entry is compared: time tells neither a match nor its place."""
        digest = sha256(token).digest()
        found = None
        for known, principal in self._entries:
            if hmac.compare_digest(known, digest):
                found = principal
        return found

    def presented(self, headers: Headers) -> bool:
        """Whether one of the keys stands anywhere in `headers` where a key may stand."""
        return any(self.find(token) is not None for token in credentials(headers))


def bearer(headers: Headers) -> bytes | None:
    """The token of the one `Authorization: Bearer` header; None for none, another scheme, several
    (which of them counts would be a guess) or an empty token.
    """
    values = [value for name, value in headers if name == b"authorization"]
    if len(values) != 1:
        return None
    scheme, _, token = values[0].partition(b" ")
    return (token.strip() or None) if scheme.lower() == b"bearer" else None


def _refused(message: str) -> Decision:
    return Decision(error=AuthError(message, headers=_CHALLENGE))
