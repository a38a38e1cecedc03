"""Which settings can change while the gateway runs, and what each of them touches.

`targets(gateway)` is what `reload.Reloader` asks. Requests in flight keep what they began with. The
list for people is in docs/guide/configuration.md; a test compares it with what is taken over here.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from smg.app.authorization import Authorization, warn_if_open
from smg.app.limits import breaker_settings, overload_settings, read_files, retry_settings
from smg.app.reload import ReloadTarget, changed
from smg.backends.http import ForwardRules
from smg.fleet.service import canonical_urls
from smg.fleet.settings import FleetSettings

if TYPE_CHECKING:
    from smg.app.build import Gateway
    from smg.config.settings import RouterConfig

log = logging.getLogger(__name__)

KEYS = (
    "api_key",
    "tenant_api_key",
    "control_plane_api_keys",
    "disable_audit_logging",
    "control_plane_audit_enabled",  # has no effect, so any value is in force
)
FLEET = (
    "disable_health_check",
    "health_check_endpoint",
    "health_check_interval_secs",
    "health_check_timeout_secs",
    "health_failure_threshold",
    "health_success_threshold",
    "worker_startup_check_interval",
    "worker_startup_delay",
    "worker_startup_timeout_secs",
    "drain_settle_secs",
)
RETRIES = (
    "retry_max_retries",
    "retry_initial_backoff_ms",
    "retry_max_backoff_ms",
    "retry_backoff_multiplier",
    "retry_jitter_factor",
    "disable_retries",
)
BREAKERS = (
    "cb_failure_threshold",
    "cb_success_threshold",
    "cb_timeout_duration_secs",
    "cb_window_duration_secs",
    "disable_circuit_breaker",
)
OVERLOAD = (
    "worker_overload_protection",
    "worker_overload_waiting_requests",
    "worker_overload_token_usage",
)
LIMITS = (
    "max_concurrent_requests",
    "queue_size",
    "queue_timeout_secs",
    "rate_limit_tokens_per_second",
    "priority_scheduler_enabled",
    "priority_scheduler_default_max_class",
    "priority_scheduler_config",
    "priority_scheduler_tenant_metric_top_n",
    "tenant_rate_limit_enabled",
    "tenant_rate_limit_config",
    "trust_tenant_header",
    "tenant_header_name",
)


def targets(gateway: Gateway) -> list[ReloadTarget]:
    """What a started gateway can take over, in the order it is done."""
    steps: Sequence[Callable[[Gateway, RouterConfig, RouterConfig], list[str]]] = (
        log_level,
        keys,
        forwarded_headers,
        origins,
        fleet,
        workers,
        retries,
        breakers,
        overload,
        limits,
        grace,
    )
    return [functools.partial(step, gateway) for step in steps]


def guard_of(config: RouterConfig, before: Authorization | None = None) -> Authorization | None:
    """Who asks for keys; the audit log of the one `before` goes on."""
    return Authorization.from_config(config, None if before is None else before.trail)


def forward_rules(config: RouterConfig, guard: Authorization | None) -> ForwardRules:
    """Which request headers workers see."""
    names = config.forward_request_headers
    if not config.trust_tenant_header:
        # What anybody may write is nothing for a worker to believe.
        names = tuple(name for name in names if name != config.tenant_header_name)
    return ForwardRules(
        names,
        consumes_credentials=guard is not None and guard.access.data_keys is not None,
    )


def log_level(gateway: Gateway, old: RouterConfig, new: RouterConfig) -> list[str]:
    """The level of our own loggers."""
    names = changed(old, new, ("log_level",))
    handle = gateway.log_handle
    if names and handle is not None:
        handle.set_level(new.log_level)
        if handle.filtered:
            log.info("--log-level has no effect: the environment has a filter")
    return names


def keys(gateway: Gateway, old: RouterConfig, new: RouterConfig) -> list[str]:
    """Who may do what; and the key that start-up workers are shown, which is the gateway's own."""
    names = changed(old, new, KEYS)
    if not names:
        return []
    if gateway.log_handle is not None:
        gateway.log_handle.redact(*new.secrets)
    config = replace(old, **{name: getattr(new, name) for name in names})
    guard = guard_of(config, gateway.guard)  # raises before anything is touched
    gateway.guard = guard
    gateway.server.authorize = None if guard is None else guard.authorize
    gateway.server_log.follow(None if guard is None else guard.trail)
    gateway.backend.forward = forward_rules(config, guard)
    gateway.policies.reconfigure(config)
    warn_if_open(guard, gateway.addresses)
    if old.api_key != new.api_key:
        _configure_fleet(gateway, config)
        gateway.workers.rekey(old.worker_urls, old.api_key)
    return names


