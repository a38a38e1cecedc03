"""Flags: retries, circuit breakers and health checks (cli 4.8)."""

from __future__ import annotations

from functools import partial

from smg.config.flags.row import Flag
from smg.config.kinds import Float, Int, Kind, Seconds, Switch

retry = partial(Flag, group="Retries")
breaker = partial(Flag, group="Circuit Breaker")
health = partial(Flag, group="Health Checks")

FLAGS = (
    retry(name="retry-max-retries", kind=Int(1), default=5, help="Attempts in total."),
    retry(
        name="retry-initial-backoff-ms",
        kind=Int(1, label="MS"),
        default=50,
        help="Pause before the second attempt.",
    ),
    retry(
        name="retry-max-backoff-ms",
        kind=Int(1, label="MS"),
        default=30000,
        help="Longest pause between attempts.",
    ),
    retry(
        name="retry-backoff-multiplier",
        kind=Float(1),
        default=1.5,
        help="Growth of the pause from attempt to attempt.",
    ),
    retry(
        name="retry-jitter-factor",
        kind=Float(0, 1),
        default=0.2,
        help="Random share of the pause.",
    ),
    retry(name="disable-retries", kind=Switch(), default=False, help="One attempt per request."),
    breaker(
        name="cb-failure-threshold",
        kind=Int(1),
        default=10,
        help="Failures that open the breaker of a worker.",
    ),
    breaker(
        name="cb-success-threshold",
        kind=Int(1),
        default=3,
        help="Successes that close it again.",
    ),
    breaker(
        name="cb-timeout-duration-secs",
        kind=Seconds(1),
        default=60,
        help="Time an open breaker waits before a trial.",
    ),
    breaker(
        name="cb-window-duration-secs",
        kind=Seconds(1),
        default=120,
        help="Time over which failures are counted.",
    ),
    breaker(
        name="disable-circuit-breaker", kind=Switch(), default=False, help="No circuit breakers."
    ),
    health(
        name="health-failure-threshold",
        kind=Int(1),
        default=3,
        help="Failed checks in a row that make a worker unhealthy.",
    ),
    health(
        name="health-success-threshold",
        kind=Int(1),
        default=2,
        help="Good checks in a row that make it healthy again.",
    ),
    health(
        name="health-check-timeout-secs",
        kind=Seconds(1),
        default=5,
        help="Time a worker may take to answer a check or a start-up probe.",
    ),
    health(
        name="health-check-interval-secs",
        kind=Seconds(1),
        default=60,
        help="Time between two checks of a worker.",
    ),
    health(
        name="health-check-endpoint",
        kind=Kind("PATH"),
        default="/health",
        help="Path that is asked.",
    ),
    health(
        name="disable-health-check",
        kind=Switch(),
        default=False,
        help="Workers stay healthy once they have started; a worker's own setting wins.",
    ),
    health(
        name="remove-unhealthy-workers",
        aliases=("worker-auto-recovery",),
        kind=Switch(),
        default=False,
        help="Remove workers that become failed, instead of asking them for ever.",
    ),
    health(
        name="drain-settle-secs",
        kind=Seconds(),
        default=5,
        tag="beyond",
        help="Pause between draining and removing a worker; 0 removes at once.",
    ),
)
