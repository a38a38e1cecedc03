"""Brings workers up: wait until one answers, learn what it is, register it.

Each address has a job of its own (`jobs.py`), so a slow worker delays nobody. What an operator said
about a worker wins over what it says itself. Steps: routing-reliability 13.2, cli 10.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import msgspec

from smg.fleet.clock import Clock
from smg.fleet.jobs import Job, JobFailed
from smg.fleet.metadata import Facts, discover
from smg.fleet.probe import Address, Fetcher, ask_json, check_health
from smg.fleet.ranks import dp_size
from smg.fleet.settings import FleetSettings
from smg.workers import (
    DuplicateWorker,
    ModelCard,
    Worker,
    WorkerPatch,
    WorkerRegistry,
    WorkerSpec,
    WorkerStatus,
    parse_worker_url,
)
from smg.workers.spec import merged

log = logging.getLogger(__name__)

FIRST_PAUSE_SECS = 1.0
OVERDUE_PAUSE_SECS = 60.0
MOST_RANKS = 4096

#: connection modes and URL schemes of features that do not exist yet
_LATER = {"grpc": "gRPC workers", "zmq": "ZMQ workers"}


class Registration:
    """The steps of add and update jobs; every method but `refresh_models` raises JobFailed."""

    def __init__(
        self, registry: WorkerRegistry, fetcher: Fetcher, settings: FleetSettings, clock: Clock
    ) -> None:
        self._registry = registry
        self._fetcher = fetcher
        self._settings = settings
        self._clock = clock

    async def add(self, job: Job, spec: WorkerSpec, worker_id: str, *, patient: bool) -> None:
        """Register the worker of `spec`. `patient`: a worker named at start is never given up:
        after the start-up limit it is tried once a minute.
        """
        settings = self._settings
        if settings.startup_delay:
            await job.sleep(settings.startup_delay)
        target = Address(spec.url, spec.api_key)
        facts = await self._look(job, spec, target, patient)
        for worker in await self._make(spec, worker_id, target, facts):
            self._register(worker, facts)
        if not facts.reachable and not self._checks(spec):
            # Without health checks a worker is in use at once; its model is learnt when it is up.
            await self._wait(job, target, self._reach_problem, patient)
            for worker in self._registry.all():
                if worker.base_url == spec.url:
                    await self.refresh_models(worker)

    async def replace(
        self, job: Job, worker: Worker, spec: WorkerSpec, current: Callable[[], bool]
    ) -> None:
        """Look at a registered worker anew and give it another spec.

        `current()` turns false when somebody else changed or removed the worker meanwhile.
        """
        facts = await self._look(job, spec, Address(spec.url, spec.api_key), patient=False)
        if not current():
            raise JobFailed("the worker was changed or removed meanwhile")

        def apply() -> None:
            _take_spec(worker, spec, facts.labels)
            worker.worker_type = spec.worker_type
            worker.runtime = _runtime(spec, facts)
            worker.models = _cards(spec, facts)

        self._registry.reconfigure(worker, apply)
        log.info("worker %s was replaced: model %s", worker.url, ", ".join(worker.model_ids))

    def patch(self, worker: Worker, patch: WorkerPatch) -> None:
        """Change what an operator may change without a new look at the worker."""
        spec = merged(worker.spec, patch)
        # What the worker told about itself stays; the spec holds only what operators said.
        told = {name: text for name, text in worker.labels.items() if name not in spec.labels}
        self._registry.reconfigure(worker, lambda: _take_spec(worker, spec, told))
        log.info("worker %s was changed", worker.url)

    def rekey(self, worker: Worker, key: str | None) -> None:
        """Show the worker another key from now on, None for none."""
        spec = msgspec.structs.replace(worker.spec, api_key=key)
        told = {name: text for name, text in worker.labels.items() if name not in spec.labels}
        self._registry.reconfigure(worker, lambda: _take_spec(worker, spec, told))

    def configure(self, settings: FleetSettings) -> None:
        """Obey other flags, from the next registration on."""
        self._settings = settings

    async def refresh_models(self, worker: Worker) -> None:
        """Ask again what a worker serves: it may have been restarted with another model.

        What was known stays if the worker tells nothing, or if an operator named the models.
        """
        facts = await discover(self._fetcher, worker, self._clock)
        if facts.card is None:
            _warn_no_model(worker, facts)
            return
        if worker.spec.models or facts.cards == worker.models:
            return
        before = ", ".join(worker.model_ids)
        worker.runtime = _runtime(worker.spec, facts)
        worker.labels = {**facts.labels, **worker.spec.labels}
        if self._registry.set_models(worker, facts.cards):
            after = ", ".join(worker.model_ids)
            log.info("worker %s now serves %s (before: %s)", worker.url, after, before)

    # -- steps ------------------------------------------------------------------------------------

    async def _look(self, job: Job, spec: WorkerSpec, target: Address, patient: bool) -> Facts:
        """Wait until the worker is healthy and ask who it is."""
        mode = spec.connection_mode or parse_worker_url(spec.url).connection_mode
        if feature := _LATER.get(mode):
            raise JobFailed(f"not available yet: {feature}")
        if spec.runtime_type == "external":
            raise JobFailed("not available yet: external providers")
        if self._checks(spec):
            await self._wait(job, target, self._health_problem, patient)
        facts = await discover(self._fetcher, target, self._clock)
        _check_models(spec, facts)
        return facts

    def _checks(self, spec: WorkerSpec) -> bool:
        off = spec.health.disable_health_check
        return self._settings.check_health if off is None else not off

    async def _make(
        self, spec: WorkerSpec, worker_id: str, target: Address, facts: Facts
    ) -> list[Worker]:
        """The worker of `spec`, or one per data-parallel rank; the first one gets the id."""
        if not self._settings.dp_aware:
            return [_worker(spec, facts, worker_id)]
        ranks = spec.dp_size or await dp_size(self._fetcher, target, self._clock)
        if not ranks:
            raise JobFailed("--dp-aware: the worker does not tell its dp_size")
        if ranks > MOST_RANKS:
            raise JobFailed(f"dp_size {ranks} is above {MOST_RANKS}")
        spec = msgspec.structs.replace(spec, dp_size=ranks, dp_base_url=spec.url)
        return [_worker(spec, facts, worker_id if r == 0 else None, r) for r in range(ranks)]

    def _register(self, worker: Worker, facts: Facts) -> None:
        try:
            self._registry.add(worker)
        except DuplicateWorker:
            raise JobFailed("the worker was registered by someone else meanwhile") from None
        self._registry.set_status(worker, WorkerStatus.READY)
        if facts.card is None and not worker.models:
            _warn_no_model(worker, facts)
        models = ", ".join(worker.model_ids)
        log.info("worker %s is ready: model %s, engine %s", worker.url, models, worker.runtime)

    async def _wait(
        self,
        job: Job,
        target: Address,
        ask: Callable[[Address], Awaitable[str | None]],
        patient: bool,
    ) -> None:
        """Until `ask` finds no problem: after 1, 2, 4 ... seconds, then at the check interval."""
        settings = self._settings
        started = self._clock.time()
        pause = min(FIRST_PAUSE_SECS, settings.startup_interval)
        told: str | None = None
        overdue = False
        while (problem := await ask(target)) is not None:
            left = settings.startup_timeout - (self._clock.time() - started)
            if left <= 0 and not overdue:
                late = f"it did not come up within {settings.startup_timeout:g} s: {problem}"
                if not patient:
                    raise JobFailed(late)
                overdue = True
                log.warning(
                    "worker %s: %s; now trying every %g s", target.url, late, OVERDUE_PAUSE_SECS
                )
            elif problem != told:
                log.warning("worker %s is not up yet: %s; trying again", target.url, problem)
            told = problem
            await job.sleep(OVERDUE_PAUSE_SECS if overdue else min(pause, left))
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


def _worker(spec: WorkerSpec, facts: Facts, worker_id: str | None, rank: int = -1) -> Worker:
    worker = Worker(
        spec.url,
        id=worker_id,
        worker_type=spec.worker_type,
        connection_mode=spec.connection_mode,
        runtime=_runtime(spec, facts),
        models=_cards(spec, facts),
        dp_rank=rank,
    )
    _take_spec(
        worker, spec if rank < 0 else msgspec.structs.replace(spec, dp_rank=rank), facts.labels
    )
    return worker


def _take_spec(worker: Worker, spec: WorkerSpec, told: dict[str, str]) -> None:
    """Everything of a spec that needs no other groups; `told` are labels of the worker's own."""
    if worker.spec.http_pool != spec.http_pool:
        worker.transport = None  # it sets up the connections
    worker.spec = spec
    worker.revision += 1
    worker.labels = {**told, **spec.labels}
    worker.priority = spec.priority
    worker.cost = spec.cost
    if worker.api_key != spec.api_key:
        worker.api_key = spec.api_key
        worker.transport = None  # it carries the key


