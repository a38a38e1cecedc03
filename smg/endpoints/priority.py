"""Admission by priority class before the inference routes; stands where `admission.Gate` would.

Every request has an object here as long as it lasts, for it may have to give way while its client
has no byte of the answer. How many may run follows the workers. Rules: routing-reliability 20.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING

from smg.endpoints.admission import NO_LIMIT, Start, Waiting
from smg.observability.metrics import BoundedLabels
from smg.reliability.classes import (
    CLASS_NAMES,
    DEFAULT,
    SYSTEM,
    SchedulerSettings,
    capacity_of,
    parse_class,
)
from smg.reliability.priority import RANKS, PriorityAdmission
from smg.reliability.refusals import (
    scheduler_preempted,
    scheduler_queue_full,
    scheduler_queue_timeout,
)
from smg.workers import Worker, WorkerEvent, WorkerRegistry, WorkerStatus

if TYPE_CHECKING:
    from smg.core.deadlines import Ticker
    from smg.core.errors import GatewayError
    from smg.observability.families import GatewayMetrics
    from smg.reliability.line import Place
    from smg.server.exchange import Exchange

#: worker label: how many requests it takes at once
CAPACITY_LABEL = "max_running_requests"


class PriorityGate:
    """See the module. `limit` is the number of permits while no worker is ready, 0 or less for the
    default. `tenant` says whose a request is; `shown_tenants` have a metric label of their own.
    """

    def __init__(
        self,
        settings: SchedulerSettings,
        registry: WorkerRegistry,
        ticker: Ticker,
        metrics: GatewayMetrics,
        *,
        tenant: Callable[[Exchange], str],
        limit: int = 0,
        shown_tenants: int = 32,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._ticker = ticker
        self._metrics = metrics
        self._tenant = tenant
        self._limit = limit
        self._labels = BoundedLabels(shown_tenants)
        self._clock = clock
        self._admitting = False
        self._fleet_changed = False
        self._admission = PriorityAdmission(self._capacity(), settings.classes)
        self._admitted = [metrics.scheduler_admit.labels(name, "admitted") for name in CLASS_NAMES]
        self._waits = [metrics.scheduler_queue_wait.labels(name) for name in CLASS_NAMES]
        self._show()
        self._unsubscribe = registry.subscribe(self._on_event)
        ticker.subscribe(self._tick)

    def close(self) -> None:
        """Nobody is admitted any more by time, and workers change nothing."""
        self._unsubscribe()
        self._ticker.unsubscribe(self._tick)
        self._hide()

    def configure(
        self,
        settings: SchedulerSettings,
        *,
        tenant: Callable[[Exchange], str],
        limit: int = 0,
        shown_tenants: int = 32,
    ) -> None:
        """Other settings while requests run and wait."""
        self._settings = settings
        self._tenant = tenant
        self._limit = limit
        self._labels = BoundedLabels(shown_tenants)
        self._admission.configure(self._capacity(), settings.classes)
        self._admit()

    def abolish(self) -> None:
        """There are no classes any more: whoever waits may start, and nobody comes here again."""
        self._admission.resize(NO_LIMIT)
        self._admit()
        self.close()

    # -- a request's way --------------------------------------------------------------------------

    def before(self, start: Start) -> Start:
        """`start`, once the request has its permit."""

        def admitted(exchange: Exchange) -> None:
            self.enter(exchange, start)

        return admitted

    def enter(self, exchange: Exchange, start: Start) -> None:
        """Start the request, now or when its turn comes. Raises GatewayError if neither."""
        rank = self._rank(exchange)
        seat = Seat(self, exchange, start)
        place = self._admission.enter(seat, rank, exchange.started)
        if place is None:
            self._wait(seat, rank)
            return
        seat.place = place
        self._admitted[rank].inc()
        exchange.permit = seat
        start(exchange)

    def _rank(self, exchange: Exchange) -> int:
        """The class that a request asks for, or the highest that its tenant may have."""
        settings = self._settings
        asked = DEFAULT
        value = exchange.header(b"x-smg-priority")
        if value is not None:
            asked = parse_class(value)
            if asked < 0:
                asked = DEFAULT
                tenant = self._label(self._tenant(exchange))
                self._metrics.scheduler_unknown_priority.labels(tenant).inc()
        if not settings.max_class and asked >= settings.default_max_class:
            return asked  # whoever it is
        tenant = self._tenant(exchange)
        rank = settings.clamp(asked, tenant)
        if rank != asked:
            names = (CLASS_NAMES[asked], CLASS_NAMES[rank])
            self._metrics.scheduler_clamp.labels(self._label(tenant), *names).inc()
        return rank

    def _label(self, tenant: str) -> str:
        # Of the shared key only the beginning of its digest: anybody may read metrics.
        return self._labels.admit(tenant[:13] if len(tenant) == _DIGEST_KEY else tenant)

    def _wait(self, seat: Seat, rank: int) -> None:
        now = self._clock()
        admission = self._admission
        place = admission.park(seat, rank, now)
        if place is None:
            self._count(rank, "rejected_queue_full")
            raise scheduler_queue_full()
        seat.wait(place)
        victim = admission.victim(rank, now)
        if victim is not None:
            self._count(victim.rank, "preempted")
            names = (CLASS_NAMES[victim.rank], CLASS_NAMES[rank])
            self._metrics.scheduler_preemption.labels(*names).inc()
            victim.target.preempted()  # gives its permit back, which goes to whoever is next

    def too_late(self) -> GatewayError:
        """What a request is told that waited too long."""
        return scheduler_queue_timeout()

    def forget(self, place: Place) -> None:
        """The client of a waiting request left."""
        if self._admission.forget(place):
            self._count(place.rank, "client_cancelled")
            self._waits[place.rank].observe(self._clock() - place.since)

    def leave(self, place: Place) -> None:
        """A permit comes back."""
        if self._admission.leave(place):
            self._admit()

    def _admit(self) -> None:
        if self._admitting:
            return  # a request that ended at once; the loop below goes on
        self._admitting = True
        try:
            while (place := self._admission.admit(self._clock())) is not None:
                self._admitted[place.rank].inc()
                self._waits[place.rank].observe(self._clock() - place.since)
                place.target.admitted()
        finally:
            self._admitting = False

    def _tick(self, now: float) -> None:
        if self._fleet_changed:
            self._fleet_changed = False
            self._admission.resize(self._capacity())
        self._admit()
        now = self._clock()
        while (place := self._admission.expire(now)) is not None:
            self._count(place.rank, "rejected_queue_timeout")
            self._waits[place.rank].observe(now - place.since)
            place.target.expired()

    # -- how many ---------------------------------------------------------------------------------

    def _on_event(self, event: WorkerEvent) -> None:
        self._fleet_changed = True  # for the next tick: a start-up has many events

    def _capacity(self) -> int:
        ready = (w for w in self._registry.all() if w.status is WorkerStatus.READY)
        return capacity_of(self._settings.capacity, map(_takes, ready), self._limit)

    # -- metrics ----------------------------------------------------------------------------------

    def _count(self, rank: int, outcome: str) -> None:
        self._metrics.scheduler_admit.labels(CLASS_NAMES[rank], outcome).inc()

    def _show(self) -> None:
        metrics, admission = self._metrics, self._admission
        for rank in RANKS:
            self._show_class(rank, (CLASS_NAMES[rank],))
        metrics.scheduler_utilization.track((), lambda: admission.inflight / admission.capacity)

    def _show_class(self, rank: int, name: tuple[str]) -> None:
        metrics, admission = self._metrics, self._admission
        metrics.scheduler_inflight.track(name, lambda: float(admission.seats[rank]))
        metrics.scheduler_queue_depth.track(name, lambda: float(admission.depth(rank)))
        metrics.scheduler_queue_limit.track(name, lambda: float(admission.queue_size(rank)))
        metrics.scheduler_pressure.track(name, lambda: admission.pressure(rank))
        if rank != SYSTEM:  # nobody goes before it
            metrics.scheduler_promotion.track(name, lambda: float(admission.promoted[rank]))

    def _hide(self) -> None:
        metrics = self._metrics
        metrics.scheduler_utilization.remove()
        for name in CLASS_NAMES:
            metrics.scheduler_inflight.remove(name)
            metrics.scheduler_queue_depth.remove(name)
            metrics.scheduler_queue_limit.remove(name)
            metrics.scheduler_pressure.remove(name)


class Seat(Waiting):
    """A request, waiting or in flight; in flight it is the exchange's permit."""

    __slots__ = ("_gate",)

    def __init__(self, gate: PriorityGate, exchange: Exchange, start: Start) -> None:
        super().__init__(gate, exchange, start)
        self._gate = gate

    def wait(self, place: Place) -> None:
        """Stand in the queue."""
        self.place = place
        self._exchange.consumer = self

    @property
    def begun(self) -> bool:
        """Whether nothing can be taken back: the client has a byte, or the request is over."""
        return bool(self._exchange.head_sent or self._exchange.done)

    def admitted(self) -> None:
        """Its turn."""
        self._begin(self)

    def leave(self) -> None:
        """The request is over."""
        if self.place is not None:
            self._gate.leave(self.place)

    def preempted(self) -> None:
        """A higher class needs the permit."""
        exchange = self._exchange
        consumer, exchange.consumer = exchange.consumer, None
        if consumer is not None:
            consumer.client_gone()  # the worker is told as if the client had left
        exchange.fail(scheduler_preempted())


#: length of `auth:` and a SHA-256 in hex
_DIGEST_KEY = 69


def _takes(worker: Worker) -> int | None:
    """How many requests a worker takes at once, by its label; None if it does not say."""
    text = worker.labels.get(CAPACITY_LABEL, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
