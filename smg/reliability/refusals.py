"""What a client is told whose request was not let in, or was sent away. Codes: http-api 4.1."""

from __future__ import annotations

from smg.core.errors import GatewayError

PREEMPTED_AFTER_SECS = 1
SCHEDULER_AFTER_SECS = 2


def queue_full(retry_after: int, limit: int = 0, reset: int = 0) -> GatewayError:
    """The limit is reached and nobody may wait (any more). With a rate, `limit` is its burst and
    `reset` when the next permit comes, in seconds since 1970.
    """
    headers: tuple[tuple[bytes, bytes], ...] = ()
    if limit:
        headers = (
            (b"x-ratelimit-limit", b"%d" % limit),
            (b"x-ratelimit-remaining", b"0"),
            (b"x-ratelimit-reset", b"%d" % reset),
        )
    return GatewayError(
        "The gateway is at its limit of concurrent requests.",
        status=429,
        code="admission_queue_full",
        retry_after=retry_after,
        headers=headers,
    )


def queue_timeout(retry_after: int) -> GatewayError:
    """The request waited `--queue-timeout-secs` for a permit."""
    return GatewayError(
        "The request waited too long for its turn.",
        status=503,
        code="admission_queue_timeout",
        retry_after=retry_after,
    )


def scheduler_queue_full() -> GatewayError:
    """The queue of the request's class is full."""
    return GatewayError(
        "Too many requests of this priority are waiting.",
        status=429,
        code="scheduler_queue_full",
        retry_after=SCHEDULER_AFTER_SECS,
    )


def scheduler_queue_timeout() -> GatewayError:
    """The request waited as long as its class may."""
    return GatewayError(
        "The request waited too long for its turn.",
        status=503,
        code="scheduler_queue_timeout",
        retry_after=SCHEDULER_AFTER_SECS,
    )


def scheduler_preempted() -> GatewayError:
    """A request of a higher class needed the permit."""
    return GatewayError(
        "The request made way for one of higher priority.",
        status=503,
        code="scheduler_preempted",
        retry_after=PREEMPTED_AFTER_SECS,
        headers=((b"x-smg-preempted", b"true"),),
    )


def tenant_limit(retry_after: int) -> GatewayError:
    """The tenant's limit is used up; `retry_after` 0 if waiting would not help."""
    return GatewayError(
        "Tenant rate limit exceeded for this request",
        status=429,
        code="tenant_rate_limit_exceeded",
        retry_after=retry_after or None,
    )
