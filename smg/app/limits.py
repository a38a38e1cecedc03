"""From flags, and the files they name, to the settings of retries, breakers and limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from smg.backends.http.pd.slots import SlotSettings
from smg.config.files import yaml_file
from smg.core.errors import ConfigError
from smg.reliability.classes import SchedulerSettings, scheduler_settings
from smg.reliability.overload import OverloadSettings
from smg.reliability.settings import BreakerSettings, RetrySettings
from smg.reliability.tenant_policy import Policies, tenant_policies

if TYPE_CHECKING:
    from smg.config.settings import RouterConfig

T = TypeVar("T")

#: KV usage from which `--worker-overload-protection` leaves a worker out
OVERLOAD_USAGE = 0.9
#: the queue before prefill workers with a limit, unless its flags say otherwise
PREFILL_QUEUE_SIZE = 100
PREFILL_QUEUE_SECS = 60


@dataclass(frozen=True)
class LimitFiles:
    """What the files say; None where the feature is off."""

    scheduler: SchedulerSettings | None = None
    tenants: Policies | None = None

    def differs(self, other: LimitFiles) -> list[str]:
        """The settings whose files say something else in `other`."""
        pairs = (
            ("priority_scheduler_config", self.scheduler, other.scheduler),
            ("tenant_rate_limit_config", self.tenants, other.tenants),
        )
        return [name for name, mine, theirs in pairs if mine != theirs]


def read_files(config: RouterConfig) -> LimitFiles:
    """Read and check the files of priority scheduler and tenant limits. ConfigError names flag,
    file and mistake.
    """
    problems: list[str] = []

    def read(flag: str, path: str | None, make: Callable[[Any], T]) -> T | None:
        try:
            return make(None if path is None else yaml_file(path))
        except ValueError as error:
            problems.append(f"--{flag}: {f'{path}: ' if path else ''}{error}")
            return None

    scheduler = tenants = None
    if config.priority_scheduler_enabled:
        most = config.priority_scheduler_default_max_class
        scheduler = read(
            "priority-scheduler-config",
            config.priority_scheduler_config,
            lambda data: scheduler_settings(data, most),
        )
    if config.tenant_rate_limit_enabled:
        tenants = read(
            "tenant-rate-limit-config",
            config.tenant_rate_limit_config,
            lambda data: tenant_policies(data, config.trust_tenant_header),
        )
    if problems:
        raise ConfigError(problems)
    return LimitFiles(scheduler, tenants)


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


def overload_settings(config: RouterConfig) -> OverloadSettings:
    """Without limits while the protection is off."""
    usage = config.worker_overload_token_usage
    if usage is None and config.worker_overload_protection:
        usage = OVERLOAD_USAGE
    return OverloadSettings(config.worker_overload_waiting_requests, usage)


def slot_settings(config: RouterConfig) -> SlotSettings | None:
    """Of prefill workers; None while they have no limit."""
    limit = config.prefill_max_inflight_requests_per_worker
    if limit <= 0:
        return None
    size, seconds = config.prefill_queue_size, config.prefill_queue_timeout_secs
    return SlotSettings(
        limit,
        PREFILL_QUEUE_SIZE if size is None else size,
        float(PREFILL_QUEUE_SECS if seconds is None else seconds),
    )


def admission_settings(config: RouterConfig) -> tuple[int, int, float, float] | None:
    """Permits, places in the queue, seconds there, and permits per second, as `Admission` takes
    them; None while there is no limit.
    """
    if config.max_concurrent_requests <= 0:
        return None
    return (
        config.max_concurrent_requests,
        config.queue_size,
        float(config.queue_timeout_secs),
        float(config.rate_limit_tokens_per_second or 0),
    )