def forwarded_headers(gateway: Gateway, old: RouterConfig, new: RouterConfig) -> list[str]:
    """Which further request headers workers see."""
    names = changed(old, new, ("forward_request_headers",))
    if names:
        gateway.backend.forward = forward_rules(new, gateway.guard)
    return names


def origins(gateway: Gateway, old: RouterConfig, new: RouterConfig) -> list[str]:
    """Whose web pages may read our answers."""
    names = changed(old, new, ("cors_allowed_origins",))
    if names:
        gateway.server.allow_origins(tuple(map(str.encode, new.cors_allowed_origins)))
    return names


def fleet(gateway: Gateway, old: RouterConfig, new: RouterConfig) -> list[str]:
    """How workers are checked, started and removed."""
    names = changed(old, new, FLEET)
    if names:
        _configure_fleet(gateway, new)
    return names


def workers(gateway: Gateway, old: RouterConfig, new: RouterConfig) -> list[str]:
    """Workers that are named: new ones are registered, others drained and removed, by the job
    queue. Workers that came by the API are left alone.
    """
    names = changed(old, new, ("worker_urls",))
    if names:
        before, after = canonical_urls(old.worker_urls), canonical_urls(new.worker_urls)
        gateway.workers.withdraw(url for url in before if url not in after)
        gateway.workers.start(url for url in after if url not in before)
    return names


def retries(gateway: Gateway, old: RouterConfig, new: RouterConfig) -> list[str]:
    """How failed attempts are repeated."""
    names = changed(old, new, RETRIES)
    if names:
        gateway.backend.retry = retry_settings(new)
    return names


def breakers(gateway: Gateway, old: RouterConfig, new: RouterConfig) -> list[str]:
    """Circuit breakers of workers that have no settings of their own."""
    names = changed(old, new, BREAKERS)
    if names:
        gateway.breakers.configure(breaker_settings(new))
    return names


def overload(gateway: Gateway, old: RouterConfig, new: RouterConfig) -> list[str]:
    """From what on a worker has too much."""
    names = changed(old, new, OVERLOAD)
    if names:
        gateway.overload.configure(overload_settings(new))
    return names


def check_files(gateway: Gateway, new: RouterConfig) -> list[str]:
    """Read the files of scheduler and tenant limits, on another thread; `limits` takes them over.
    ConfigError if one is wrong.
    """
    gateway.read_limit_files = files = read_files(new)
    return gateway.limit_files.differs(files)


def limits(gateway: Gateway, old: RouterConfig, new: RouterConfig) -> list[str]:
    """How many requests may run, of which class, and how much a tenant may have."""
    files = gateway.read_limit_files
    names = {*changed(old, new, LIMITS), *gateway.limit_files.differs(files)}
    if names:
        gateway.entrance.configure(new, files)
        gateway.entrance.rewire(gateway.server.table)
        gateway.limit_files = files
        gateway.backend.forward = forward_rules(new, gateway.guard)
    return sorted(names)


def grace(gateway: Gateway, old: RouterConfig, new: RouterConfig) -> list[str]:
    """How long a drain may take: read when it begins."""
    return changed(old, new, ("shutdown_grace_period_secs",))


def _configure_fleet(gateway: Gateway, config: RouterConfig) -> None:
    # Ranks that are registered already would not fit another way of registering them.
    settings = replace(FleetSettings.from_config(config), dp_aware=gateway.config.dp_aware)
    gateway.registration.configure(settings)
    gateway.workers.configure(settings)
    gateway.health.configure(settings)
