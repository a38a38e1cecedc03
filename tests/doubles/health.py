"""A health monitor over one registry, on a stepped clock, with a fetcher that has no sockets.

    async with world(health_interval=60) as w:
        worker = w.add()
        await w.clock.advance(60)
        assert w.probes == 2

Keyword arguments are fields of `FleetSettings`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from smg.fleet.health import HealthMonitor
from smg.fleet.settings import FleetSettings
from smg.workers import ModelCard, Worker, WorkerRegistry, WorkerSpec, WorkerStatus
from smg.workers.spec import HealthSpec
from tests.doubles.clock import SteppedClock
from tests.doubles.fetcher import FakeFetcher

URL = "http://w:1"


def status(worker: Worker) -> str:
    """As text."""
    return worker.status.value


class World:
    """`recovered` and `results` are what the monitor told, `given_up` the workers to be removed,
    which happens with `removes_at_once`.
    """

    def __init__(self, settings: FleetSettings, removes: bool) -> None:
        self.clock = SteppedClock()
        self.fetcher = FakeFetcher()
        self.registry = WorkerRegistry()
        self.recovered: list[Worker] = []
        self.results: list[bool] = []
        self.given_up: list[Worker] = []
        self.removes_at_once = False
        self.monitor = HealthMonitor(
            self.registry,
            self.fetcher,
            settings,
            self.clock,
            recovered=self._on_recovered,
            checked=lambda worker, healthy: self.results.append(healthy),
            remove_failed=self._on_failed if removes else None,
        )

    async def _on_recovered(self, worker: Worker) -> None:
        self.recovered.append(worker)

    def _on_failed(self, worker: Worker) -> None:
        self.given_up.append(worker)
        if self.removes_at_once:
            self.registry.remove(worker.id)

    def add(
        self,
        url: str = URL,
        status: WorkerStatus = WorkerStatus.READY,
        *,
        dp_rank: int = -1,
        **health: Any,
    ) -> Worker:
        """Register a worker that is up; `health` are settings of its own."""
        worker = Worker(
            url,
            models=[ModelCard("m")],
            api_key="k",
            dp_rank=dp_rank,
            spec=WorkerSpec(url=url, health=HealthSpec(**health)),
        )
        self.registry.add(worker)
        self.registry.set_status(worker, status)
        self.fetcher.set(url, "/health", 200)
        return worker

    def change(self, worker: Worker, api_key: str = "k", **health: Any) -> None:
        """What a PATCH does: another spec, counted, published."""

        def apply() -> None:
            worker.spec = WorkerSpec(url=worker.base_url, health=HealthSpec(**health))
            worker.api_key = api_key
            worker.revision += 1

        assert self.registry.reconfigure(worker, apply)

    @property
    def probes(self) -> int:
        """How many requests went out."""
        return len(self.fetcher.asked)


@asynccontextmanager
async def world(*, removes: bool = False, **settings: Any) -> AsyncIterator[World]:
    """A monitor that runs, and leaves nothing behind."""
    made = World(FleetSettings(**settings), removes)
    made.monitor.start()
    try:
        yield made
    finally:
        await made.monitor.close()
    assert made.clock.planned == 0
    assert made.fetcher.in_flight == 0
