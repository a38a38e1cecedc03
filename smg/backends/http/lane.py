"""One model's way through the gateway: its workers, its policy and its metric children.

Made when a model is first used and thrown away when the fleet changes, so that a request does one
dictionary look-up for all of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smg.reliability.breaker import NEVER

if TYPE_CHECKING:
    from smg.backends.http.series import BackendSeries, RelaySeries
    from smg.policies.base import Policy
    from smg.workers import Worker
    from smg.workers.group import ModelGroup


class Lane:
    """See the module. `renames`: the requests come under an alias, and go out under the model's
    own name.
    """

    def __init__(
        self,
        group: ModelGroup,
        policy: Policy,
        all_series: BackendSeries | None,
        *,
        renames: bool = False,
    ) -> None:
        self.group = group
        self.policy = policy
        self.renames = renames
        #: whether the policy wants to hear of a request after its choice
        self.follows = policy.tracks_requests or policy.tracks_first_byte
        self.follows_first_byte = policy.tracks_first_byte
        self._all_series = all_series
        #: by endpoint: RelaySeries of plain and of streamed answers
        self._plain: dict[str, RelaySeries] = {}
        self._streamed: dict[str, RelaySeries] = {}

    def available_at(self) -> float:
        """When the first worker may become available, in seconds of `perf_counter`: 0 if one is, or
        may be at any moment; infinite if nothing is known to bring one back.
        """
        if self.group.available:
            return 0.0
        earliest = NEVER
        for worker in self.group.workers:
            breaker = worker.breaker
            if breaker is not None and worker.is_healthy and not worker.overloaded:
                earliest = min(earliest, breaker.retry_at)
        return earliest

    def has_others(self, tried: tuple[Worker, ...]) -> bool:
        """Whether a worker is available that is none of `tried`."""
        return any(worker not in tried for worker in self.group.available)

    def series(self, endpoint: str, stream: bool) -> RelaySeries | None:
        """The metric children of one kind of request; None if nothing is counted."""
        known = self._streamed if stream else self._plain
        series = known.get(endpoint)
        if series is None and self._all_series is not None:
            series = self._all_series.relay(self.group.model, endpoint, stream, self.policy.name)
            known[endpoint] = series
        return series
