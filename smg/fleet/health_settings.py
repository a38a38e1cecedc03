"""How one worker is checked: the router's settings, overridden by what an operator said of it.

Rules: routing-reliability 14; fields of a worker: http-api 16.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from smg.fleet.settings import FleetSettings
from smg.workers import Worker

FAST_SECS = 5.0  # at most, while a worker is in doubt
SLOW_SECS = 60.0  # at least, for one that is given up
LEAST_SECS = 0.1  # whatever is asked for, the loop must not spin

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class HealthSettings:
    """Durations in seconds, thresholds in probes. `enabled` false: the worker is always `ready`."""

    enabled: bool = True
    timeout: float = 5.0
    interval: float = 60.0
    failure_threshold: int = 3
    success_threshold: int = 2

    @classmethod
    def of(cls, worker: Worker, router: FleetSettings) -> HealthSettings:
        """What holds for `worker` now."""
        own = worker.spec.health
        off = own.disable_health_check
        interval = _first(own.check_interval_secs, router.health_interval)
        return cls(
            enabled=router.check_health if off is None else not off,
            timeout=_first(own.timeout_secs, router.health_timeout),
            interval=max(interval, LEAST_SECS),
            failure_threshold=_first(own.failure_threshold, router.failure_threshold),
            success_threshold=_first(own.success_threshold, router.success_threshold),
        )

    @property
    def fast(self) -> float:
        """The pause while the worker is in doubt."""
        return min(self.interval, FAST_SECS)

    @property
    def slow(self) -> float:
        """The pause once it is given up."""
        return max(self.interval, SLOW_SECS)


def _first(own: T | None, routers: T) -> T:
    return routers if own is None else own
