"""The shared gateway key (`--api-key`). Where it may stand: external-security-wasm 8.1."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Iterator

from smg.core.errors import AuthError

_KEY_HEADERS = frozenset({b"x-api-key", b"api-key", b"x-goog-api-key"})


class SharedKey:
    """One key for data plane and control plane. Only its digest is kept."""

    def __init__(self, key: str) -> None:
        if not key:
            raise ValueError("an empty key admits nobody")
        self._digest = hashlib.sha256(key.encode()).digest()

    def admits(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Whether any credential in `headers` is the key. Time does not depend on how much of it
        is right.
        """
        found = False
        for credential in credentials(headers):
            digest = hashlib.sha256(credential).digest()
            found |= hmac.compare_digest(digest, self._digest)
        return found


def credentials(headers: Iterable[tuple[bytes, bytes]]) -> Iterator[bytes]:
    """Every credential a caller presents; the Bearer scheme in any case."""
    for name, value in headers:
        if name == b"authorization":
            scheme, _, token = value.partition(b" ")
            if scheme.lower() == b"bearer":
                yield token.strip()
        elif name in _KEY_HEADERS:
            yield value.strip()


def unauthorized() -> AuthError:
    """The 401 of http-api 3.3."""
    return AuthError("Missing or invalid API key.", headers=((b"www-authenticate", b"Bearer"),))
