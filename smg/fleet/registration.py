"""Brings workers up: wait until one answers, learn what it is, register it.

Every address has a job of its own, so a slow worker delays nobody. A static address is never given
up: after the start-up limit it is tried once a minute. Steps: routing-reliability 13.2, cli 10.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable

from smg.core.tasks import TaskGroupOwner
from smg.fleet.clock import Clock, sleep
from smg.fleet.metadata import Facts, discover
from smg.fleet.probe import Address, Fetcher, ask_json, check_health
from smg.fleet.settings import FleetSettings
from smg.workers import (
    DuplicateWorker,
    ModelCard,
    Worker,
    WorkerRegistry,
    WorkerStatus,
    parse_worker_url,
)

log = logging.getLogger(__name__)

FIRST_PAUSE_SECS = 1.0
OVERDUE_PAUSE_SECS = 60.0


class Registration:
    """Jobs that end with a registered worker; `close()` stops those that still wait."""

    def __init__(
        self, registry: WorkerRegistry, fetcher: Fetcher, settings: FleetSettings, clock: Clock
    ) -> None:
        self._registry = registry
        self._fetcher = fetcher
        self._settings = settings
        self._clock = clock
        self._tasks = TaskGroupOwner("registration")

    def start(self, urls: Iterable[str], *, worker_type: str = "regular") -> None:
        """One job per address; a second spelling of the same address is left out."""
        seen: set[str] = set()
        for text in urls:
            try:
                address = parse_worker_url(text)
            except ValueError as error:
                log.error("%s; it is left out", error)
                continue
            if address.url in seen:
                log.warning("worker %s is given twice; using it once", address.url)
                continue
            seen.add(address.url)
            target = Address(address.url, self._settings.api_key)
            self._tasks.start(self._bring_up(target, worker_type), address.url)

    async def refresh_models(self, worker: Worker) -> None:
        """Ask again what a worker serves: it may have been restarted with another model.

        What was known stays if the worker tells nothing.
        """
        facts = await discover(self._fetcher, worker, self._clock)
        if facts.card is None:
            _warn_no_model(worker, facts)
            return
        # Aliases and the like were given by a person; the engine knows nothing of them.
        if any(card.id == facts.card.id for card in worker.models):
            return
        before = ", ".join(worker.model_ids)
        worker.runtime = facts.runtime
        worker.labels.update(facts.labels)
        if self._registry.set_models(worker, [facts.card]):
            log.info("worker %s now serves %s (before: %s)", worker.url, facts.card.id, before)

    async def close(self) -> None:
        """Cancel every job."""
        await self._tasks.close()

    async def _bring_up(self, target: Address, worker_type: str) -> None:
        settings = self._settings
        if settings.startup_delay:
            await sleep(self._clock, settings.startup_delay)
        if settings.check_health:
            await self._wait(target, self._health_problem)
        facts = await discover(self._fetcher, target, self._clock)
        worker = self._register(target, worker_type, facts)
        if worker is None:
            return
        if facts.card is None:
            _warn_no_model(worker, facts)
        if not facts.reachable and not settings.check_health:
            # Without health checks a worker is in use at once; its model is learnt when it is up.
            await self._wait(target, self._reach_problem)
            await self.refresh_models(worker)

    def _register(self, target: Address, worker_type: str, facts: Facts) -> Worker | None:
        cards: tuple[ModelCard, ...] = () if facts.card is None else (facts.card,)
        worker = Worker(
            target.url,
            worker_type=worker_type,
            runtime=facts.runtime,
            models=cards,
            api_key=target.api_key,
            labels=facts.labels,
        )
        try:
            self._registry.add(worker)
        except DuplicateWorker:
            log.warning("worker %s was registered by someone else meanwhile", worker.url)
            return None
        self._registry.set_status(worker, WorkerStatus.READY)
        models = ", ".join(worker.model_ids)
        log.info("worker %s is ready: model %s, engine %s", worker.url, models, worker.runtime)
        return worker

    async def _wait(self, target: Address, ask: Callable[[Address], Awaitable[str | None]]) -> None:
        """Until `ask` finds no problem: after 1, 2, 4 ... seconds, then at the check interval."""
        settings = self._settings
        started = self._clock.time()
        pause = min(FIRST_PAUSE_SECS, settings.startup_interval)
        told: str | None = None
        overdue = False
        while (problem := await ask(target)) is not None:
            left = settings.startup_timeout - (self._clock.time() - started)
            if left <= 0 and not overdue:
                overdue = True
                log.warning(
                    "worker %s did not come up within %g s (%s); now trying every %g s",
                    target.url,
                    settings.startup_timeout,
                    problem,
                    OVERDUE_PAUSE_SECS,
                )
            elif problem != told:
                log.warning("worker %s is not up yet: %s; trying again", target.url, problem)
            told = problem
            await sleep(self._clock, OVERDUE_PAUSE_SECS if overdue else min(pause, left))
            pause = min(pause * 2, settings.startup_interval)

    async def _health_problem(self, target: Address) -> str | None:
        settings = self._settings
        return await check_health(
            self._fetcher, target, settings.health_endpoint, settings.health_timeout
        )

    async def _reach_problem(self, target: Address) -> str | None:
        """Any HTTP answer will do: health checks may be off because there is no health route."""
        timeout = self._settings.health_timeout
        answer = await ask_json(self._fetcher, target, "/v1/models", timeout=timeout)
        return None if answer.status else answer.problem


def _warn_no_model(worker: Worker, facts: Facts) -> None:
    log.warning(
        "worker %s names no model (%s); it stays registered under %s",
        worker.url,
        facts.problem,
        ", ".join(worker.model_ids),
    )
