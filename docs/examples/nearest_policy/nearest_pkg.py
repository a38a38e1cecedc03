"""Keeps a request in the zone it comes from, unless that zone is too busy."""

from __future__ import annotations

from collections.abc import Sequence

from smg.policies import Policy, PolicyContext, RoutingView
from smg.workers import Worker

SHORT = 64  # characters: so little to read that any worker will do


class Nearest(Policy):
    """Clients name their zone in the header X-Zone, workers in the label `zone`."""

    name = "nearest"
    needs_text = True

    def __init__(self, slack: int) -> None:
        self._slack = slack

    @classmethod
    def create(cls, context: PolicyContext) -> Nearest:
        """With the operator's --balance-abs-threshold."""
        return cls(context.config.balance_abs_threshold)

    def select(self, workers: Sequence[Worker], view: RoutingView) -> Worker | None:
        """The least loaded of the zone; of all for short prompts and for zones unknown or full."""
        if not workers:
            return None
        idlest = min(workers, key=load)
        zone = next((value for name, value in view.headers if name == b"x-zone"), b"")
        near = [worker for worker in workers if zone_of(worker) == zone.decode("latin-1")]
        if not near or len(view.text()) < SHORT:
            self.reason = "anywhere"
            return idlest
        nearest = min(near, key=load)
        if load(nearest) > load(idlest) + self._slack:
            self.reason = "spill"
            return idlest
        self.reason = "near"
        return nearest


def load(worker: Worker) -> float:
    """Requests in flight, weighted."""
    return worker.load * worker.cost


def zone_of(worker: Worker) -> str:
    """The worker's label, else the first part of its host name."""
    return worker.labels.get("zone") or worker.host.partition(".")[0]
