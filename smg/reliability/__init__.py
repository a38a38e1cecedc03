"""Decisions about failing workers and too many requests: circuit breaker, retries, admission.

No I/O, no timers, no tasks: callers say what happened and what time it is. How the pieces are put
to use: docs/develop/reliability.md.
"""

from __future__ import annotations

from smg.reliability.admission import Admission
from smg.reliability.breaker import CLOSED, HALF_OPEN, OPEN, STATE_NAMES, Breaker
from smg.reliability.budget import Budget
from smg.reliability.line import Arrival, Place, Preemptible
from smg.reliability.retry import Verdict, backoff, untried, verdict
from smg.reliability.retry_after import retry_after
from smg.reliability.settings import BreakerSettings, RetrySettings
from smg.reliability.token_bucket import TokenBucket
from smg.reliability.watch import BreakerWatch

__all__ = [
    "CLOSED",
    "HALF_OPEN",
    "OPEN",
    "STATE_NAMES",
    "Admission",
    "Arrival",
    "Breaker",
    "BreakerSettings",
    "BreakerWatch",
    "Budget",
    "Place",
    "Preemptible",
    "RetrySettings",
    "TokenBucket",
    "Verdict",
    "backoff",
    "retry_after",
    "untried",
    "verdict",
]
