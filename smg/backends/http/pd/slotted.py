"""Requests to pairs while prefill workers have a limited number of slots.

Stands before the plain kinds of relay, as `metered.py` does: gateways without the limit know
nothing of it. A request that finds no slot waits in the row (`slots.py`) with nothing in its hands:
no worker, no load, no breaker's trial. Each further attempt takes a slot of its own.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from smg.backends.http.pd.leg import PrefillLeg
from smg.backends.http.pd.pair import PairRelay
from smg.core.errors import GatewayError, InternalError

if TYPE_CHECKING:
    from smg.backends.http.lane import Lane
    from smg.backends.http.pd.backend import PairBackend
    from smg.backends.http.pd.lanes import PairLane
    from smg.backends.http.pd.leg import Request
    from smg.backends.http.pd.slots import PrefillSlots
    from smg.core.errors import UpstreamError
    from smg.protocols.body import CheckedBody
    from smg.reliability.line import Place
    from smg.server.exchange import Exchange
    from smg.workers.model import Worker

log = logging.getLogger("smg.backends.http.relay")


def slotted(relay: type[PairRelay]) -> type[Any]:
    """A kind of relay whose requests take slots."""
    return type(f"Slotted{relay.__name__}", (SlottedRelay, relay), {})


class SlottedLeg(PrefillLeg):
    """A prefill leg that holds a slot of its worker from the choice until it is over: a leg that
    only drains what nobody waits for still keeps its worker busy.
    """

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self._slots = _slots_of(request.backend)
        self._holds_slot = False

    def take(self, lane: Lane, workers: tuple[Worker, ...]) -> bool:
        """Let the policy choose, and take a slot of the worker."""
        if not super().take(lane, workers):
            return False
        self._slots.take(self.worker)
        self._holds_slot = True
        return True

    # The three ways in which a leg is over. The slot goes first: what follows may fail.

    def upstream_done(self, tail: bytes) -> None:
        """The answer is complete."""
        self._give_back()
        super().upstream_done(tail)

    def _lost(self, error: UpstreamError) -> None:
        self._give_back()
        super()._lost(error)

    def drop(self) -> None:
        """Close at once."""
        self._give_back()
        super().drop()

    def _give_back(self) -> None:
        if self._holds_slot:
            self._holds_slot = False
            self._slots.give_back(self.worker)


class SlottedRelay(PairRelay):
    """See the module; made by `slotted`."""

    leg_type = SlottedLeg

    def __init__(
        self,
        backend: PairBackend,
        exchange: Exchange,
        body: CheckedBody,
        endpoint: str,
        path: str,
        *more: Any,
    ) -> None:
        super().__init__(backend, exchange, body, endpoint, path, *more)
        self._slots = _slots_of(backend)
        self._place: Place | None = None  # in the row
        self._at_head = False  # of it: nobody who waits was here before

    # -- choosing ---------------------------------------------------------------------------------

    def _prefills(self, lane: PairLane) -> tuple[Worker, ...]:
        if self._slots.waiting and not self._at_head:
            return ()
        return self._slots.roomy(super()._prefills(lane))

    def _is_crowded(self, lane: Lane) -> bool:
        """Whether it is only for a slot that no pair can be chosen."""
        if not lane.group.available or not self._wants_prefill():
            return False
        pairs: PairLane = lane  # type: ignore[assignment]  # all lanes of a PairBackend are
        return bool(super()._prefills(pairs)) and not self._prefills(pairs)

    def _may_come_back(self, lane: Lane) -> bool:
        if self._is_crowded(lane):
            return self._slots.may_wait
        return super()._may_come_back(lane)

    def _nobody_yet(self, lane: Lane) -> None:
        if self._is_crowded(lane):
            self._place = self._slots.join(self)
        else:
            super()._nobody_yet(lane)

    def _attempt(self, lane: Lane, workers: tuple[Worker, ...]) -> bool:
        """Send the request once more, or wait for a slot to do so."""
        if super()._attempt(lane, workers):
            return True
        if not self._is_crowded(lane):
            return False
        if self._slots.may_wait:
            self._place = self._slots.join(self)
        else:
            self._fail(self._slots.refuse())
        return True

    def _nobody(self, lane: Lane) -> GatewayError:
        if self._is_crowded(lane):
            return self._slots.refuse()
        if self._at_head:
            self._slots.hopeless()
        return super()._nobody(lane)

    # -- waiting ----------------------------------------------------------------------------------

    def may_go(self) -> bool:
        """Whether there is a slot, or nobody left to wait for."""
        try:
            lane = self.backend.lane(self.model)
        except GatewayError:
            return True
        self._at_head = True
        try:
            return not self._is_crowded(lane)
        finally:
            self._at_head = False

    def go(self) -> None:
        """Choose and send."""
        self._place = None
        self._at_head = True
        try:
            self._next_attempt()
        except Exception as error:  # no caller above us would answer the client
            path, extra = self.exchange.route.path, self.exchange.log_extra()
            log.exception("handler of %s failed", path, extra=extra)
            self._fail(InternalError(error))
        finally:
            self._at_head = False

    def waited_too_long(self, error: GatewayError) -> None:
        """Tell the client."""
        self._place = None
        self._fail(error)

    def _end(self, evidence: int) -> None:
        place, self._place = self._place, None
        if place is not None:
            self._slots.leave(place)
        super()._end(evidence)


def _slots_of(backend: PairBackend) -> PrefillSlots:
    assert backend.slots is not None
    return backend.slots
