"""A model's way through the gateway when prefill and decode are different workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smg.backends.http.lane import Lane

if TYPE_CHECKING:
    from smg.backends.http.pd.series import PairSeries
    from smg.backends.http.series import BackendSeries
    from smg.policies.base import Policy
    from smg.workers import Worker
    from smg.workers.group import ModelGroup

#: engines whose prefill answers before decode is asked
SEQUENTIAL = "vllm"


class PairLane(Lane):
    """The decode workers of a model, and with `prefill` a lane of their own for the prefill
    workers.

    `sequential`: the flow of the model's pairs, by the engine of its first prefill worker. Workers
    of engines that go the other way are not chosen: their KV cache would be of no use to decode.
    """

    def __init__(
        self,
        group: ModelGroup,
        policy: Policy,
        all_series: BackendSeries | None,
        *,
        prefill: Lane,
        pairs: PairSeries | None,
        renames: bool = False,
    ) -> None:
        super().__init__(group, policy, all_series, renames=renames)
        self.prefill = prefill
        self.pairs = pairs
        flows = [worker.runtime == SEQUENTIAL for worker in prefill.group.workers]
        self.sequential = bool(flows) and flows[0]
        self._mixed = len(set(flows)) > 1

    def prefills(self) -> tuple[Worker, ...]:
        """Prefill workers that new requests may go to."""
        available = self.prefill.group.available
        if self._mixed:
            available = tuple(
                worker for worker in available if (worker.runtime == SEQUENTIAL) is self.sequential
            )
        return available

    def available_at(self) -> float:
        """When the first pair may become available."""
        return max(super().available_at(), self.prefill.available_at())

    def has_others(self, tried: tuple[Worker, ...]) -> bool:
        """Whether a pair is available without any of `tried`."""
        return super().has_others(tried) and any(worker not in tried for worker in self.prefills())
