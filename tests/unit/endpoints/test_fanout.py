"""Calls to every worker: flush_cache, get_loads, engine_metrics, stored responses."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from smg.core.errors import UpstreamTimeout
from smg.endpoints.engine_metrics import EngineMetrics
from smg.endpoints.fanout import Loads, flush_cache, for_each
from smg.endpoints.responses import fan_out
from smg.fleet.load_sources import LOADS_PATH, LoadSources
from smg.workers import Worker, WorkerRegistry, WorkerStatus
from tests.doubles.clock import SteppedClock
from tests.doubles.exchange import FakeExchange
from tests.doubles.fetcher import FakeFetcher

EXCHANGE: Any = FakeExchange()


def fleet(count: int) -> tuple[WorkerRegistry, FakeFetcher, list[Worker]]:
    registry, fetcher = WorkerRegistry(), FakeFetcher()
    workers = [Worker(f"http://w{number}:1", api_key="k") for number in range(count)]
    for worker in workers:
        registry.add(worker)
    return registry, fetcher, workers


async def test_at_most_32_at_a_time_and_results_in_order() -> None:
    running = most = 0

    async def ask(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return number

    assert await for_each(range(100), ask) == list(range(100))
    assert most == 32


async def test_an_error_ends_the_others() -> None:
    ended = asyncio.Event()

    async def ask(number: int) -> None:
        if number:
            raise ValueError(number)
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(ValueError, match="1"):
        await for_each([0, 1], ask)
    assert ended.is_set()


async def test_flush_without_workers() -> None:
    registry, fetcher, _ = fleet(0)
    answer = await flush_cache(registry, fetcher)(EXCHANGE)
    body = orjson.loads(answer.body)
    assert answer.status == 200
    assert (body["status"], body["workers_flushed"], body["total_workers"]) == ("success", 0, 0)


async def test_flush() -> None:
    registry, fetcher, workers = fleet(2)
    registry.add(Worker("grpc://g:1"))
    for worker in workers:
        fetcher.set(worker.url, "/flush_cache", 200)
    answer = await flush_cache(registry, fetcher)(EXCHANGE)
    body = orjson.loads(answer.body)
    assert answer.status == 200
    assert body.pop("message")
    assert body == {
        "status": "success",
        "workers_flushed": 2,
        "total_http_workers": 2,
        "total_grpc_workers": 1,
        "total_zmq_workers_skipped": 0,
        "total_workers": 3,
    }
    assert [(a.method, a.headers) for a in fetcher.asked] == [
        ("POST", {b"authorization": b"Bearer k"})
    ] * 2


async def test_flush_that_partly_fails() -> None:
    registry, fetcher, workers = fleet(3)
    fetcher.set(workers[0].url, "/flush_cache", 200)
    fetcher.set(workers[1].url, "/flush_cache", 400)
    fetcher.fail(workers[2].url, "/flush_cache", UpstreamTimeout("No answer in time"))
    answer = await flush_cache(registry, fetcher)(EXCHANGE)
    body = orjson.loads(answer.body)
    assert (answer.status, body["status"]) == (206, "partial_success")
    assert body["successful"] == [workers[0].url]
    assert body["failed"] == [
        {"worker": workers[1].url, "error": "status 400"},
        {"worker": workers[2].url, "error": "No answer in time"},
    ]


async def test_loads() -> None:
    registry, fetcher, workers = fleet(4)
    ranks = [
        {"dp_rank": 0, "num_used_tokens": 5, "max_total_num_tokens": 9, "other": 1},
        {"dp_rank": 1, "num_used_tokens": 7},
    ]
    fetcher.set(workers[0].url, LOADS_PATH, 200, {"timestamp": 1, "loads": ranks})
    fetcher.set(workers[1].url, LOADS_PATH, 404)
    fetcher.set(workers[2].url, LOADS_PATH, 200, [1])
    fetcher.set(workers[3].url, LOADS_PATH, 503)
    fetcher.set(workers[3].url, "/metrics", 200, b"vllm:kv_cache_usage_perc 0.5\n")
    loads = Loads(registry, LoadSources(registry, fetcher))
    answer = await loads.handle(EXCHANGE)
    body = orjson.loads(answer.body)
    assert answer.status == 200
    assert [entry["load"] for entry in body["workers"]] == [12, -1, -1, -1]
    assert (body["total_workers"], body["successful"], body["failed"]) == (4, 1, 3)
    assert body["workers"][0] == {
        "worker": workers[0].url,
        "worker_type": "regular",
        "load": 12,
        "details": {
            "timestamp": 1,
            "dp_rank_count": 2,
            "loads": [
                {"dp_rank": 0, "num_used_tokens": 5, "max_total_num_tokens": 9},
                {"dp_rank": 1, "num_used_tokens": 7},
            ],
        },
    }
    # Metrics give shares and no amounts.
    assert body["workers"][3]["details"]["loads"] == [{"dp_rank": 0, "token_usage": 0.5}]
    assert "details" not in body["workers"][1]
    # Absence is remembered, a failure is not.
    fetcher.asked.clear()
    await loads.handle(EXCHANGE)
    asked = [asked.url for asked in fetcher.asked if asked.path == LOADS_PATH]
    assert asked == [workers[0].url, workers[3].url]


async def test_loads_of_workers_that_speak_otherwise_and_of_ranks() -> None:
    registry, fetcher, (worker,) = fleet(1)
    registry.add(Worker("grpc://g:1"))
    registry.add(Worker("http://r:1", dp_rank=1))
    used = [{"dp_rank": n, "num_used_tokens": n + 1, "num_waiting_reqs": 0} for n in range(2)]
    fetcher.set("http://r:1", LOADS_PATH, 200, {"loads": used})
    body = orjson.loads(
        (await Loads(registry, LoadSources(registry, fetcher)).handle(EXCHANGE)).body
    )
    assert [entry["load"] for entry in body["workers"]] == [-1, -1, 2]
    assert body["workers"][2]["details"]["loads"] == used[1:]
    assert worker.url not in [asked.url for asked in fetcher.asked if asked.path == "/metrics"]


async def test_engine_metrics() -> None:
    registry, fetcher, workers = fleet(3)
    metrics = EngineMetrics(registry, fetcher, SteppedClock())
    text = b"# TYPE vllm:running gauge\nvllm:running 3\n"
    fetcher.set(workers[0].url, "/metrics", 200, text)
    fetcher.set(workers[1].url, "/metrics", 500)
    answer = await metrics.handle(EXCHANGE)
    assert answer.status == 200
    assert answer.content_type.startswith(b"text/plain")
    assert b'worker_addr="http://w0:1"' in answer.body
    assert b"w1" not in answer.body
    await metrics.handle(EXCHANGE)
    assert len(fetcher.asked) == 3
    await metrics.close()


async def test_engine_metrics_without_an_answer() -> None:
    registry, fetcher, _ = fleet(0)
    answer = await EngineMetrics(registry, fetcher, SteppedClock()).handle(EXCHANGE)
    assert (answer.status, answer.body) == (500, b"No available workers")
    registry, fetcher, _ = fleet(2)
    answer = await EngineMetrics(registry, fetcher, SteppedClock()).handle(EXCHANGE)
    assert (answer.status, answer.body) == (500, b"All backend requests failed")


async def test_engine_metrics_that_nobody_can_read() -> None:
    registry, fetcher, workers = fleet(1)
    fetcher.set(workers[0].url, "/metrics", 200, b"<html>not metrics</html>")
    answer = await EngineMetrics(registry, fetcher, SteppedClock()).handle(EXCHANGE)
    assert (answer.status, answer.body) == (200, b"")


class Ranks:
    """Three data-parallel ranks behind one address, and a worker of its own."""

    def __init__(self) -> None:
        self.registry, self.fetcher, (self.alone,) = fleet(1)
        for rank in range(3):
            self.registry.add(Worker("http://r:1", dp_rank=rank, api_key="k"))
        for worker in self.registry.all():
            self.registry.set_status(worker, WorkerStatus.READY)

    def asked(self) -> list[str]:
        return sorted(asked.url for asked in self.fetcher.asked)


BOTH = ["http://r:1", "http://w0:1"]
NAMES = ["http://w0:1", "http://r:1@0", "http://r:1@1", "http://r:1@2"]


async def test_ranks_share_a_cache_to_flush() -> None:
    r = Ranks()
    for url in BOTH:
        r.fetcher.set(url, "/flush_cache", 200)
    answer = await flush_cache(r.registry, r.fetcher)(EXCHANGE)
    body = orjson.loads(answer.body)
    assert (answer.status, body["workers_flushed"], body["total_workers"]) == (200, 4, 4)
    assert r.asked() == BOTH
    r.fetcher.set("http://r:1", "/flush_cache", 500)
    body = orjson.loads((await flush_cache(r.registry, r.fetcher)(EXCHANGE)).body)
    assert body["successful"] == NAMES[:1]
    assert [one["worker"] for one in body["failed"]] == NAMES[1:]


async def test_ranks_are_asked_once_for_their_loads() -> None:
    r = Ranks()
    used = [{"dp_rank": n, "num_used_tokens": n + 1, "num_waiting_reqs": 0} for n in range(3)]
    r.fetcher.set("http://r:1", LOADS_PATH, 200, {"loads": used})
    answer = await Loads(r.registry, LoadSources(r.registry, r.fetcher)).handle(EXCHANGE)
    entries = orjson.loads(answer.body)["workers"]
    assert [entry["worker"] for entry in entries] == NAMES
    assert [entry["load"] for entry in entries] == [-1, 1, 2, 3]
    assert [asked.url for asked in r.fetcher.asked if asked.path == LOADS_PATH].count(BOTH[0]) == 1


async def test_ranks_have_one_exposition() -> None:
    r = Ranks()
    r.fetcher.set("http://r:1", "/metrics", 200, b"# TYPE vllm:running gauge\nvllm:running 3\n")
    r.fetcher.set("http://w0:1", "/metrics", 404)
    metrics = EngineMetrics(r.registry, r.fetcher, SteppedClock())
    answer = await metrics.handle(EXCHANGE)
    assert answer.body.count(b'worker_addr="http://r:1"') == 1
    assert b"@" not in answer.body
    assert r.asked() == BOTH
    await metrics.close()


@pytest.mark.parametrize(("method", "suffix"), [("GET", ""), ("DELETE", ""), ("POST", "/cancel")])
async def test_ranks_have_the_same_stored_responses(method: str, suffix: str) -> None:
    r = Ranks()
    path = f"/v1/responses/resp_1{suffix}"
    r.fetcher.set("http://w0:1", path, 404)
    r.fetcher.set("http://r:1", path, 200, {"id": "resp_1"})
    exchange: Any = FakeExchange(params={"response_id": "resp_1"})
    answer = await fan_out(r.registry, r.fetcher, method, suffix)(exchange)  # type: ignore[arg-type]
    assert (answer.status, orjson.loads(answer.body)) == (200, {"id": "resp_1"})
    assert r.asked() == BOTH
