"""Flags: retries, circuit breakers and health checks (cli 4.8)."""

from __future__ import annotations

from functools import partial

from smg.config.flags.row import Flag
from smg.config.kinds import Float, Int, Kind, Seconds, Switch

retry = partial(Flag, group="Retries", feature="retries")
breaker = partial(Flag, group="Circuit Breaker", feature="circuit breakers")
health = partial(Flag, group="Health Checks")
check = partial(health, idle_with="disable-health-check")

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
    # Accepted today because it already holds: this release makes one attempt.
    retry(
        name="disable-retries",
        kind=Switch(),
        default=False,
        feature="",
        help="One attempt per request (always so in this release).",
    ),
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
    # Accepted today because it already holds: this release has no breakers.
    breaker(
        name="disable-circuit-breaker",
        kind=Switch(),
        default=False,
        feature="",
        help="No circuit breakers (always so in this release).",
    ),
    check(
        name="health-failure-threshold",
        kind=Int(1),
        default=3,
        help="Failed checks in a row that make a worker unhealthy.",
    ),
    check(
        name="health-success-threshold",
        kind=Int(1),
        default=2,
        help="Good checks in a row that make it healthy again.",
    ),
    # Not idle without health checks: start-up probes use it as well.
    health(
        name="health-check-timeout-secs",
        kind=Seconds(1),
        default=5,
        help="Time a worker may take to answer a check or a start-up probe.",
    ),
    check(
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
        help="Workers stay healthy once they have started.",
    ),
    check(
        name="remove-unhealthy-workers",
        aliases=("worker-auto-recovery",),
        kind=Switch(),
        default=False,
        feature="worker API",
        help="Remove workers that stay unhealthy.",
    ),
    health(
        name="drain-settle-secs",
        kind=Seconds(),
        default=5,
        tag="beyond",
        feature="worker API",
        help="Pause between draining and removing a worker; 0 removes at once.",
    ),
)
