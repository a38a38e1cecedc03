"""The workers that may serve one model.

Everything that grows with the fleet is done here, when the fleet changes; a request reads one
prepared tuple. Rules: routing-reliability 2 and 12.4.
"""

from __future__ import annotations

from smg.workers.model import Worker
from smg.workers.selection import is_available


class ModelGroup:
    """All workers of one model, role and transport, in registration order.

    `available` are those that new requests may go to: of the available workers the ones with the
    highest priority. Both tuples are replaced, never mutated.
    """

    def __init__(self, model: str) -> None:
        self.model = model
        self.workers: tuple[Worker, ...] = ()
        self.available: tuple[Worker, ...] = ()

    def replace(self, workers: tuple[Worker, ...]) -> None:
        """Take over new members."""
        self.workers = workers
        self.refresh()

    def refresh(self) -> None:
        """Ask every member again whether it is available."""
        available = tuple(worker for worker in self.workers if is_available(worker))
        highest = max((worker.priority for worker in available), default=0)
        if any(worker.priority != highest for worker in available):
            available = tuple(worker for worker in available if worker.priority == highest)
        # Policies keep what they prepared from a tuple as long as they see the same one.
        if available != self.available:
            self.available = available
