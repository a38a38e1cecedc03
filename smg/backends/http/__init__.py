"""HTTP workers: bytes through, parsed only where they must change."""

from smg.backends.http.headers import ForwardRules
from smg.backends.http.proxy import HttpBackend, RelaySettings

__all__ = ["ForwardRules", "HttpBackend", "RelaySettings"]
