"""Gives every worker its circuit breaker, and everybody who must know each change of it.

A breaker that opens takes its worker out of the prepared candidates, so a request pays for breakers
only by telling how it went. Rules: routing-reliability 16.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import perf_counter

from smg.core.deadlines import Ticker
from smg.observability.families import GatewayMetrics
from smg.reliability.breaker import OPEN, STATE_NAMES, Breaker
from smg.reliability.settings import BreakerSettings
from smg.reliability.watch import BreakerWatch
from smg.workers import Worker, WorkerEvent, WorkerRegistry

log = logging.getLogger(__name__)


class Breakers:
    """Follows the registry until `close()`; must be its first subscriber, so that nobody sees a
    worker without its breaker.
    """

    def __init__(
        self,
        registry: WorkerRegistry,
        settings: BreakerSettings,
        ticker: Ticker,
        metrics: GatewayMetrics,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self._registry = registry
        self._settings = settings
        self._ticker = ticker
        self._metrics = metrics
        self._clock = clock  # the relays' clock
        self._watch = BreakerWatch()
        self._unsubscribe = registry.subscribe(self._on_event)
        ticker.subscribe(self._tick)

    def close(self) -> None:
        """Breakers stay with their workers and change by time no more."""
        self._unsubscribe()
        self._ticker.unsubscribe(self._tick)

    def configure(self, settings: BreakerSettings) -> None:
        """Other settings for the whole router, from now on."""
        self._settings = settings
        for worker in self._registry.all():
            self._follow(worker)

    def _on_event(self, event: WorkerEvent) -> None:
        worker = event.worker
        if event.kind in ("added", "changed"):
            self._follow(worker)
        elif event.kind == "removed" and worker.breaker is not None:
            self._drop(worker, worker.breaker)

    def _follow(self, worker: Worker) -> None:
        settings = self._settings.merged(worker.spec.resilience)
        breaker = worker.breaker
        if not settings.enabled:
            if breaker is not None:
                worker.breaker = None
                self._drop(worker, breaker)
                self._registry.availability_changed(worker)
        elif breaker is None:
            worker.breaker = breaker = Breaker(settings, worker, self._changed)
            self._show(worker, breaker)
        else:
            breaker.configure(settings, self._clock())

    def _changed(self, breaker: Breaker, before: int) -> None:
        worker: Worker = breaker.owner
        self._watch.changed(breaker)
        self._registry.availability_changed(worker)
        if breaker.state == before:
            return
        names = (STATE_NAMES[before], STATE_NAMES[breaker.state])
        self._metrics.worker_cb_transitions.labels(worker.url, *names).inc()
        level = logging.WARNING if breaker.state == OPEN else logging.INFO
        log.log(level, "circuit breaker of worker %s: %s to %s", worker.url, *names)

    def _show(self, worker: Worker, breaker: Breaker) -> None:
        metrics, url = self._metrics, worker.url
        metrics.worker_cb_state.track((url,), lambda: float(breaker.state))
        metrics.worker_cb_consecutive_failures.track((url,), lambda: float(breaker.failures))
        metrics.worker_cb_consecutive_successes.track((url,), lambda: float(breaker.successes))
        metrics.worker_cb_outcomes.track((url, "success"), lambda: float(breaker.good))
        metrics.worker_cb_outcomes.track((url, "failure"), lambda: float(breaker.bad))

    def _drop(self, worker: Worker, breaker: Breaker) -> None:
        metrics, url = self._metrics, worker.url
        self._watch.forget(breaker)
        breaker.on_change = None  # requests that still run tell nobody any more
        for family in (
            metrics.worker_cb_state,
            metrics.worker_cb_consecutive_failures,
            metrics.worker_cb_consecutive_successes,
        ):
            family.remove(url)
        for outcome in ("success", "failure"):
            metrics.worker_cb_outcomes.remove(url, outcome)
        for labels in metrics.worker_cb_transitions.children():
            if labels[0] == url:
                metrics.worker_cb_transitions.remove(*labels)

    def _tick(self, now: float) -> None:
        self._watch.tick(self._clock())
