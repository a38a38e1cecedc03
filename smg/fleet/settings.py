"""The flags the fleet obeys, as one value, so that tests need no whole configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smg.config.settings import RouterConfig


@dataclass(frozen=True, slots=True)
class FleetSettings:
    """Seconds unless the name says otherwise; defaults are those of the flags."""

    api_key: str | None = None
    startup_delay: float = 0.0
    startup_timeout: float = 1800.0
    startup_interval: float = 30.0
    check_health: bool = True
    health_endpoint: str = "/health"
    health_timeout: float = 5.0
    health_interval: float = 60.0
    failure_threshold: int = 3
    success_threshold: int = 2
    dp_aware: bool = False
    drain_settle: float = 5.0

    @classmethod
    def from_config(cls, config: RouterConfig) -> FleetSettings:
        """Read the flags."""
        return cls(
            api_key=config.api_key,
            startup_delay=config.worker_startup_delay,
            startup_timeout=config.worker_startup_timeout_secs,
            startup_interval=config.worker_startup_check_interval,
            check_health=not config.disable_health_check,
            health_endpoint=config.health_check_endpoint,
            health_timeout=config.health_check_timeout_secs,
            health_interval=config.health_check_interval_secs,
            failure_threshold=config.health_failure_threshold,
            success_threshold=config.health_success_threshold,
            dp_aware=config.dp_aware,
            drain_settle=config.drain_settle_secs,
        )
