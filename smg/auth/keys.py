"""Keys of the data plane: the shared one (`--api-key`) and those of tenants (`--tenant-api-key`).

Where a key may stand in a request, and what it costs to present a wrong one: external-security-wasm
8.1. Only digests are kept.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from hashlib import sha256

from smg.core.errors import AuthError, MessagesAuthError

Headers = Iterable[tuple[bytes, bytes]]

_KEY_HEADERS = frozenset({b"x-api-key", b"api-key", b"x-goog-api-key"})


class SharedKey:
    """The key that everybody shares. Only its digest is kept."""

    def __init__(self, key: str) -> None:
        if not key:
            raise ValueError("an empty key admits nobody")
        self._digest = sha256(key.encode()).digest()

    def admits(self, headers: Headers) -> bool:
        """Whether any credential in `headers` is the key. Time does not depend on how much of it
        is right.
        """
        found = False
        for credential in credentials(headers):
            found |= hmac.compare_digest(sha256(credential).digest(), self._digest)
        return found


class DataKeys:
    """All keys that open the data plane, and whom each stands for.

    One digest and one look-up per credential, however many tenants there are. The look-up is by
    digest: what it takes longer for says nothing about the key itself.
    """

    def __init__(self, shared: str | None, tenants: Iterable[tuple[str, str]] = ()) -> None:
        """`tenants`: pairs of tenant and key. ValueError for an empty key, or one given twice."""
        self._identities: dict[bytes, str] = {}
        #: whom the shared key stands for; None without one
        self.shared: str | None = None
        if shared is not None:
            self.shared = "auth:" + sha256(shared.encode()).hexdigest()
            self._add(shared, self.shared)
        for tenant, key in tenants:
            self._add(key, f"auth:{tenant}")

    def _add(self, key: str, identity: str) -> None:
        digest = sha256(key.encode()).digest()
        if not key or digest in self._identities:
            raise ValueError("a key is empty or given twice")
        self._identities[digest] = identity

    def identity(self, headers: Headers) -> str | None:
        """Whom the first valid credential stands for: `auth:TENANT`, or `auth:` and the digest of
        the shared key in hex; None without a valid one.
        """
        identities = self._identities
        for credential in credentials(headers):
            identity = identities.get(sha256(credential).digest())
            if identity is not None:
                return identity
        return None


def credentials(headers: Headers) -> list[bytes]:
    """Every credential a client presents, in order; the Bearer scheme in any case."""
    found = []
    for name, value in headers:
        if name == b"authorization":
            scheme, _, token = value.partition(b" ")
            if scheme.lower() == b"bearer":
                found.append(token.strip())
        elif name in _KEY_HEADERS:
            found.append(value.strip())
    return found


def unauthorized(*, messages: bool = False) -> AuthError:
    """The 401 of http-api 3.3; `messages`: for a client of the Messages API."""
    kind = MessagesAuthError if messages else AuthError
    return kind("Invalid or missing API key", headers=((b"www-authenticate", b"Bearer"),))
