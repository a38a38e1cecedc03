"""The first available worker, for gateways that stand before exactly one.

With several workers it is a mistake, so it says so once and goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from smg.policies.base import Policy, RoutingView

if TYPE_CHECKING:
    from smg.workers import Worker

log = logging.getLogger(__name__)


class Passthrough(Policy):
    """Always the first worker."""

    name = "passthrough"

    def __init__(self) -> None:
        self._warned = False

    def select(self, workers: Sequence[Worker], view: RoutingView) -> Worker | None:
        """The first worker."""
        if not workers:
            return None
        if len(workers) > 1 and not self._warned:
            self._warned = True
            log.warning(
                "policy passthrough uses only the first of %d workers of model %s",
                len(workers),
                view.model,
            )
        return workers[0]
