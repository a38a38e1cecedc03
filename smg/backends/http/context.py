"""What all relays of one backend share and read on every request."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from smg.backends.http.gather import Gather
from smg.backends.http.lane import Lane
from smg.backends.http.series import BackendSeries
from smg.backends.http.watch import StreamWatch
from smg.core.deadlines import DeadlineQueue, Ticker
from smg.reliability.budget import Budget
from smg.reliability.settings import RetrySettings
from smg.workers.selection import model_not_found

if TYPE_CHECKING:
    from smg.backends.http.headers import ForwardRules
    from smg.backends.http.pd.slots import SlotSettings
    from smg.observability.families import GatewayMetrics
    from smg.policies.registry import PolicyRegistry
    from smg.upstream.client import HttpClient
    from smg.workers import Worker, WorkerEvent, WorkerRegistry

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RelaySettings:
    """Durations in seconds; 0 = off."""

    request_timeout: float = 1800
    first_byte_timeout: float = 0
    idle_timeout: int = 0
    sse_keepalive: int = 15
    #: headers that may carry the routing key, lower-case, in order
    key_headers: tuple[bytes, ...] = (b"x-smg-routing-key",)
    #: tell clients why a worker was chosen
    explain: bool = False
    #: how failed attempts are repeated; None: they are not
    retry: RetrySettings | None = None
    #: when a client had better come back whose request nobody takes because of overload
    shed_retry_after: int = 10
    #: refuse requests that name no model where a model may be left out
    needs_model: bool = False
    #: how many requests a prefill worker may hold; None: any number
    prefill_slots: SlotSettings | None = None


class RelayContext:
    """See the module. `timed_out(relay)` is called when a relay's time is over, `late(relay)` when
    its worker did not begin to answer in time.
    """

    def __init__(
        self,
        *,
        registry: WorkerRegistry,
        policies: PolicyRegistry,
        client: HttpClient,
        ticker: Ticker,
        settings: RelaySettings,
        forward: ForwardRules,
        timed_out: Callable[[Any], None],
        late: Callable[[Any], None],
        metrics: GatewayMetrics | None = None,
        worker_failed: Callable[[Worker], None] = lambda worker: None,
    ) -> None:
        self.registry = registry
        self.policies = policies
        self.client = client
        self.forward = forward
        self.key_headers = settings.key_headers
        self.explain = settings.explain
        #: whether anybody is interested in why a worker was chosen
        self.notes_decisions = False
        self.log_level_changed()
        self.series = BackendSeries(metrics) if metrics is not None else None
        #: told when a worker could not be used, so that its next probe comes sooner
        self.worker_failed = worker_failed
        self.deadlines = DeadlineQueue(ticker, settings.request_timeout, timed_out)
        self.first_byte = DeadlineQueue(ticker, settings.first_byte_timeout, late)
        #: how failed attempts are repeated; None: they are not
        self.retry = settings.retry
        self.shed_retry_after = settings.shed_retry_after
        #: of all retries, so that an outage is not multiplied
        self.budget = Budget()
        self.gather = Gather()
        self.watch = StreamWatch(ticker, settings.sse_keepalive, settings.idle_timeout)
        #: by the name that clients say, a model or an alias; emptied whenever the fleet changes
        self._lanes: dict[str, Lane] = {}
        self.close = registry.subscribe(self._fleet_changed)

    def lane(self, model: str) -> Lane:
        """The workers of a model, by its id or an alias, and the policy that picks among them.
        Raises NotFoundError.
        """
        lane = self._lanes.get(model)
        if lane is None:
            canonical = self.registry.canonical(model)
            group = self.registry.group(canonical)
            if group is None:
                raise model_not_found(model)  # and nothing is kept: such names are without number
            policy = self.policies.for_model(canonical)
            lane = Lane(group, policy, self.series, renames=canonical != model)
            self._lanes[model] = lane
        return lane

    def log_level_changed(self) -> None:
        """Look whether decisions are logged now."""
        self.notes_decisions = self.explain or log.isEnabledFor(logging.DEBUG)

    def _fleet_changed(self, event: WorkerEvent) -> None:
        if event.kind != "status":
            self._lanes.clear()
