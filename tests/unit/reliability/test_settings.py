"""Defaults are those of the flags, a worker's spec changes some, nonsense is refused."""

from __future__ import annotations

import pytest

from smg.config.flags import reliability
from smg.reliability import BreakerSettings, RetrySettings
from smg.workers.spec import ResilienceSpec

FLAGS = {flag.name: flag.default for flag in reliability.FLAGS}


def test_one_set_of_defaults():
    """Trap 21: a configuration object with other defaults than the command line."""
    retry, breaker = RetrySettings(), BreakerSettings()
    assert (retry.attempts, retry.initial_ms, retry.max_ms) == (
        FLAGS["retry-max-retries"],
        FLAGS["retry-initial-backoff-ms"],
        FLAGS["retry-max-backoff-ms"],
    )
    assert retry.multiplier == FLAGS["retry-backoff-multiplier"]
    assert retry.jitter == FLAGS["retry-jitter-factor"]
    assert breaker.failure_threshold == FLAGS["cb-failure-threshold"]
    assert breaker.success_threshold == FLAGS["cb-success-threshold"]
    assert breaker.timeout == FLAGS["cb-timeout-duration-secs"]
    assert breaker.window == FLAGS["cb-window-duration-secs"]


def test_default_numbers():
    retry, breaker = RetrySettings(), BreakerSettings()
    assert (retry.attempts, retry.initial_ms, retry.max_ms) == (5, 50, 30_000)
    assert (retry.multiplier, retry.jitter) == (1.5, 0.2)
    assert (breaker.failure_threshold, breaker.success_threshold) == (10, 3)
    assert (breaker.timeout, breaker.window, breaker.enabled) == (60, 120, True)
    assert retry.retryable == breaker.failing == {408, 429, 500, 502, 503, 504}
    assert retry.capacity == breaker.capacity == {429}


def test_a_spec_without_a_word_changes_nothing():
    retry, breaker = RetrySettings(), BreakerSettings()
    assert retry.merged(ResilienceSpec()) is retry
    assert breaker.merged(ResilienceSpec()) is breaker


def test_a_spec_changes_what_it_names():
    spec = ResilienceSpec(
        max_retries=3,
        initial_backoff_ms=10,
        max_backoff_ms=20,
        backoff_multiplier=2.0,
        jitter_factor=0.0,
        cb_failure_threshold=4,
        cb_success_threshold=1,
        cb_timeout_secs=5.0,
        cb_window_secs=6.0,
        retryable_status_codes=(500, 529),
        capacity_status_codes=(529,),
    )
    assert RetrySettings().merged(spec) == RetrySettings(
        3, 10, 20, 2.0, 0.0, frozenset({500, 529}), frozenset({529})
    )
    assert BreakerSettings().merged(spec) == BreakerSettings(
        4, 1, 5.0, 6.0, True, frozenset({500, 529}), frozenset({529})
    )
    part = RetrySettings(attempts=7).merged(ResilienceSpec(jitter_factor=0.0))
    assert part == RetrySettings(attempts=7, jitter=0.0)


@pytest.mark.parametrize(
    ("router", "spec", "attempts"),
    [
        (5, ResilienceSpec(disable_retry=True), 1),
        (5, ResilienceSpec(disable_retry=True, max_retries=4), 1),
        (5, ResilienceSpec(disable_retry=False), 5),
        (1, ResilienceSpec(max_retries=4), 4),
    ],
)
def test_disable_retry(router, spec, attempts):
    assert RetrySettings(attempts=router).merged(spec).attempts == attempts


@pytest.mark.parametrize("router", [True, False])
@pytest.mark.parametrize("disabled", [None, True, False])
def test_disable_circuit_breaker(router, disabled):
    merged = BreakerSettings(enabled=router).merged(
        ResilienceSpec(disable_circuit_breaker=disabled)
    )
    assert merged.enabled is (router if disabled is None else not disabled)


@pytest.mark.parametrize(
    "wrong",
    [
        {"failure_threshold": 0},
        {"success_threshold": 0},
        {"timeout": 0},
        {"timeout": float("inf")},
        {"window": 0},
        {"window": float("nan")},
    ],
)
def test_breaker_numbers_out_of_range(wrong):
    with pytest.raises(ValueError, match="breaker"):
        BreakerSettings(**wrong)
    BreakerSettings(enabled=False, **wrong)  # --cb-failure-threshold 0 --disable-circuit-breaker


@pytest.mark.parametrize(
    "wrong",
    [
        {"attempts": 0},
        {"initial_ms": 0},
        {"initial_ms": 100, "max_ms": 99},
        {"multiplier": 0.9},
        {"multiplier": float("inf")},
        {"jitter": -0.1},
        {"jitter": 1.1},
    ],
)
def test_retry_numbers_out_of_range(wrong):
    with pytest.raises(ValueError, match=r"attempt|back-off|jitter"):
        RetrySettings(**wrong)


@pytest.mark.parametrize(
    ("status", "again"),
    [(status, True) for status in (408, 429, 500, 502, 503, 504)]
    + [(status, False) for status in (200, 201, 304, 400, 401, 403, 404, 413, 422, 499, 501, 505)],
)
def test_which_statuses_are_retried(status, again):
    assert RetrySettings().retries(status) is again


def test_a_clients_fault_is_not_retried_even_if_named():
    settings = RetrySettings(retryable=frozenset({400, 409, 500}), capacity=frozenset({420, 529}))
    assert [code for code in (400, 409, 420, 500, 529) if settings.retries(code)] == [500, 529]
