"""Profilers of the engines: who is asked, with what, and how the answers add up."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from smg.core.errors import RequestError, UpstreamTimeout
from smg.endpoints.profile import PROFILE_SECS, Profile
from smg.workers import Worker, WorkerRegistry
from tests.doubles.exchange import FakeExchange
from tests.doubles.fetcher import FakeFetcher


class World:
    """Workers w0, w1 ... that all profile when asked."""

    def __init__(self, count: int = 2) -> None:
        self.registry, self.fetcher = WorkerRegistry(), FakeFetcher()
        self.profile = Profile(self.registry, self.fetcher)
        for number in range(count):
            self.add(Worker(f"http://w{number}:1", api_key="k"))

    def add(self, worker: Worker) -> None:
        self.registry.add(worker)
        for path in ("/start_profile", "/stop_profile"):
            self.fetcher.set(worker.base_url, path, 200)

    async def call(self, what: str, body: Any = None) -> tuple[int, dict[str, Any]]:
        exchange: Any = FakeExchange()
        exchange.body = body if isinstance(body, bytes) else orjson.dumps(body) if body else b""
        answer = await getattr(self.profile, what)(exchange)
        data = orjson.loads(answer.body)
        assert data.pop("message")
        return answer.status, data


async def test_all_workers() -> None:
    w = World()
    expected = {"status": "success", "workers_profiled": 2, "total_workers": 2}
    assert await w.call("start") == (200, expected)
    assert await w.call("stop") == (200, expected)
    start, _, stop, _ = w.fetcher.asked
    assert (start.url, start.method, start.path) == ("http://w0:1", "POST", "/start_profile")
    assert start.headers == {
        b"authorization": b"Bearer k",
        b"content-type": b"application/json",
    }
    assert (start.body, start.timeout) == (b"{}", PROFILE_SECS)
    assert (stop.path, stop.body) == ("/stop_profile", b"")
    assert stop.headers == {b"authorization": b"Bearer k"}


async def test_options_are_passed_on_and_the_url_is_not() -> None:
    w = World()
    options = {
        "output_dir": "/tmp/traces",
        "start_step": 3,
        "num_steps": 5,
        "activities": ["CPU", "GPU"],
        "with_stack": True,
        "record_shapes": None,
        "profile_by_stage": False,
        "merge_profiles": True,
    }
    expected = {"status": "success", "workers_profiled": 1, "total_workers": 1}
    assert await w.call("start", {"url": "http://w1:1", **options}) == (200, expected)
    ((asked),) = w.fetcher.asked
    assert asked.url == "http://w1:1"
    assert orjson.loads(asked.body) == options


async def test_one_worker_in_another_spelling() -> None:
    w = World()
    status, _ = await w.call("stop", {"url": "http://W1:1/v1/"})
    assert (status, [asked.url for asked in w.fetcher.asked]) == (200, ["http://w1:1"])


@pytest.mark.parametrize("url", ["http://none", "nonsense", "", "http://w0:1@0"])
async def test_nobody_matches(url: str) -> None:
    w = World()
    expected = {"status": "error", "workers_profiled": 0, "total_workers": 0}
    assert await w.call("start", {"url": url}) == (404, expected)
    assert await World(0).call("stop") == (404, expected)
    assert w.fetcher.asked == []


async def test_some_fail() -> None:
    w = World(3)
    w.fetcher.set("http://w1:1", "/start_profile", 400)
    w.fetcher.fail("http://w2:1", "/start_profile", UpstreamTimeout("No answer in time"))
    w.add(Worker("ipc:///tmp/engine"))
    assert await w.call("start") == (
        206,
        {
            "status": "partial_success",
            "workers_profiled": 1,
            "total_workers": 4,
            "successful": ["http://w0:1"],
            "failed": [
                {"worker": "http://w1:1", "error": "status 400"},
                {"worker": "http://w2:1", "error": "No answer in time"},
                {
                    "worker": "ipc:///tmp/engine",
                    "error": "a zmq worker cannot be profiled through the gateway",
                },
            ],
        },
    )


async def test_ranks_share_an_address_and_a_profiler() -> None:
    w = World(0)
    for rank in range(3):
        w.add(Worker("http://r:1", dp_rank=rank))
    expected = {"status": "success", "workers_profiled": 3, "total_workers": 3}
    assert await w.call("start") == (200, expected)
    assert await w.call("start", {"url": "http://r:1"}) == (200, expected)
    status, body = await w.call("start", {"url": "http://r:1@2"})
    assert (status, body["total_workers"]) == (200, 1)
    assert [asked.url for asked in w.fetcher.asked] == ["http://r:1"] * 3
    w.fetcher.set("http://r:1", "/stop_profile", 500)
    _, body = await w.call("stop")
    assert [one["worker"] for one in body["failed"]] == [f"http://r:1@{n}" for n in range(3)]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "not valid JSON"),
        (b"[]", "must be a JSON object"),
        ({"url": 1}, "url: must be a string"),
        ({"num_steps": 0}, "num_steps: must be at least 1"),
        ({"num_steps": "5"}, "num_steps: must be an integer"),
        ({"activities": "CPU"}, "activities: must be an array of strings"),
        ({"activities": ["CPU", 1]}, "activities[1]: must be a string"),
        ({"with_stack": 1}, "with_stack: must be true or false"),
        ({"x": 1, "y": orjson.Fragment(b"[" * 500 + b"]" * 500)}, "nested too deep"),
    ],
)
async def test_options_that_no_worker_would_take(body: Any, words: str) -> None:
    w = World()
    with pytest.raises(RequestError) as caught:
        await w.call("start", body)
    assert caught.value.status == 400
    assert words in caught.value.message
    assert w.fetcher.asked == []
