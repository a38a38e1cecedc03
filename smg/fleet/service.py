"""What the worker API can do: add, change, replace and remove workers while traffic flows.

Every change is a job (`jobs.py`); the answer to the operator only says that it was accepted. An id
is reserved when a worker is posted and stays the worker's for good. Rules: http-api 16.3.
"""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import msgspec

from smg.core import ids
from smg.core.errors import AdminError
from smg.fleet.clock import Clock
from smg.fleet.jobs import ADD, REMOVE, UPDATE, Job, JobFailed, JobQueue, QueueFull
from smg.fleet.registration import Registration
from smg.fleet.settings import FleetSettings
from smg.workers import (
    Worker,
    WorkerPatch,
    WorkerRegistry,
    WorkerSpec,
    WorkerStatus,
    info,
    parse_worker_url,
)

log = logging.getLogger(__name__)

MARGIN_SECS = 30.0  # what a job may take beyond its own waiting
LONGEST_DRAIN_SECS = 600.0
DRAIN_LOOK_SECS = 0.25  # how often a draining worker is looked at
MOST_WORKERS = 100_000  # registered or on their way


@dataclass(slots=True)
class Reservation:
    """An id that is promised to an address."""

    worker_id: str
    spec: WorkerSpec


class WorkerService:
    """See the module; errors are AdminError. Called on the event loop only."""

    def __init__(
        self,
        registry: WorkerRegistry,
        registration: Registration,
        jobs: JobQueue,
        settings: FleetSettings,
        clock: Clock,
    ) -> None:
        self._registry = registry
        self._registration = registration
        self._jobs = jobs
        self._settings = settings
        self._clock = clock
        self._reserved: dict[str, Reservation] = {}  # by canonical URL; until the worker is there
        self._urls: dict[str, str] = {}  # reserved id -> canonical URL
        jobs.on_forgotten(self._job_forgotten)

    # -- reading ----------------------------------------------------------------------------------

    def listing(self, model: str | None) -> dict[str, Any]:
        """Registered workers; with `model` those that serve it."""
        workers = self._registry.all()
        if model is not None:
            name = self._registry.canonical(model)
            workers = tuple(w for w in workers if not w.models or name in w.model_ids)
        return info.listing(workers)

    def info(self, worker_id: str) -> dict[str, Any]:
        """One worker, or the placeholder of one that is on its way."""
        worker = self._registry.get(worker_id)
        if worker is not None:
            return info.worker_info(worker, self._jobs.status(worker.base_url))
        url = self._urls.get(worker_id)
        job = None if url is None else self._jobs.status(url)
        if url is None or job is None:
            raise not_found(worker_id)
        failed = job.status == "failed"
        return info.placeholder_info(worker_id, self._reserved[url].spec, job, failed)

    # -- changing ---------------------------------------------------------------------------------

    def create(self, spec: WorkerSpec) -> str:
        """Begin to register a worker; its id.

        Posting an address again before its worker is up starts over with the new spec under the
        same id.
        """
        url = spec.url
        existing = self._registered(url)
        if existing:
            raise AdminError(
                f"Worker {url} is registered already with id {existing[0].id}",
                status=409,
                code="WORKER_ALREADY_EXISTS",
            )
        known = self._reserved.get(url)
        if known is None and len(self._registry) + len(self._reserved) >= MOST_WORKERS:
            raise queue_full()
        worker_id = known.worker_id if known is not None else ids.uuid7()
        if known is not None:
            self._jobs.cancel(url)
        reservation = Reservation(worker_id, spec)
        add = functools.partial(self._add, reservation)
        self._submit(ADD, url, add, self._settings.startup_timeout + MARGIN_SECS)
        self._reserved[url] = reservation
        self._urls[worker_id] = url
        return worker_id

    def patch(self, worker_id: str, patch: WorkerPatch) -> None:
        """Change some fields of a worker, without asking it anything."""
        url = self._url_of(worker_id)
        self._submit(UPDATE, url, functools.partial(self._patch, worker_id, patch), MARGIN_SECS)

    def replace(self, worker_id: str, spec: WorkerSpec) -> None:
        """Register a worker anew under its id, with another spec."""
        worker = self._registry.get(worker_id)
        if worker is None:
            raise not_found(worker_id)
        if self._settings.dp_aware or worker.dp_rank >= 0:
            raise AdminError("Data-parallel workers cannot be replaced; delete and add instead")
        if spec.url != worker.url:
            raise AdminError(f"url: must be the worker's own, {worker.url}")
        run = functools.partial(self._replace, worker, worker.revision, spec)
        self._submit(UPDATE, worker.url, run, self._settings.startup_timeout + MARGIN_SECS)

    def remove(self, worker_id: str) -> None:
        """Give a worker no new requests, let it finish, then forget it."""
        url = self._url_of(worker_id)
        self._jobs.cancel(url)
        workers = self._registered(url)
        for worker in workers:
            self._registry.set_status(worker, WorkerStatus.DRAINING)
            worker.revision += 1  # a replacement that is under way must not bring it back
        since = self._clock.time()
        limit = LONGEST_DRAIN_SECS + MARGIN_SECS + self._settle(workers)
        run = functools.partial(self._remove, workers, since)
        self._submit(REMOVE, url, run, limit, always=True)

    def remove_failed(self, worker: Worker) -> None:
        """Remove a worker that health checks gave up (`--remove-unhealthy-workers`)."""
        if worker in self._registry:
            self.remove(worker.id)

    def start(
        self,
        urls: Iterable[str],
        *,
        worker_type: str = "regular",
        ports: Iterable[int | None] = (),
    ) -> None:
        """Begin to register the workers named at start; they get the gateway's own key and their
        jobs are never given up. A second spelling of the same address is left out. `ports` are the
        bootstrap ports of prefill workers, in the order of `urls`.
        """
        seen: set[str] = set()
        for text, port in zip_longest(urls, ports):
            try:
                url = parse_worker_url(text).url
            except ValueError as error:
                log.error("%s; it is left out", error)
                continue
            if url in seen:
                log.warning("worker %s is given twice; using it once", url)
                continue
            seen.add(url)
            if not self._is_taken(url):
                key = self._settings.api_key
                self._begin(
                    WorkerSpec(url=url, worker_type=worker_type, api_key=key, bootstrap_port=port)
                )

    def withdraw(self, urls: Iterable[str]) -> None:
        """Remove workers that the settings no longer name, registered or on their way; the opposite
        of `start`.
        """
        for url in canonical_urls(urls):
            if self._is_taken(url):
                workers = self._registered(url)
                self.remove(workers[0].id if workers else self._reserved[url].worker_id)

    def rekey(self, urls: Iterable[str], before: str | None) -> None:
        """Show start-up workers the gateway's key of today instead of the one `before`. Those that
        got one of their own keep it.
        """
        key = self._settings.api_key
        for url in canonical_urls(urls):
            for worker in self._registered(url):
                if worker.spec.api_key == before:
                    self._registration.rekey(worker, key)
            known = None if self._registered(url) else self._reserved.get(url)
            if known is not None and known.spec.api_key == before and self._is_taken(url):
                self._jobs.cancel(url)
                self._begin(msgspec.structs.replace(known.spec, api_key=key))

    def configure(self, settings: FleetSettings) -> None:
        """Obey other flags, from the next call on."""
        self._settings = settings

    # -- jobs -------------------------------------------------------------------------------------

    async def _add(self, reservation: Reservation, job: Job, *, patient: bool = False) -> None:
        spec = reservation.spec
        await self._registration.add(job, spec, reservation.worker_id, patient=patient)

    async def _patch(self, worker_id: str, patch: WorkerPatch, job: Job) -> None:
        worker = self._registry.get(worker_id)
        if worker is None:
            raise JobFailed("the worker is not registered")
        if worker.status is WorkerStatus.DRAINING:
            raise JobFailed("the worker is being removed")
        self._registration.patch(worker, patch)

    async def _replace(self, worker: Worker, revision: int, spec: WorkerSpec, job: Job) -> None:
        def current() -> bool:
            return worker in self._registry and worker.revision == revision

        if not current():
            raise JobFailed("the worker was changed or removed meanwhile")
        await self._registration.replace(job, worker, spec, current)

    async def _remove(self, workers: tuple[Worker, ...], since: float, job: Job) -> None:
        settle = self._settle(workers)
        if settle:
            await job.sleep(settle)
        end = since + LONGEST_DRAIN_SECS
        while any(worker.load for worker in workers) and self._clock.time() < end:
            await job.sleep(DRAIN_LOOK_SECS)
        for worker in workers:
            self._registry.remove(worker.id)

    # -- helpers ----------------------------------------------------------------------------------

    def _is_taken(self, url: str) -> bool:
        """Whether a worker is there that is not about to go, or on its way."""
        if any(worker.status is not WorkerStatus.DRAINING for worker in self._registered(url)):
            return True
        job = self._jobs.status(url) if url in self._reserved else None
        return job is not None and job.status != "failed"

    def _begin(self, spec: WorkerSpec) -> None:
        """Register a worker that is never given up."""
        url = spec.url
        known = self._reserved.get(url)
        reservation = Reservation(ids.uuid7() if known is None else known.worker_id, spec)
        self._reserved[url] = reservation
        self._urls[reservation.worker_id] = url
        run = functools.partial(self._add, reservation, patient=True)
        self._submit(ADD, url, run, None, always=True)

    def _submit(
        self, job_type: str, url: str, run: Any, limit: float | None, always: bool = False
    ) -> None:
        try:
            self._jobs.submit(job_type, url, run, limit=limit, always=always)
        except QueueFull as error:
            raise queue_full() from error

    def _registered(self, url: str) -> tuple[Worker, ...]:
        """The worker at an address, or all of its data-parallel ranks."""
        worker = self._registry.by_url(url)
        if worker is not None:
            return (worker,)
        if not self._settings.dp_aware:
            return ()
        return tuple(worker for worker in self._registry.all() if worker.base_url == url)

    def _url_of(self, worker_id: str) -> str:
        worker = self._registry.get(worker_id)
        if worker is not None:
            return worker.base_url
        url = self._urls.get(worker_id)
        if url is None or self._jobs.status(url) is None:
            raise not_found(worker_id)
        return url

    def _settle(self, workers: tuple[Worker, ...]) -> float:
        default = self._settings.drain_settle
        given = (worker.spec.health.drain_settle_secs for worker in workers)
        seconds = max((default if own is None else own for own in given), default=0.0)
        return seconds if math.isfinite(seconds) else default

    def _job_forgotten(self, url: str) -> None:
        reservation = self._reserved.get(url)
        if reservation is not None:
            del self._reserved[url]
            del self._urls[reservation.worker_id]


def canonical_urls(urls: Iterable[str]) -> list[str]:
    """Addresses as the registry writes them, each once; those that are none are left out."""
    found: dict[str, None] = {}
    for text in urls:
        try:
            found[parse_worker_url(text).url] = None
        except ValueError:
            continue
    return list(found)


def not_found(worker_id: str) -> AdminError:
    """404."""
    return AdminError(f"Worker {worker_id} not found", status=404, code="WORKER_NOT_FOUND")


def queue_full() -> AdminError:
    """503: the operator's tool should try again."""
    return AdminError("The job queue is full", status=503, code="JOB_QUEUE_FULL", retry_after=1)
