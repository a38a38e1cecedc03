"""Time limits and sizes of the upstream side (routing-reliability 18.1)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smg.workers.spec import HttpPoolSpec


@dataclass(frozen=True)
class UpstreamSettings:
    """Times in seconds, sizes in bytes. `pool_idle_timeout` 0 = keep for ever."""

    connect_timeout: float = 10
    #: below the 5 s after which common engines close a kept connection
    pool_idle_timeout: float = 3
    max_idle_per_worker: int = 500
    max_head_bytes: int = 65_536
    max_headers: int = 256

    def merged(self, spec: HttpPoolSpec) -> UpstreamSettings:
        """These settings with what a worker's spec says differently about its connections."""
        connect, idle = spec.connect_timeout_secs, spec.pool_idle_timeout_secs
        most = spec.pool_max_idle_per_host
        return replace(
            self,
            connect_timeout=self.connect_timeout if connect is None else connect,
            pool_idle_timeout=self.pool_idle_timeout if idle is None else idle,
            max_idle_per_worker=self.max_idle_per_worker if most is None else most,
        )
