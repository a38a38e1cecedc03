"""HTTP workers: bytes through, parsed only where they must change."""

from __future__ import annotations

from smg.backends.http.context import RelaySettings
from smg.backends.http.headers import ForwardRules
from smg.backends.http.proxy import HttpBackend

__all__ = ["ForwardRules", "HttpBackend", "RelaySettings"]
