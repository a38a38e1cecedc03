"""Where the load of a worker comes from: each source, and what is remembered of it."""

from __future__ import annotations

import pytest

from smg.core.errors import UpstreamTimeout
from smg.fleet.load_sources import (
    ASK_SECS,
    LOADS_PATH,
    METRICS_PATH,
    LoadSources,
    base_url,
    own_report,
)
from smg.workers import (
    LoadReport,
    ModelCard,
    RankLoad,
    Worker,
    WorkerRegistry,
    WorkerStatus,
)
from tests.doubles.fetcher import FakeFetcher
from tests.unit.fleet.test_load_formats import NATIVE, SGLANG, VLLM

URL = "http://w:1"


class World:
    """One worker and who asks it."""

    def __init__(self, *, key: str | None = "k") -> None:
        self.registry = WorkerRegistry()
        self.fetcher = FakeFetcher()
        self.fetcher.set(URL, "/health", 200)  # it is there; other paths are 404
        self.worker = Worker(URL, api_key=key)
        self.registry.add(self.worker)
        self.registry.set_status(self.worker, WorkerStatus.READY)
        self.sources = LoadSources(self.registry, self.fetcher)

    async def source(self) -> str:
        """Where the report came from, or nothing."""
        said = await self.sources.ask(self.worker)
        assert (said.report is None) == bool(said.problem)
        return said.report.source if said.report else ""

    async def asked(self) -> list[str]:
        """The paths that one question asks for."""
        self.fetcher.asked.clear()
        await self.sources.ask(self.worker)
        return self.fetcher.paths()


async def test_native() -> None:
    world = World()
    world.fetcher.set(URL, LOADS_PATH, 200, NATIVE)
    said = await world.sources.ask(world.worker)
    assert said.report is not None
    assert (said.report.source, said.data) == ("loads", NATIVE)
    (asked,) = world.fetcher.asked
    assert (asked.method, asked.timeout) == ("GET", ASK_SECS)
    assert asked.headers[b"authorization"] == b"Bearer k"


@pytest.mark.parametrize("status", [404, 405, 501])
async def test_a_worker_without_the_route_is_asked_for_it_once(status: int) -> None:
    world = World()
    world.fetcher.set(URL, LOADS_PATH, status)
    world.fetcher.set(URL, METRICS_PATH, 200, VLLM)
    assert await world.asked() == [LOADS_PATH, METRICS_PATH]
    assert await world.asked() == [METRICS_PATH]
    assert await world.source() == "vllm"
    assert world.fetcher.asked[-1].headers == {b"authorization": b"Bearer k"}


@pytest.mark.parametrize("body", [b"", b"OK", b"[]", b'{"loads":3}', b'{"loads":[1]}', b"\xff{"])
async def test_an_answer_of_another_shape_is_no_such_route(body: bytes) -> None:
    world = World()
    world.fetcher.set(URL, LOADS_PATH, 200, body)
    assert await world.asked() == [LOADS_PATH, METRICS_PATH]
    assert await world.asked() == [METRICS_PATH]


@pytest.mark.parametrize("status", [500, 503, 401, 403, 400, 302])
async def test_a_refusal_is_asked_again(status: int) -> None:
    world = World()
    world.fetcher.set(URL, LOADS_PATH, status)
    world.fetcher.set(URL, METRICS_PATH, 200, SGLANG)
    assert await world.asked() == [LOADS_PATH, METRICS_PATH]
    assert await world.source() == "sglang"
    world.fetcher.set(URL, LOADS_PATH, 200, NATIVE)
    assert await world.source() == "loads"


@pytest.mark.parametrize("loads", [[], [{}], [{"num_waiting_reqs": -1}]])
async def test_an_answer_that_tells_nothing_is_asked_again(loads: list[object]) -> None:
    world = World()
    world.fetcher.set(URL, LOADS_PATH, 200, {"loads": loads})
    assert await world.asked() == [LOADS_PATH, METRICS_PATH]
    assert await world.source() == ""
    world.fetcher.set(URL, LOADS_PATH, 200, NATIVE)
    assert await world.source() == "loads"


async def test_no_answer_in_time_is_the_end_of_the_question() -> None:
    world = World()
    world.fetcher.fail(URL, LOADS_PATH, UpstreamTimeout("No answer in time"))
    assert await world.asked() == [LOADS_PATH]
    assert await world.source() == ""
    world.fetcher.set(URL, LOADS_PATH, 200, NATIVE)
    assert await world.source() == "loads"


async def test_nobody_tells() -> None:
    world = World(key=None)
    assert await world.source() == ""
    assert b"authorization" not in world.fetcher.asked[-1].headers
    world.fetcher.set(URL, METRICS_PATH, 200, b"something_else 3\n")
    assert await world.source() == ""
    world.fetcher.fail(URL, METRICS_PATH, UpstreamTimeout("No answer in time"))
    assert await world.source() == ""


async def test_what_was_missing_is_looked_for_again_when_the_engine_may_be_another() -> None:
    world = World()
    worker, registry = world.worker, world.registry
    assert await world.asked() == [LOADS_PATH, METRICS_PATH]
    assert await world.asked() == [METRICS_PATH]
    worker.runtime = "sglang"
    assert await world.asked() == [LOADS_PATH, METRICS_PATH]
    assert await world.asked() == [METRICS_PATH]
    registry.set_models(worker, [ModelCard("m")])
    assert await world.asked() == [LOADS_PATH, METRICS_PATH]
    registry.set_status(worker, WorkerStatus.NOT_READY)
    assert await world.asked() == [METRICS_PATH]
    registry.set_status(worker, WorkerStatus.READY)
    assert await world.asked() == [LOADS_PATH, METRICS_PATH]
    registry.remove(worker.id)
    registry.add(worker)
    assert await world.asked() == [LOADS_PATH, METRICS_PATH]


async def test_nothing_is_remembered_of_a_worker_that_left_meanwhile() -> None:
    world = World()
    world.registry.remove(world.worker.id)
    await world.asked()
    assert world.sources._absent == {}


async def test_a_rank_is_asked_at_its_base() -> None:
    world = World()
    world.worker.url = f"{URL}@1"
    world.fetcher.set(URL, LOADS_PATH, 200, NATIVE)
    assert await world.source() == "loads"


def test_base_url() -> None:
    assert base_url("http://h:1@12") == "http://h:1"
    assert base_url("http://h:1/base@0") == "http://h:1/base"
    assert base_url("http://h:1/a@b") == "http://h:1/a@b"


def test_the_part_of_a_rank() -> None:
    ranks = tuple(RankLoad(dp_rank=number, waiting_requests=number) for number in range(3))
    report = LoadReport(ranks, "loads")
    assert own_report("http://h:1", report) is report
    assert own_report("http://h:1@2", report) == LoadReport(ranks[2:], "loads")
    assert own_report("http://h:1@7", report) is None
    assert own_report("http://h:1@0", None) is None
    # Metrics do not tell ranks apart; an entry may tell nothing.
    assert own_report("http://h:1@0", LoadReport(ranks[:1], "vllm")) is None
    assert own_report("http://h:1@0", LoadReport((RankLoad(),), "loads")) is None
