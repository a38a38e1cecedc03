"""The concurrency limit before the inference routes: who may start now, who waits, who is refused.

Absent while `--max-concurrent-requests` is off; `priority.py` takes its place when requests are
admitted by class, and shares `Waiting`. A permit is held until the last byte of the answer,
or until the client is gone. A waiting request is one small object on its connection; its client's
leaving is noticed like any other. Rules: routing-reliability 19.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Protocol

from smg.core.errors import GatewayError, InternalError
from smg.reliability.admission import Admission
from smg.reliability.refusals import queue_full, queue_timeout

if TYPE_CHECKING:
    from smg.core.deadlines import Ticker
    from smg.observability.families import GatewayMetrics
    from smg.reliability.line import Place
    from smg.server.exchange import Exchange, Permit

log = logging.getLogger(__name__)

Start = Callable[["Exchange"], None]

#: permits that nobody can use up
NO_LIMIT = 1 << 30


class Gate:
    """See the module. One for all routes that share the limit."""

    def __init__(
        self,
        admission: Admission,
        ticker: Ticker,
        metrics: GatewayMetrics,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self._admission = admission
        self._ticker = ticker
        self._clock = clock
        self._admitting = False
        self._metrics = metrics
        self._allowed = metrics.http_rate_limit.labels("allowed")
        self._rejected = metrics.http_rate_limit.labels("rejected")
        self._full = metrics.admission_queue_rejected.labels("full")
        self._timeout = metrics.admission_queue_rejected.labels("timeout")
        metrics.admission_queue_depth.track((), lambda: float(admission.waiting))
        metrics.admission_inflight.track((), lambda: float(admission.inflight))
        ticker.subscribe(self._tick)

    def close(self) -> None:
        """Nobody is admitted any more by time."""
        self._ticker.unsubscribe(self._tick)
        self._metrics.admission_queue_depth.remove()
        self._metrics.admission_inflight.remove()

    def configure(self, limit: int, queue_size: int, queue_timeout: float, rate: float) -> None:
        """Other settings while requests run and wait; see `Admission`."""
        self._admission.configure(limit, queue_size, queue_timeout, rate, self._clock())
        self._admit()

    def abolish(self) -> None:
        """There is no limit any more: whoever waits may start, and nobody comes here again."""
        self.configure(NO_LIMIT, 0, 0, 0)
        self.close()

    def before(self, start: Start) -> Start:
        """`start`, once the request has its permit."""

        def admitted(exchange: Exchange) -> None:
            self.enter(exchange, start)

        return admitted

    def enter(self, exchange: Exchange, start: Start) -> None:
        """Start the request, now or when its turn comes. Raises GatewayError if neither."""
        if self._admission.enter(exchange.started):
            self._allowed.inc()
            exchange.permit = self
            start(exchange)
        else:
            self._wait(exchange, start)

    def leave(self) -> None:
        """A permit comes back; called by the exchange at its end."""
        if self._admission.leave():
            self._admit()

    def _wait(self, exchange: Exchange, start: Start) -> None:
        now = self._clock()
        parked = Parked(self, exchange, start)
        place = self._admission.park(parked, now)
        if place is None:
            self._rejected.inc()
            if self._admission.queue_size:
                self._full.inc()
            raise self._refusal(now)
        parked.place = place
        exchange.consumer = parked

    def too_late(self) -> GatewayError:
        """What a request is told that waited too long."""
        return queue_timeout(self._admission.retry_after())

    def _refusal(self, now: float) -> GatewayError:
        admission = self._admission
        after = admission.retry_after()
        if not admission.rate:
            return queue_full(after)
        reset = int(time.time() + admission.next_permit_in(now)) + 1
        return queue_full(after, admission.limit, reset)

    def forget(self, place: Place) -> None:
        """The client of a waiting request left."""
        self._admission.forget(place)

    def _admit(self) -> None:
        if self._admitting:
            return  # a request that ended at once; the loop below goes on
        self._admitting = True
        try:
            while (place := self._admission.admit(self._clock())) is not None:
                self._allowed.inc()
                place.target.admitted()
        finally:
            self._admitting = False

    def _tick(self, now: float) -> None:
        self._admit()
        while (place := self._admission.expire(self._clock())) is not None:
            self._rejected.inc()
            self._timeout.inc()
            place.target.expired()


class Queue(Protocol):
    """Where a request waits."""

    def forget(self, place: Place) -> None:
        """The client of a waiting request left."""

    def too_late(self) -> GatewayError:
        """What a request is told that waited too long."""
        ...


class Waiting:
    """A request that waits for its permit; the exchange's consumer meanwhile."""

    __slots__ = ("_exchange", "_queue", "_start", "place")

    def __init__(self, queue: Queue, exchange: Exchange, start: Start) -> None:
        self._queue = queue
        self._exchange = exchange
        self._start = start
        self.place: Place | None = None

    def _begin(self, permit: Permit) -> None:
        """Its turn."""
        exchange = self._exchange
        exchange.waited = perf_counter() - exchange.started
        exchange.permit = permit
        exchange.consumer = None
        try:
            self._start(exchange)
        except GatewayError as error:
            exchange.fail(error)
        except Exception as error:
            path, extra = exchange.route.path, exchange.log_extra()
            log.exception("handler of %s failed", path, extra=extra)
            exchange.fail(InternalError(error))

    def expired(self) -> None:
        """It waited too long."""
        self._exchange.consumer = None
        self._exchange.fail(self._queue.too_late())

    def client_gone(self) -> None:
        """Nobody waits any more."""
        if self.place is not None:
            self._queue.forget(self.place)

    def pause(self) -> None:
        """Nothing is produced yet."""

    def resume(self) -> None:
        """Nothing is produced yet."""

    def shut_down(self) -> None:
        """The drain deadline is over."""
        self.client_gone()
        error = GatewayError("The gateway is shutting down.", status=503, code="gateway_shutdown")
        self._exchange.fail(error)


class Parked(Waiting):
    """One that waits at a `Gate`, which is the permit of all its requests."""

    __slots__ = ("_gate",)

    def __init__(self, gate: Gate, exchange: Exchange, start: Start) -> None:
        super().__init__(gate, exchange, start)
        self._gate = gate

    def admitted(self) -> None:
        """Its turn."""
        self._begin(self._gate)
