"""The load monitor on a stepped clock: whom it asks, when, and what it makes of the answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from smg.fleet.engine_gauges import EngineGauges
from smg.fleet.load_sources import LOADS_PATH, METRICS_PATH, LoadSources
from smg.fleet.loads import AT_ONCE, GATHER_SECS, LoadMonitor
from smg.observability.exposition import render
from smg.observability.families import GatewayMetrics
from smg.observability.metrics import Registry
from smg.workers import LoadReports, ModelCard, Worker, WorkerRegistry, WorkerStatus
from tests.doubles.clock import SteppedClock
from tests.doubles.fetcher import FakeFetcher, FakeReply
from tests.doubles.metrics_text import Samples

URL = "http://w:1"
BLIND = "policy power_of_two of model m runs on this gateway's own counts only"


def loads(*waiting: int, **more: Any) -> dict[str, Any]:
    """An answer to /v1/loads: a rank per number of waiting requests."""
    ranks = [{"dp_rank": rank, "num_waiting_reqs": n, **more} for rank, n in enumerate(waiting)]
    return {"loads": ranks}


class World:
    """A monitor over one registry."""

    def __init__(self, *, interval: float = 10.0, gauges: bool = False) -> None:
        self.clock = SteppedClock()
        self.fetcher = FakeFetcher()
        self.registry = WorkerRegistry()
        self.reports = LoadReports()
        self.rounds: list[frozenset[str]] = []
        self.reports.subscribe(self.rounds.append)
        self.needed = True
        self.in_use: list[tuple[str, str]] = []
        self.metrics = GatewayMetrics(Registry())
        self.sources = LoadSources(self.registry, self.fetcher)
        self.monitor = LoadMonitor(
            self.registry,
            self.sources,
            self.reports,
            self.clock,
            interval=interval,
            needed=lambda: self.needed,
            load_aware=lambda: self.in_use,
            gauges=EngineGauges(self.metrics) if gauges else None,
        )

    def add(
        self,
        url: str = URL,
        *,
        model: str = "m",
        waiting: tuple[int, ...] = (1,),
        labels: dict[str, str] | None = None,
        worker_type: str = "regular",
    ) -> Worker:
        base, _, rank = url.partition("@")
        worker = Worker(
            base, models=[ModelCard(model)], api_key="k", labels=labels, worker_type=worker_type
        )
        worker.url = url if rank else worker.url
        self.registry.add(worker)
        self.registry.set_status(worker, WorkerStatus.READY)
        self.fetcher.set(base, LOADS_PATH, 200, loads(*waiting))
        return worker

    def waiting(self, url: str = URL) -> int | None:
        """Of the published report."""
        report = self.reports.get(url)
        return None if report is None else sum(r.waiting_requests or 0 for r in report.ranks)

    def asked(self) -> list[str]:
        """URLs that were asked since the last call."""
        urls = [asked.url for asked in self.fetcher.asked]
        self.fetcher.asked.clear()
        return urls

    def series(self) -> Samples:
        """A scrape."""
        return Samples(render(self.metrics.registry).decode())


@asynccontextmanager
async def world(**options: Any) -> AsyncIterator[World]:
    made = World(**options)
    made.monitor.start()
    try:
        yield made
    finally:
        await made.monitor.close()
    assert made.clock.planned == 0
    assert made.fetcher.in_flight == 0


async def test_soon_and_then_every_interval() -> None:
    async with world() as w:
        w.add()
        await w.clock.advance(1)
        assert w.asked() == [URL]
        assert w.waiting() == 1
        w.fetcher.set(URL, LOADS_PATH, 200, loads(5))
        await w.clock.advance(8)
        assert (w.asked(), w.waiting()) == ([], 1)
        await w.clock.advance(2)
        assert (w.asked(), w.waiting()) == ([URL], 5)
        assert w.rounds == [frozenset({URL})] * 2


async def test_the_interval_of_the_flag() -> None:
    async with world(interval=3) as w:
        w.add()
        await w.clock.advance(10)
        assert len(w.asked()) == 4


async def test_nobody_is_asked_while_nobody_wants_to_know() -> None:
    async with world() as w:
        w.needed = False
        w.add()
        await w.clock.advance(60)
        assert w.asked() == []
        w.needed = True
        await w.clock.advance(11)
        assert w.asked() == [URL]
        assert w.waiting() == 1
        w.needed = False
        await w.clock.advance(10)
        assert w.asked() == []
        assert len(w.reports) == 0
        w.needed = True
        await w.clock.advance(10)
        assert w.asked() == [URL]


async def test_only_ready_http_workers_are_asked() -> None:
    async with world() as w:
        worker = w.add()
        w.registry.add(Worker("grpc://g:1", connection_mode="grpc"))
        w.registry.add(Worker("http://pending:1"))
        await w.clock.advance(1)
        assert w.asked() == [URL]
        w.registry.set_status(worker, WorkerStatus.NOT_READY)
        await w.clock.advance(60)
        assert w.asked() == []


@pytest.mark.parametrize("how", ["removed", "not_ready", "draining"])
async def test_a_worker_that_leaves_takes_its_report_along(how: str) -> None:
    async with world(gauges=True) as w:
        worker, other = w.add(), w.add("http://other:1")
        await w.clock.advance(1)
        assert len(w.reports) == 2
        if how == "removed":
            w.registry.remove(worker.id)
        else:
            w.registry.set_status(worker, WorkerStatus(how))
        await w.clock.advance(GATHER_SECS)
        assert list(w.reports) == [other.url]
        assert [
            labels["worker"] for labels in w.series().labels("smg_engine_waiting_requests")
        ] == [other.url]


async def test_an_answer_that_comes_after_the_worker_left_is_not_published() -> None:
    async with world() as w:
        worker = w.add()
        w.fetcher.gate = asyncio.Event()
        await w.clock.advance(1)
        w.registry.remove(worker.id)
        w.fetcher.gate.set()
        await w.clock.advance(1)
        assert (len(w.reports), w.rounds) == (0, [])


@pytest.mark.parametrize("status", [500, 401, 404])
async def test_a_failed_poll_drops_the_report(status: int) -> None:
    async with world(gauges=True) as w:
        w.add()
        await w.clock.advance(1)
        w.fetcher.set(URL, LOADS_PATH, status)
        await w.clock.advance(10)
        assert w.waiting() is None
        assert w.rounds[-1] == frozenset()
        assert w.series().labels("smg_engine_waiting_requests") == []
        w.fetcher.set(URL, METRICS_PATH, 200, b"vllm:kv_cache_usage_perc 0.5\n")
        await w.clock.advance(10)
        assert w.waiting() == 0


async def test_a_new_worker_does_not_wait_for_the_next_round() -> None:
    async with world() as w:
        w.add()
        await w.clock.advance(5)
        w.asked()
        w.add("http://new:1")
        await w.clock.advance(1)
        assert w.asked() == ["http://new:1"]
        assert w.waiting("http://new:1") == 1


async def test_a_slow_worker_does_not_hold_up_the_others() -> None:
    async with world() as w:
        w.add()
        w.add("http://slow:1")
        gate = asyncio.Event()

        fetch = w.fetcher.fetch

        async def gated(base_url: str, *args: Any, **named: Any) -> FakeReply:
            if base_url == "http://slow:1":
                await gate.wait()
            return await fetch(base_url, *args, **named)

        w.fetcher.fetch = gated  # type: ignore[method-assign]
        await w.clock.advance(1)
        assert (w.waiting(), w.waiting("http://slow:1")) == (1, None)
        w.fetcher.set(URL, LOADS_PATH, 200, loads(2))
        await w.clock.advance(20)
        assert w.waiting() == 2
        w.asked()
        gate.set()  # it is asked again soon: its time has passed twice
        await w.clock.advance(1)
        assert w.waiting("http://slow:1") == 1
        assert w.asked() == ["http://slow:1"] * 2


async def test_at_most_32_at_once() -> None:
    async with world() as w:
        urls = [f"http://w{number}:1" for number in range(100)]
        for url in urls:
            w.add(url)
        w.fetcher.gate = asyncio.Event()
        await w.clock.advance(1)
        assert w.fetcher.in_flight == AT_ONCE
        w.fetcher.gate.set()
        await w.clock.advance(1)
        assert w.fetcher.most_in_flight == AT_ONCE
        assert sorted(w.asked()) == sorted(urls)
        assert len(w.reports) == 100


async def test_the_shortest_override_of_a_group_counts_for_all_of_it() -> None:
    async with world() as w:
        w.add("http://a:1", labels={"load_monitor_interval_secs": "2"})
        w.add("http://b:1", labels={"load_monitor_interval_secs": "4"})
        w.add("http://c:1")
        w.add("http://decode:1", worker_type="decode")
        w.add("http://n:1", model="n", labels={"load_monitor_interval_secs": "30"})
        w.add("http://odd:1", model="o", labels={"load_monitor_interval_secs": "soon"})
        await w.clock.advance(1)
        w.asked()
        await w.clock.advance(60)
        asked = w.asked()
        counts = {url: asked.count(url) for url in sorted(set(asked))}
        assert counts == {
            "http://a:1": 30,
            "http://b:1": 30,
            "http://c:1": 30,
            "http://decode:1": 6,
            "http://n:1": 2,
            "http://odd:1": 6,
        }


async def test_ranks_are_asked_once_and_get_their_own_figures() -> None:
    async with world() as w:
        ranks = [w.add(f"http://dp:1@{rank}", waiting=(7, 8, 9)) for rank in range(2)]
        await w.clock.advance(1)
        assert w.asked() == ["http://dp:1"]
        assert [w.waiting(rank.url) for rank in ranks] == [7, 8]


async def test_a_policy_without_sight_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    async with world() as w:
        w.add()
        w.fetcher.set(URL, LOADS_PATH, 404)
        w.in_use = [("m", "power_of_two")]
        await w.clock.advance(29)
        assert caplog.records == []
        await w.clock.advance(3)
        (record,) = caplog.records
        assert record.levelno == logging.WARNING
        assert record.getMessage() == f"{BLIND}: no worker reports load"
        await w.clock.advance(100)
        assert len(caplog.records) == 1
        w.in_use.append(("n", "least_load"))
        await w.clock.advance(60)  # nobody serves n, so nobody could have told
        assert len(caplog.records) == 1


async def test_no_warning_where_one_worker_reports(caplog: pytest.LogCaptureFixture) -> None:
    async with world() as w:
        w.add()
        w.add("http://dumb:1")
        w.fetcher.set("http://dumb:1", LOADS_PATH, 404)
        w.add("http://blind:1", model="n")
        w.fetcher.set("http://blind:1", LOADS_PATH, 404)
        w.in_use = [("m", "power_of_two"), ("unknown", "power_of_two")]
        await w.clock.advance(100)
        assert caplog.records == []
        w.in_use.append(("n", "power_of_two"))
        await w.clock.advance(60)
        assert [record.args for record in caplog.records] == [("power_of_two", "n")]


async def test_three_rounds_in_a_row(caplog: pytest.LogCaptureFixture) -> None:
    async with world() as w:
        w.add()
        w.in_use = [("m", "power_of_two")]
        await w.clock.advance(1)
        for _ in range(4):
            w.fetcher.set(URL, LOADS_PATH, 503)
            await w.clock.advance(20)
            w.fetcher.set(URL, LOADS_PATH, 200, loads(1))
            await w.clock.advance(10)
        assert caplog.records == []


async def test_closing_ends_questions_under_way() -> None:
    async with world() as w:
        w.add()
        w.fetcher.gate = asyncio.Event()
        await w.clock.advance(1)
        assert w.fetcher.in_flight == 1