def _runtime(spec: WorkerSpec, facts: Facts) -> str:
    return facts.runtime if spec.runtime_type == "unspecified" else spec.runtime_type


def _cards(spec: WorkerSpec, facts: Facts) -> tuple[ModelCard, ...]:
    """What was posted, with what the worker knows better; else what it names."""
    if not spec.models:
        return facts.cards
    known = {card.id: card for card in facts.cards}
    cards = []
    for card in spec.models:
        told = known.get(card.id)
        if told is not None:
            card = msgspec.structs.replace(
                card,
                root=card.root or told.root,
                parent=card.parent or told.parent,
                context_length=card.context_length or told.context_length,
            )
        cards.append(card)
    return tuple(cards)


def _check_models(spec: WorkerSpec, facts: Facts) -> None:
    """A worker that names its models must name one of those that were posted for it: requests for
    any other would be answered by the wrong model, or refused.
    """
    if not spec.models or not facts.cards:
        return
    named = {name for card in facts.cards for name in (card.id, card.root, *card.aliases) if name}
    if any(name in named for card in spec.models for name in (card.id, card.root, *card.aliases)):
        return
    posted = ", ".join(card.id for card in spec.models)
    raise JobFailed(f"the worker serves {', '.join(sorted(named))}, not {posted}")


def _warn_no_model(worker: Worker, facts: Facts) -> None:
    log.warning(
        "worker %s names no model (%s); it stays registered under %s",
        worker.url,
        facts.problem,
        ", ".join(worker.model_ids),
    )
