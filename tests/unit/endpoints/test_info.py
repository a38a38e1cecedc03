"""Info routes: names old and new, what strangers see; one shared verdict of health_generate."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from smg.core.errors import BadReply, ConnectFailed, NoWorkerError
from smg.endpoints.info import HealthGenerate, WorkerInfo
from smg.workers import ModelCard, Worker, WorkerRegistry, WorkerStatus
from tests.doubles.clock import SteppedClock
from tests.doubles.exchange import FakeExchange
from tests.doubles.fetcher import FakeFetcher, FakeReply

URL = "http://w:1"


class World:
    """One ready worker."""

    def __init__(self, *, trusted: bool = True) -> None:
        self.clock = SteppedClock()
        self.fetcher = FakeFetcher()
        self.registry = WorkerRegistry()
        self.worker = Worker(URL, models=[ModelCard("m")], api_key="k")
        self.registry.add(self.worker)
        self.registry.set_status(self.worker, WorkerStatus.READY)
        self.info = WorkerInfo(self.registry, self.fetcher, lambda exchange: trusted)
        self.generate = HealthGenerate(self.registry, self.fetcher, self.clock)


def exchange() -> FakeExchange:
    return FakeExchange()


async def test_new_name_first_then_the_old_one_remembered() -> None:
    w = World()
    w.fetcher.set(URL, "/get_model_info", 200, {"model_path": "/m"})
    for _ in range(2):
        answer = await w.info.model_info(exchange())  # type: ignore[arg-type]
        assert (answer.status, orjson.loads(answer.body)) == (200, {"model_path": "/m"})
    assert w.fetcher.paths() == ["/model_info", "/get_model_info", "/get_model_info"]
    assert w.fetcher.asked[0].headers == {
        b"authorization": b"Bearer k",
        b"x-request-id": b"req-test",
    }
    # The engine is replaced by a newer one.
    w.fetcher.down(URL)
    w.fetcher.set(URL, "/model_info", 200, {"model_path": "/n"})
    assert (await w.info.model_info(exchange())).status == 404  # type: ignore[arg-type]
    assert (await w.info.model_info(exchange())).status == 200  # type: ignore[arg-type]
    w.registry.remove(w.worker.id)
    assert w.info._known == {}


async def test_a_rank_is_asked_at_its_address() -> None:
    # Trap 19.
    w = World()
    w.registry.remove(w.worker.id)
    rank = Worker(URL, dp_rank=3, api_key="k")
    w.registry.add(rank)
    w.registry.set_status(rank, WorkerStatus.READY)
    for path in ("/model_info", "/server_info", "/health_generate"):
        w.fetcher.set(URL, path, 200, {})
    assert (await w.info.model_info(exchange())).status == 200  # type: ignore[arg-type]
    assert (await w.info.server_info(exchange())).status == 200  # type: ignore[arg-type]
    assert (await w.generate.handle(exchange())).status == 200  # type: ignore[arg-type]
    assert {asked.url for asked in w.fetcher.asked} == {URL}
    assert {asked.headers[b"authorization"] for asked in w.fetcher.asked} == {b"Bearer k"}


async def test_everything_for_the_trusted() -> None:
    w = World()
    body = b'{"server_args": {"api_key": "secret"},  "version":"1"}'
    w.fetcher.set(URL, "/server_info", 200, body, content_type="application/json; v=1")
    answer = await w.info.server_info(exchange())  # type: ignore[arg-type]
    assert answer.body == body
    assert answer.content_type == b"application/json; v=1"


async def test_strangers_see_no_arguments_and_no_addresses() -> None:
    w = World(trusted=False)
    info = {
        "server_args": {"api_key": "secret"},
        "api_key": "secret",
        "host": "10.0.0.1",
        "worker_urls": [URL],
        "internal_states": [{"x": 1}],
        "version": "0.5",
        "served_model_name": "m",
        "max_total_num_tokens": 10,
        "status": {"url": URL},
    }
    w.fetcher.set(URL, "/server_info", 200, info, x_worker="http://10.0.0.1")
    answer = await w.info.server_info(exchange())  # type: ignore[arg-type]
    assert orjson.loads(answer.body) == {
        "version": "0.5",
        "served_model_name": "m",
        "max_total_num_tokens": 10,
    }
    assert answer.headers == ()
    w.fetcher.set(URL, "/model_info", 200, {"model_path": "/m", "server_args": {}, "url": URL})
    answer = await w.info.model_info(exchange())  # type: ignore[arg-type]
    assert orjson.loads(answer.body) == {"model_path": "/m"}


async def test_nonsense_is_not_shown_to_strangers() -> None:
    w = World(trusted=False)
    w.fetcher.set(URL, "/server_info", 500, b"Traceback: http://10.0.0.1")
    with pytest.raises(BadReply):
        await w.info.server_info(exchange())  # type: ignore[arg-type]


async def test_nobody_to_ask() -> None:
    w = World()
    w.registry.set_status(w.worker, WorkerStatus.NOT_READY)
    for handler in (w.info.model_info, w.info.server_info, w.generate.handle):
        with pytest.raises(NoWorkerError) as caught:
            await handler(exchange())  # type: ignore[arg-type]
        assert caught.value.code == "no_workers"


async def test_health_generate_relays_the_answer() -> None:
    w = World()
    reply = FakeReply(
        503,
        b"busy",
        [(b"content-type", b"text/plain"), (b"x-a", b"1"), (b"content-length", b"4")],
    )
    w.fetcher.answers[URL, "/health_generate"] = reply
    answer = await w.generate.handle(exchange())  # type: ignore[arg-type]
    assert (answer.status, answer.body, answer.content_type) == (503, b"busy", b"text/plain")
    assert list(answer.headers) == [(b"x-a", b"1")]


async def test_a_verdict_holds_for_a_second_and_is_shared() -> None:
    w = World()
    w.fetcher.set(URL, "/health_generate", 200)
    w.fetcher.gate = asyncio.Event()
    callers = [asyncio.ensure_future(w.generate.handle(exchange())) for _ in range(5)]  # type: ignore[arg-type]
    await w.clock.settle()
    callers[0].cancel()  # the client that asked first leaves
    w.fetcher.gate.set()
    await w.clock.settle()
    assert callers[0].cancelled()
    assert all(caller.result().status == 200 for caller in callers[1:])
    await w.clock.advance(0.9)
    await w.generate.handle(exchange())  # type: ignore[arg-type]
    assert len(w.fetcher.asked) == 1
    await w.clock.advance(0.2)
    await w.generate.handle(exchange())  # type: ignore[arg-type]
    assert len(w.fetcher.asked) == 2


async def test_errors_are_verdicts_too(caplog: pytest.LogCaptureFixture) -> None:
    w = World()
    for _ in range(3):
        with pytest.raises(ConnectFailed):
            await w.generate.handle(exchange())  # type: ignore[arg-type]
    assert len(w.fetcher.asked) == 1
    assert caplog.records == []


async def test_closing_ends_a_probe_under_way() -> None:
    w = World()
    w.fetcher.set(URL, "/health_generate", 200)
    w.fetcher.gate = asyncio.Event()
    caller = asyncio.ensure_future(w.generate.handle(exchange()))  # type: ignore[arg-type]
    await w.clock.settle()
    await w.generate.close()
    await asyncio.gather(caller, return_exceptions=True)
    assert w.fetcher.in_flight == 0
