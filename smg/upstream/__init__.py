"""Our pooled HTTP/1.1 client towards workers: relays bytes for requests, `fetch` for the control
plane.
"""

from __future__ import annotations

from smg.upstream.client import HttpClient, Reply
from smg.upstream.settings import UpstreamSettings

__all__ = ["HttpClient", "Reply", "UpstreamSettings"]
