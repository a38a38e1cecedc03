"""What an operator says about retries and circuit breakers: the router's flags, and what a worker's
spec changes of them.

Defaults are those of the flags. Numbers out of range raise ValueError when the object is made.
Rules: routing-reliability 16 and 17, cli 4.8, http-api 16.1 (`resilience`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from smg.workers.spec import ResilienceSpec

#: statuses that say "this attempt failed, another may do better"
RETRYABLE_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
#: of these: "full, but well"; retried, and no evidence for or against the worker
CAPACITY_STATUSES = frozenset({429})
_CLIENT_FAULTS_WORTH_RETRYING = frozenset({408, 429})

S = TypeVar("S", "BreakerSettings", "RetrySettings")


@dataclass(frozen=True)
class BreakerSettings:
    """Seconds and numbers of requests.

    `failing` are the statuses that count as failures (the capacity statuses among them do not),
    `capacity` those that count as nothing; every other status is a success, 4xx included: it is
    the client's fault.
    """

    failure_threshold: int = 10
    success_threshold: int = 3
    timeout: float = 60.0
    window: float = 120.0
    enabled: bool = True
    failing: frozenset[int] = RETRYABLE_STATUSES
    capacity: frozenset[int] = CAPACITY_STATUSES

    def __post_init__(self) -> None:
        if not self.enabled:
            return  # numbers of what is off are not looked at (cli 6, rule 25)
        _check(self.failure_threshold >= 1, "the breaker's failure threshold must be at least 1")
        _check(self.success_threshold >= 1, "the breaker's success threshold must be at least 1")
        _check(0 < self.timeout < math.inf, "the breaker's timeout must be above 0 s")
        _check(0 < self.window < math.inf, "the breaker's window must be above 0 s")

    def merged(self, spec: ResilienceSpec) -> BreakerSettings:
        """These settings with what a worker's spec says differently."""
        enabled = None if spec.disable_circuit_breaker is None else not spec.disable_circuit_breaker
        return _with(
            self,
            failure_threshold=spec.cb_failure_threshold,
            success_threshold=spec.cb_success_threshold,
            timeout=spec.cb_timeout_secs,
            window=spec.cb_window_secs,
            enabled=enabled,
            failing=_statuses(spec.retryable_status_codes),
            capacity=_statuses(spec.capacity_status_codes),
        )


@dataclass(frozen=True)
class RetrySettings:
    """`attempts` is the total, the first included. Back-offs in whole milliseconds, as the flags.

    `jitter` is the share by which a back-off may vary either way, 0 to 1. `retryable` and
    `capacity` are the statuses after which another attempt may be made.
    """

    attempts: int = 5
    initial_ms: int = 50
    max_ms: int = 30_000
    multiplier: float = 1.5
    jitter: float = 0.2
    retryable: frozenset[int] = RETRYABLE_STATUSES
    capacity: frozenset[int] = CAPACITY_STATUSES

    def __post_init__(self) -> None:
        _check(self.attempts >= 1, "there must be at least 1 attempt")
        _check(self.initial_ms >= 1, "the initial back-off must be above 0 ms")
        _check(self.max_ms >= self.initial_ms, "the longest back-off is below the initial one")
        _check(1 <= self.multiplier < math.inf, "the back-off multiplier must be at least 1")
        _check(0 <= self.jitter <= 1, "the jitter must be between 0 and 1")

    def merged(self, spec: ResilienceSpec) -> RetrySettings:
        """These settings with what a worker's spec says differently; `disable_retry` wins over
        `max_retries`.
        """
        return _with(
            self,
            attempts=1 if spec.disable_retry else spec.max_retries,
            initial_ms=spec.initial_backoff_ms,
            max_ms=spec.max_backoff_ms,
            multiplier=spec.backoff_multiplier,
            jitter=spec.jitter_factor,
            retryable=_statuses(spec.retryable_status_codes),
            capacity=_statuses(spec.capacity_status_codes),
        )

    def retries(self, status: int) -> bool:
        """Whether an attempt that ended in `status` may be repeated.

        A 4xx other than 408 and 429 never: the same request would fail the same way.
        """
        if 400 <= status < 500 and status not in _CLIENT_FAULTS_WORTH_RETRYING:
            return False
        return status in self.retryable or status in self.capacity


def _with(settings: S, **changes: Any) -> S:
    given = {name: value for name, value in changes.items() if value is not None}
    return replace(settings, **given) if given else settings


def _statuses(codes: tuple[int, ...] | None) -> frozenset[int] | None:
    return None if codes is None else frozenset(codes)


def _check(holds: bool, problem: str) -> None:
    if not holds:
        raise ValueError(problem)
