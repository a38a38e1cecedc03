"""The HTTP backend for prefill/decode pairs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from smg.backends.http.context import RelayContext, RelaySettings
from smg.backends.http.lane import Lane
from smg.backends.http.metered import MeteredRelay
from smg.backends.http.pd.dual import DualRelay
from smg.backends.http.pd.lanes import PairLane
from smg.backends.http.pd.sequential import SequentialRelay
from smg.backends.http.pd.series import PairBackendSeries, PairSeries
from smg.backends.http.pd.slots import PrefillSlots
from smg.backends.http.pd.slotted import slotted
from smg.core.deadlines import DeadlineQueue, Ticker
from smg.core.errors import GatewayError
from smg.protocols import CHECKERS, generate
from smg.workers.group import ModelGroup
from smg.workers.selection import model_not_found

if TYPE_CHECKING:
    from smg.backends.http.metered import Meter
    from smg.backends.http.pd.pair import PairRelay
    from smg.observability.families import GatewayMetrics
    from smg.server.exchange import Exchange
    from smg.workers import Worker

log = logging.getLogger(__name__)

#: seconds that a leg is kept, or read to its end, when nobody waits for it any more
KEPT_SECS = 30.0

#: endpoints whose engines have nothing to split
_WHOLE = ("embeddings", "classify")


class PairBackend(RelayContext):
    """Reaches pairs of workers. Arguments: `RelayContext`."""

    def __init__(
        self,
        *,
        ticker: Ticker,
        settings: RelaySettings,
        metrics: GatewayMetrics | None = None,
        **shared: Any,
    ) -> None:
        super().__init__(
            ticker=ticker,
            settings=settings,
            metrics=metrics,
            timed_out=lambda relay: relay.timed_out(),
            late=lambda leg: leg.first_byte_late(),
            **shared,
        )
        self._metrics = metrics
        if metrics is not None:
            self.series = PairBackendSeries(metrics)
        self._needs_model = settings.needs_model
        self._warned: WeakKeyDictionary[Worker, set[str]] = WeakKeyDictionary()
        #: of the prefill workers; None: they have no limit
        self.slots: PrefillSlots | None = None
        if settings.prefill_slots is not None:
            call_soon = asyncio.get_running_loop().call_soon
            self.slots = PrefillSlots(
                settings.prefill_slots, self.registry, ticker, call_soon, metrics
            )
        #: decode legs whose clients left (`KeptLeg`)
        self.kept = DeadlineQueue(ticker, KEPT_SECS, lambda leg: leg.close())
        #: prefill legs whose requests are over
        self.draining = DeadlineQueue(ticker, KEPT_SECS, lambda leg: leg.drop())

    def warn_once(self, worker: Worker, text: str) -> None:
        """Log what is wrong with a worker's set-up, not with every request."""
        known = self._warned.setdefault(worker, set())
        if text not in known:
            known.add(text)
            log.warning("prefill worker %s: %s", worker.url, text)

    def lane(self, model: str) -> Lane:
        """The workers of a model, by its id or an alias, and the policies that pick among them.
        Raises NotFoundError.
        """
        lane = self._lanes.get(model)
        if lane is None:
            lane = self._lanes[model] = self._make_lane(model)
        return lane

    def _make_lane(self, model: str) -> PairLane:
        canonical = self.registry.canonical(model)
        groups = [self.registry.group(canonical, role) for role in ("prefill", "decode")]
        if groups == [None, None]:
            raise model_not_found(model)
        prefills, decodes = (group or ModelGroup(canonical) for group in groups)
        prefill = Lane(prefills, self.policies.for_model(canonical, "prefill"), None)
        pairs = None
        if self._metrics is not None:
            runtime = prefills.workers[0].runtime if prefills.workers else "generic"
            pairs = PairSeries(self._metrics, canonical, runtime, prefill.policy.name)
        return PairLane(
            decodes,
            self.policies.for_model(canonical, "decode"),
            self.series,
            prefill=prefill,
            pairs=pairs,
            renames=canonical != model,
        )

    def route(
        self,
        endpoint: str,
        path: str,
        meter: Meter | None = None,
        wrap: Callable[[type[Any]], type[Any]] | None = None,
    ) -> Callable[[Exchange], None]:
        """The start function of an inference route; arguments as those of `HttpBackend`."""
        if endpoint in _WHOLE:
            return _not_split
        check = CHECKERS[endpoint]
        if self._needs_model and endpoint == "generate":
            check = generate.check_model
        label = "rerank" if endpoint == "v1_rerank" else endpoint
        dual: type[Any] = DualRelay
        sequential: type[Any] = SequentialRelay
        if self.slots is not None:
            dual, sequential = slotted(dual), slotted(sequential)
        metered = (_metered(dual), _metered(sequential))
        if wrap is not None:
            dual, sequential = wrap(dual), wrap(sequential)
            metered = (wrap(metered[0]), wrap(metered[1]))

        def start(exchange: Exchange) -> None:
            body = check(exchange.body, exchange.content_type)
            exchange.body = b""
            sequentially = self._sequential(body.model)
            if meter is not None:
                reservation = meter.begin(exchange, body, label)
                if reservation is not None:
                    kind = metered[sequentially]
                    kind(self, exchange, body, label, path, reservation).start()
                    return
            relay: PairRelay = (sequential if sequentially else dual)(
                self, exchange, body, label, path
            )
            relay.start()

        return start

    def _sequential(self, model: str) -> bool:
        try:
            lane = self.lane(model)
        except GatewayError:
            return False  # nobody serves it: the relay's start says and counts so
        return isinstance(lane, PairLane) and lane.sequential


def _metered(relay: type[PairRelay]) -> type[Any]:
    return type(f"Metered{relay.__name__}", (MeteredRelay, relay), {})


def _not_split(exchange: Exchange) -> None:
    raise GatewayError(
        f"{exchange.route.path} is not served while prefill and decode are split.",
        status=501,
        code="not_implemented",
    )
