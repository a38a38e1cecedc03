"""From flags to the settings of retries, breakers and admission."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from smg.reliability.admission import Admission
from smg.reliability.settings import BreakerSettings, RetrySettings

if TYPE_CHECKING:
    from smg.config.settings import RouterConfig


def retry_settings(config: RouterConfig) -> RetrySettings | None:
    """None with `--disable-retries`."""
    if config.disable_retries:
        return None
    return RetrySettings(
        attempts=config.retry_max_retries,
        initial_ms=config.retry_initial_backoff_ms,
        max_ms=config.retry_max_backoff_ms,
        multiplier=config.retry_backoff_multiplier,
        jitter=config.retry_jitter_factor,
    )


def breaker_settings(config: RouterConfig) -> BreakerSettings:
    """Of workers that say nothing of their own."""
    return BreakerSettings(
        failure_threshold=config.cb_failure_threshold,
        success_threshold=config.cb_success_threshold,
        timeout=config.cb_timeout_duration_secs,
        window=config.cb_window_duration_secs,
        enabled=not config.disable_circuit_breaker,
    )


def admission_of(config: RouterConfig) -> Admission | None:
    """None while there is no limit."""
    if config.max_concurrent_requests <= 0:
        return None
    return Admission(
        config.max_concurrent_requests,
        config.queue_size,
        config.queue_timeout_secs,
        config.rate_limit_tokens_per_second or 0,
        perf_counter(),
    )
