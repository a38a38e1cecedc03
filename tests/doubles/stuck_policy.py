"""A policy that holds the whole event loop up: what faulty code of others does in production.

`GatewayProcess("launch", "--policy", STUCK, env={VARIABLE: path})`; a request with the header
`x-smg-routing-key: stick` keeps the loop busy for as long as the file `path` exists.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from smg.policies.base import Policy, RoutingView

if TYPE_CHECKING:
    from smg.workers import Worker

STUCK = "tests.doubles.stuck_policy:Stuck"
VARIABLE = "SMG_TEST_STUCK"
STICK = {"x-smg-routing-key": "stick"}
MOST_SECS = 60.0


class Stuck(Policy):
    """Always the first worker."""

    name = "stuck"

    def select(self, workers: Sequence[Worker], view: RoutingView) -> Worker | None:
        """The first, sooner or later."""
        if view.routing_key() == b"stick":
            wait_until_gone(os.environ[VARIABLE])
        return workers[0] if workers else None


def wait_until_gone(path: str) -> None:
    """Without giving anybody else a turn."""
    end = time.monotonic() + MOST_SECS
    while os.path.exists(path) and time.monotonic() < end:
        pass
