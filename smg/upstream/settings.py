"""Time limits and sizes of the upstream side (routing-reliability 18.1)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class UpstreamSettings:
    """Times in seconds, sizes in bytes. `pool_idle_timeout` 0 = keep for ever."""

    connect_timeout: float = 10
    #: below the 5 s after which common engines close a kept connection
    pool_idle_timeout: float = 3
    max_idle_per_worker: int = 500
    max_head_bytes: int = 65_536
    max_headers: int = 256
