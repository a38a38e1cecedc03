"""Statuses, codes and headers of http-api 4.1, as they go out."""

from __future__ import annotations

import pytest

from smg.reliability import refusals
from smg.wire.errors import error_headers


@pytest.mark.parametrize(
    ("error", "status", "code", "retry_after"),
    [
        (refusals.queue_full(2), 429, "admission_queue_full", 2),
        (refusals.queue_timeout(2), 503, "admission_queue_timeout", 2),
        (refusals.scheduler_queue_full(), 429, "scheduler_queue_full", 2),
        (refusals.scheduler_queue_timeout(), 503, "scheduler_queue_timeout", 2),
        (refusals.scheduler_preempted(), 503, "scheduler_preempted", 1),
        (refusals.tenant_limit(7), 429, "tenant_rate_limit_exceeded", 7),
        (refusals.tenant_limit(0), 429, "tenant_rate_limit_exceeded", None),
    ],
)
def test_refusals(error, status, code, retry_after):
    assert (error.status, error.code, error.retry_after) == (status, code, retry_after)
    assert error.type == ("rate_limit_error" if status == 429 else "server_error")
    assert not error.retryable  # the gateway does not retry what it refused itself


def test_preemption_is_marked():
    assert (b"x-smg-preempted", b"true") in error_headers(refusals.scheduler_preempted())


def test_rate_limit_headers_with_a_rate_only():
    assert len(error_headers(refusals.queue_full(2))) == 2
    headers = dict(error_headers(refusals.queue_full(2, limit=50, reset=1_700_000_000)))
    assert headers[b"x-ratelimit-limit"] == b"50"
    assert headers[b"x-ratelimit-remaining"] == b"0"
    assert headers[b"x-ratelimit-reset"] == b"1700000000"
