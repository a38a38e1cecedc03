"""Whether a worker's own report says that it has too much. Rules: routing-reliability 22.

A report that does not come, or does not say, clears the flag: without fresh data nobody is kept
from working.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smg.workers.spec import OverloadSpec


@dataclass(frozen=True)
class OverloadSettings:
    """From `waiting_requests` (at least 1) or `token_usage` (above 0, up to 1) on, a worker is
    overloaded; None is no limit. ValueError for numbers out of range.
    """

    waiting_requests: int | None = None
    token_usage: float | None = None

    def __post_init__(self) -> None:
        if self.waiting_requests is not None and self.waiting_requests < 1:
            raise ValueError("overload: waiting requests must be at least 1")
        if self.token_usage is not None and not 0 < self.token_usage <= 1:
            raise ValueError("overload: token usage must be above 0 and at most 1")

    def merged(self, spec: OverloadSpec) -> OverloadSettings:
        """These settings with what a worker's spec says differently."""
        waiting, usage = spec.waiting_requests, spec.token_usage
        return OverloadSettings(
            self.waiting_requests if waiting is None else waiting,
            self.token_usage if usage is None else usage,
        )

    def overloaded(self, waiting: float | None, usage: float | None) -> bool:
        """Judge a report: requests waiting in the engine, share of its KV memory in use; None is
        unknown.
        """
        return _reaches(waiting, self.waiting_requests) or _reaches(usage, self.token_usage)


def _reaches(value: float | None, limit: float | None) -> bool:
    return value is not None and limit is not None and value >= limit
