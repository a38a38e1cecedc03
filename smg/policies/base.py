"""What a policy is, what it may look at, and what it is built from.

A policy decides without I/O and holds its state in itself. One instance serves one model (and one
leg of a prefill/decode pair). It is asked on the request path: no allocation that can be avoided,
no logging, and no work that grows with the fleet where an index can be prepared. Rules:
routing-reliability 3 and 4. Third-party policies get the same view (docs/guide/policies.md).
"""

from __future__ import annotations

import abc
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from smg._speedups.loads import TABLE, LoadTable
from smg.config.settings import RouterConfig
from smg.workers import UNKNOWN_MODEL, LoadReports

if TYPE_CHECKING:
    from typing_extensions import Self

    from smg.observability.families import GatewayMetrics
    from smg.workers import Worker


class RoutingView(Protocol):
    """The request as a policy sees it; everything costly is computed when asked for."""

    model: str
    headers: list[tuple[bytes, bytes]]
    #: a number that the policy notes in `select` and finds again in `first_byte` and `ended`; by
    #: then the prompt is gone
    ticket: int

    def text(self) -> str:
        """The prompt, flattened for routing; empty if there is none."""
        ...

    def tokens(self) -> Sequence[int] | None:
        """Token ids, if the request brings them."""
        ...

    def routing_key(self) -> bytes | None:
        """The value of the first usable routing-key header (1 to 128 bytes of UTF-8)."""
        ...

    def request_key(self) -> bytes | None:
        """The body's `rid` (of a batch the first), as UTF-8; None if it brings none."""
        ...


@dataclass(frozen=True)
class PolicyContext:
    """What a policy may build on. Everything has a default, so that tests need little.

    `leg` is `single`, `prefill` or `decode`. `reports` is shared by all policies and filled by the
    load monitor; `loads` has the requests in flight by `worker.slot`; `clock` gives seconds,
    monotonic.
    """

    config: RouterConfig = field(default_factory=RouterConfig)
    model: str = UNKNOWN_MODEL
    leg: str = "single"
    metrics: GatewayMetrics | None = None
    reports: LoadReports = field(default_factory=LoadReports)
    loads: LoadTable = TABLE
    random: random.Random = field(default_factory=random.Random)
    clock: Callable[[], float] = time.monotonic


class Policy(abc.ABC):
    """Picks one of the available workers.

    The class attributes tell callers what to prepare; they never test for a class.
    """

    name: str
    #: reads `view.text()`: prefill/decode extracts it only then
    needs_text: bool = False
    #: wants to hear through `ended` of the end of every request
    tracks_requests: bool = False
    #: wants to hear through `first_byte` when an answer begins
    tracks_first_byte: bool = False
    #: reads load reports: the load monitor polls while such a policy is in use
    needs_loads: bool = False

    #: why the last `select` decided as it did: the branch name of the policy's metric, or "" for
    #: policies without branches; and the matched share of the prompt, below 0 = does not apply
    reason: str = ""
    score: float = -1.0

    @classmethod
    def create(cls, context: PolicyContext) -> Self:
        """An instance with the operator's parameters."""
        return cls()

    @abc.abstractmethod
    def select(self, workers: Sequence[Worker], view: RoutingView) -> Worker | None:
        """One of `workers` (available, in registration order); None: nobody may serve this.

        The same tuple is passed until the fleet changes, so what is prepared from it may be kept
        by identity.
        """

    def first_byte(self, worker: Worker, view: RoutingView) -> None:  # noqa: B027
        """The first byte of the answer's body came from `worker`, or never will. Once per request
        that `select` gave to a worker, before `ended`.
        """

    def ended(self, worker: Worker, view: RoutingView) -> None:  # noqa: B027 - only trackers care
        """A request that `select` gave to `worker` is over, however it ended. Once per request."""

    def worker_added(self, worker: Worker) -> None:  # noqa: B027 - most policies keep nothing
        """A worker now serves the model, whatever its health. Called in registration order."""

    def worker_removed(self, worker: Worker) -> None:  # noqa: B027 - most policies keep nothing
        """Forget everything about a worker that no longer serves the model."""

    def reconfigure(self, config: RouterConfig) -> None:  # noqa: B027 - most read settings once
        """The gateway took over settings while it runs; `config` holds those now in force."""

    def tick(self) -> None:  # noqa: B027 - most policies have nothing to sweep
        """Called every `--eviction-interval` seconds: sweep what is stale, refresh gauges."""

    def close(self) -> None:  # noqa: B027 - most policies hold nothing outside themselves
        """The policy is not used any more (its last worker left): give back gauges and the like."""
