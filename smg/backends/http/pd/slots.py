"""How many requests each prefill worker may hold at once, and who waits until one has room.

One row for the whole gateway: a prompt that is not read yet belongs to no worker, so who waits
longest goes wherever there is room first. A slot is held from the choice of the prefill worker
until its answer is complete, has failed or is not wanted any more. There are none of these objects
while `--prefill-max-inflight-requests-per-worker` is off. Rules: cli 4.3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from smg.core.errors import GatewayError
from smg.reliability.drain import DrainRate
from smg.reliability.line import Line, Place

if TYPE_CHECKING:
    from smg.core.deadlines import Ticker
    from smg.observability.families import GatewayMetrics
    from smg.workers import Worker, WorkerEvent, WorkerRegistry


@dataclass(frozen=True)
class SlotSettings:
    """`limit` requests per prefill worker, at least 1; `queue_size` requests may wait for any of
    them, each at most `queue_timeout` seconds.
    """

    limit: int
    queue_size: int = 100
    queue_timeout: float = 60.0


class Waiter(Protocol):
    """A request that waits. It is asked and told from the loop, never out of a call of its own."""

    def may_go(self) -> bool:
        """Whether it need not wait any longer: there is room for it, or no hope."""
        ...

    def go(self) -> None:
        """Its wait is over, as it said."""

    def waited_too_long(self, error: GatewayError) -> None:
        """Its wait is over without a slot."""


class PrefillSlots:
    """See the module. `call_soon` runs a function in the next turn of the event loop.

    A slot that comes back, a worker that comes or goes, a breaker that opens or closes: after each
    of them the head of the row is asked once, in a turn of its own, however many there were. So a
    request never starts in the middle of another's end. The ticker asks too.
    """

    def __init__(
        self,
        settings: SlotSettings,
        registry: WorkerRegistry,
        ticker: Ticker,
        call_soon: Callable[[Callable[[], None]], Any],
        metrics: GatewayMetrics | None = None,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        if settings.limit < 1:
            raise ValueError("a prefill worker holds at least 1 request")
        self.settings = settings
        self._call_soon = call_soon
        self._clock = clock
        self._metrics = metrics
        self._held: dict[Worker, int] = {}  # by worker; none that holds nothing
        self._full: set[Worker] = set()
        self._roomy: tuple[Worker, ...] = ()  # what `roomy` said last
        self._line = Line()
        self._drain = DrainRate(clock())
        self._asking_soon = False
        if metrics is not None:
            metrics.pd_prefill_queued.track((), lambda: float(self._line.count))
            self._wait = metrics.pd_prefill_wait.labels()
            for worker in registry.all():
                self._show(worker)
        registry.subscribe(self._on_event)
        registry.watch_availability(self.changed)
        ticker.subscribe(self._tick)

    # -- slots ------------------------------------------------------------------------------------

    def roomy(self, workers: tuple[Worker, ...]) -> tuple[Worker, ...]:
        """Those of `workers` that have a slot to give; the same tuple as long as it is the same
        workers, since policies keep what they prepared from one.
        """
        full = self._full
        if not full:
            return workers
        roomy = tuple(worker for worker in workers if worker not in full)
        if len(roomy) == len(workers):
            return workers
        if roomy != self._roomy:
            self._roomy = roomy
        return self._roomy

    def take(self, worker: Worker) -> None:
        """A request goes to `worker`."""
        count = self._held.get(worker, 0) + 1
        self._held[worker] = count
        if count >= self.settings.limit:
            self._full.add(worker)

    def give_back(self, worker: Worker) -> None:
        """It is over; to be called once for each `take`."""
        count = self._held.pop(worker) - 1
        if count:
            self._held[worker] = count
        if count < self.settings.limit:
            self._full.discard(worker)
        self._drain.one()
        self.changed()

    def held(self, worker: Worker) -> int:
        """Requests that `worker` holds."""
        return self._held.get(worker, 0)

    @property
    def inflight(self) -> int:
        """Slots that are taken."""
        return sum(self._held.values())

    # -- the row ----------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """Requests that wait; while there are any, a new one stands behind them."""
        return self._line.count

    @property
    def may_wait(self) -> bool:
        """Whether one more may wait."""
        return self._line.count < self.settings.queue_size

    def join(self, waiter: Waiter) -> Place:
        """Wait; keep what is returned for `leave`. To be asked before: `may_wait`."""
        place = Place(waiter, self._clock())
        self._line.join(place)
        return place

    def leave(self, place: Place) -> None:
        """The request does not wait any more, by its own will; nothing if it did not."""
        if self._line.leave(place):
            self._count_wait(place)
            self.changed()  # it may have been the head

    def refuse(self) -> GatewayError:
        """What a request is told that may not even wait."""
        self._count_rejected("queue_full")
        return self._error("Too many requests wait for a prefill worker.", "pd_prefill_queue_full")

    def hopeless(self) -> None:
        """A request waited until there was nobody left to wait for."""
        self._count_rejected("unavailable")

    def changed(self) -> None:
        """There may be room: the head is asked soon."""
        if self._line.count and not self._asking_soon:
            self._asking_soon = True
            self._call_soon(self._ask)

    def _ask(self) -> None:
        self._asking_soon = False
        while (place := self._line.oldest) is not None and place.target.may_go():
            self._line.leave(place)
            self._count_wait(place)
            place.target.go()

    def _tick(self, now: float) -> None:
        moment = self._clock()
        self._drain.sample(moment, bool(self._full))
        self._ask()
        latest = moment - self.settings.queue_timeout
        while (place := self._line.oldest) is not None and place.since <= latest:
            self._line.leave(place)
            self._count_wait(place)
            self._count_rejected("queue_timeout")
            message = "The request waited too long for a prefill worker."
            place.target.waited_too_long(self._error(message, "pd_prefill_queue_timeout"))
            self._ask()  # for the next one there may be room

    def _error(self, message: str, code: str) -> GatewayError:
        after = self._drain.retry_after(self._line.count)
        return GatewayError(message, status=429, code=code, retry_after=after)

    # -- what is shown ----------------------------------------------------------------------------

    def _on_event(self, event: WorkerEvent) -> None:
        if event.kind != "removed":
            self._show(event.worker)
        self.changed()

    def _show(self, worker: Worker) -> None:
        if self._metrics is None:
            return
        family = self._metrics.pd_prefill_inflight
        if worker.worker_type == "prefill":
            family.track((worker.url,), lambda: float(self.held(worker)))
        else:
            family.remove(worker.url)

    def _count_wait(self, place: Place) -> None:
        if self._metrics is not None:
            self._wait.observe(self._clock() - place.since)

    def _count_rejected(self, reason: str) -> None:
        if self._metrics is not None:
            self._metrics.pd_prefill_rejections.labels(reason).inc()
