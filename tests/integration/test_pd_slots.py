"""A limit on the requests at a prefill worker, and the row before it, over real sockets."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Any

import msgspec
import pytest

from smg.backends.http.pd.dual import DualRelay
from smg.backends.http.pd.leg import PrefillLeg
from smg.backends.http.pd.slots import PrefillSlots, SlotSettings
from smg.workers import Worker, WorkerStatus
from tests.doubles.gateway import Gateway
from tests.doubles.pairs import RawEngine, pairs, raw_pair
from tests.doubles.raw_client import Answer
from tests.doubles.raw_server import Peer
from tests.doubles.sim import SimWorker
from tests.doubles.traffic import CHAT, chat, error_of, nothing_left, send_chat, until

ENGINES = pytest.mark.parametrize("engine", ["sglang", "vllm"])
ONE: dict[str, Any] = {"prefill_max_inflight_requests_per_worker": 1}


def slots_of(gateway: Gateway) -> PrefillSlots:
    slots = gateway.product.backend.slots
    assert isinstance(slots, PrefillSlots)
    return slots


class Gate:
    """A prefill worker that answers one request for each `open`."""

    def __init__(self) -> None:
        self.arrived: list[int] = []
        self._doors: list[asyncio.Event] = []

    async def __call__(self, peer: Peer) -> None:
        while True:
            request = await peer.read_request()
            door = asyncio.Event()
            self._doors.append(door)
            self.arrived.append(int(msgspec.json.decode(request.body).get("seed", 0)))
            await door.wait()
            await peer.respond(200, {})

    async def open(self) -> None:
        await until(lambda: bool(self._doors))
        self._doors.pop(0).set()


async def decode(peer: Peer) -> None:
    while True:
        await peer.read_request()
        await peer.respond(200, {"ok": 1})


def refused(answer: Answer, code: str) -> None:
    assert answer.status == 429, answer
    error = error_of(answer.body)
    assert (error["code"], error["type"]) == (code, "rate_limit_error")
    assert int(answer.header("retry-after") or 0) >= 2


class Crowd:
    """Requests that are on their way; `seed` tells which is which."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.tasks: list[asyncio.Task[Answer]] = []

    async def come(self, *, waits: bool, **more: Any) -> None:
        """One more, until it is where it is expected."""
        slots, number = slots_of(self.gateway), len(self.tasks)
        before = (slots.inflight, slots.waiting)
        request = self.gateway.post(CHAT, chat(seed=number, **more))
        self.tasks.append(asyncio.create_task(request))
        change = (0, 1) if waits else (1, 0)
        after = (before[0] + change[0], before[1] + change[1])
        await until(lambda: (slots.inflight, slots.waiting) == after)

    async def statuses(self) -> list[int]:
        return [answer.status for answer in await asyncio.gather(*self.tasks)]


@ENGINES
async def test_first_come_first_served(engine: str) -> None:
    gate = Gate()
    async with raw_pair(gate, decode, engine=engine, **ONE) as (gateway, prefill, _):
        crowd = Crowd(gateway)
        await crowd.come(waits=False)
        for _ in range(3):
            await crowd.come(waits=True)
        # who waits holds nothing
        assert [worker.load for worker in gateway.registry.all()] == [1, 1]
        for count in range(1, 5):
            await until(lambda count=count: len(gate.arrived) == count)  # type: ignore[misc]
            assert slots_of(gateway).inflight == 1
            await gate.open()
        assert await crowd.statuses() == [200] * 4
        assert gate.arrived == [0, 1, 2, 3]
        assert len(prefill.requests) == 4
        await nothing_left(gateway)
        assert slots_of(gateway).inflight == 0
        samples = await gateway.metrics()
        admission = "smg_pd_prefill_admission"
        assert samples.value(f"{admission}_wait_seconds_count") == 3
        assert samples.value(f"{admission}_queued") == 0
        assert samples.value(f"{admission}_inflight", worker=prefill.url) == 0
        assert samples.value("smg_worker_selection_total", worker_type="decode") == 4
        assert samples.value("smg_router_requests_total", backend_type="pd") == 4


async def test_a_slot_is_held_to_the_end_of_prefill_not_of_the_request() -> None:
    """The client has its whole answer, and prefill still works: that is what the limit is for."""
    finish = asyncio.Event()

    async def prefill(peer: Peer) -> None:
        while True:
            await peer.read_request()
            await peer.start_stream()
            await finish.wait()
            await peer.end_stream()

    async with raw_pair(prefill, decode, **ONE) as (gateway, _, _):
        assert (await gateway.post(CHAT, chat())).status == 200
        assert slots_of(gateway).inflight == 1
        crowd = Crowd(gateway)
        await crowd.come(waits=True)
        shown = (await gateway.metrics()).value("smg_pd_prefill_admission_queued")
        assert shown == 1
        finish.set()
        assert await crowd.statuses() == [200]
        await nothing_left(gateway)
        assert slots_of(gateway).inflight == 0


async def test_decode_does_not_hold_prefills_slot() -> None:
    go_on = asyncio.Event()

    async def prefill(peer: Peer) -> None:
        while True:
            await peer.read_request()
            await peer.respond(200, {})

    async def slow(peer: Peer) -> None:
        await peer.read_request()
        await peer.start_stream()
        await go_on.wait()
        await peer.end_stream()

    for engine in ("sglang", "vllm"):
        go_on.clear()
        async with raw_pair(prefill, slow, engine=engine, **ONE) as (gateway, _, worker):
            tasks = [asyncio.create_task(gateway.post(CHAT, chat(stream=True))) for _ in range(4)]
            await until(lambda worker=worker: len(worker.requests) == 4)  # type: ignore[misc]
            await until(lambda g=gateway: slots_of(g).inflight == 0)  # type: ignore[misc]
            go_on.set()
            assert [(await task).status for task in tasks] == [200] * 4


@pytest.mark.parametrize("size", [0, 1])
async def test_a_full_queue_is_told_and_not_tried_again(size: int) -> None:
    gate = Gate()
    config = {**ONE, "prefill_queue_size": size, "disable_retries": False}
    async with raw_pair(gate, decode, **config) as (gateway, _, _):
        crowd = Crowd(gateway)
        await crowd.come(waits=False)
        for _ in range(size):
            await crowd.come(waits=True)
        for stream in (False, True):
            refused(await gateway.post(CHAT, chat(stream=stream)), "pd_prefill_queue_full")
        for _ in range(size + 1):
            await gate.open()
        assert await crowd.statuses() == [200] * (size + 1)
        await nothing_left(gateway)
        samples = await gateway.metrics()
        rejections = "smg_pd_prefill_admission_rejections_total"
        assert samples.value(rejections, reason="queue_full") == 2
        assert samples.value("smg_worker_retries_total") == 0


async def test_a_wait_has_an_end() -> None:
    gate = Gate()
    async with raw_pair(gate, decode, disable_retries=False, **ONE) as (gateway, _, _):
        slots = slots_of(gateway)
        assert slots.settings == SlotSettings(1, 100, 60.0)
        slots.settings = SlotSettings(1, 100, 0.01)
        crowd = Crowd(gateway)
        await crowd.come(waits=False)
        refused(await gateway.post(CHAT, chat()), "pd_prefill_queue_timeout")
        await gate.open()
        assert await crowd.statuses() == [200]
        await nothing_left(gateway)
        samples = await gateway.metrics()
        rejections = "smg_pd_prefill_admission_rejections_total"
        assert samples.value(rejections, reason="queue_timeout") == 1
        assert samples.value("smg_worker_retries_total") == 0


async def test_a_client_that_leaves_leaves_the_queue_at_once() -> None:
    gate = Gate()
    async with raw_pair(gate, decode, prefill_queue_size=2, **ONE) as (gateway, prefill, _):
        slots, crowd = slots_of(gateway), Crowd(gateway)
        await crowd.come(waits=False)
        async with await gateway.connect() as client:
            await send_chat(client)
            await until(lambda: slots.waiting == 1)
            await crowd.come(waits=True)
        await until(lambda: slots.waiting == 1)
        await crowd.come(waits=True)  # there is a place again
        for _ in range(3):
            await gate.open()
        assert await crowd.statuses() == [200] * 3
        assert len(prefill.requests) == 3
        await nothing_left(gateway)


@pytest.mark.parametrize("how", ["request limit", "shutdown"])
async def test_other_ends_of_a_wait(how: str) -> None:
    gate = Gate()
    async with raw_pair(gate, decode, **ONE) as (gateway, _, _):
        crowd = Crowd(gateway)
        await crowd.come(waits=False)
        waits = asyncio.create_task(gateway.post(CHAT, chat()))
        await until(lambda: slots_of(gateway).waiting == 1)
        (relay,) = [e.consumer for e in gateway.server.exchanges if e.consumer._leg is None]
        if how == "shutdown":
            relay.shut_down()
        else:
            relay.timed_out()
        answer = await waits
        code = "gateway_shutdown" if how == "shutdown" else "call_upstream_timeout"
        assert error_of(answer.body)["code"] == code
        assert slots_of(gateway).waiting == 0
        await gate.open()
        assert await crowd.statuses() == [200]
        await nothing_left(gateway)


# -- workers --------------------------------------------------------------------------------------


async def test_whoever_waits_is_bound_to_no_worker() -> None:
    gate, other = Gate(), Gate()
    async with (
        RawEngine(other, "sglang") as second,
        raw_pair(gate, decode, **ONE) as (gateway, _, _),
    ):
        crowd = Crowd(gateway)
        await crowd.come(waits=False)
        await crowd.come(waits=True)
        spec = {"url": second.url, "worker_type": "prefill", "bootstrap_port": 8998}
        assert (await gateway.post("/workers", spec)).status == 202
        await until(lambda: other.arrived == [1])
        for door in (other, gate):
            await door.open()
        assert await crowd.statuses() == [200] * 2
        await nothing_left(gateway)


@pytest.mark.parametrize("how", ["removed", "breaker"])
async def test_nobody_left_to_wait_for(how: str) -> None:
    gate = Gate()
    async with raw_pair(gate, decode, **ONE) as (gateway, _, _):
        crowd = Crowd(gateway)
        await crowd.come(waits=False)
        waits = asyncio.create_task(gateway.post(CHAT, chat()))
        await until(lambda: slots_of(gateway).waiting == 1)
        (worker,) = [w for w in gateway.registry.all() if w.worker_type == "prefill"]
        if how == "removed":
            gateway.registry.remove(worker.id)
        else:
            for _ in range(gateway.config.cb_failure_threshold):
                worker.breaker.failed(worker.breaker.dispatched(0.0), perf_counter())
        answer = await waits
        assert (answer.status, error_of(answer.body)["code"]) == (503, "no_available_workers")
        rejections = "smg_pd_prefill_admission_rejections_total"
        assert (await gateway.metrics()).value(rejections, reason="unavailable") == 1
        await gate.open()
        assert await crowd.statuses() == [200]  # what runs goes on
        await nothing_left(gateway)


async def test_each_rank_has_slots_of_its_own() -> None:
    gate = Gate()
    async with raw_pair(gate, decode, **ONE) as (gateway, _, _):
        registry = gateway.registry
        (whole,) = [w for w in registry.all() if w.worker_type == "prefill"]
        registry.remove(whole.id)
        for rank in range(2):
            spec = msgspec.structs.replace(whole.spec, dp_size=2, dp_rank=rank)
            one = Worker(
                whole.base_url, models=whole.models, worker_type="prefill", runtime="sglang",
                dp_rank=rank, spec=spec,
            )  # fmt: skip
            registry.add(one)
            registry.set_status(one, WorkerStatus.READY)
        crowd = Crowd(gateway)
        for waits in (False, False, True):
            await crowd.come(waits=waits)
        for _ in range(3):
            await gate.open()
        assert await crowd.statuses() == [200] * 3
        await nothing_left(gateway)


# -- what counts as one ---------------------------------------------------------------------------


async def test_a_batch_is_one_slot_and_what_is_not_split_takes_none() -> None:
    gate = Gate()
    async with raw_pair(gate, decode, engine="sglang", **ONE) as (gateway, _, _):
        crowd = Crowd(gateway)
        await crowd.come(waits=False, n=3)
        await gate.open()
        assert await crowd.statuses() == [200]
    async with raw_pair(Gate(), decode, engine="vllm", **ONE) as (gateway, prefill, _):
        slots = slots_of(gateway)
        crowd = Crowd(gateway)
        await crowd.come(waits=False)
        # vLLM hands one sequence over: decode does these alone, past the row
        for _ in range(2):
            assert (await gateway.post(CHAT, chat(n=2))).status == 200
        assert (slots.inflight, slots.waiting, len(prefill.requests)) == (1, 0, 1)
        for task in crowd.tasks:
            task.cancel()
        await asyncio.gather(*crowd.tasks, return_exceptions=True)
        await until(lambda: slots.inflight == 0)


@ENGINES
async def test_a_further_attempt_takes_a_slot_of_its_own(engine: str) -> None:
    more: dict[str, Any] = {"connector": "NixlConnector"} if engine == "vllm" else {}
    sim = {"kv_timeout_secs": 0.2}
    config = {**ONE, **more, "sim": sim, "disable_retries": False, "retry_initial_backoff_ms": 1}
    async with pairs(engine, prefills=2, decodes=2, **config) as fleet:
        fleet.prefills[0].fault("status=503")
        fleet.decodes[1].fault("status=503,probability=0.5")
        answers = await asyncio.gather(*(fleet.gateway.post(CHAT, chat()) for _ in range(20)))
        assert [answer.status for answer in answers] == [200] * 20
        await fleet.at_rest()


async def test_the_limit_is_never_passed() -> None:
    """Counted where it matters: at the worker."""
    inside = most = 0

    async def prefill(peer: Peer) -> None:
        nonlocal inside, most
        while True:
            await peer.read_request()
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.001)
            inside -= 1
            await peer.respond(200, {})

    limit: dict[str, Any] = {"prefill_max_inflight_requests_per_worker": 3}
    async with raw_pair(prefill, decode, **limit) as (gateway, _, _):
        answers = await asyncio.gather(*(gateway.post(CHAT, chat()) for _ in range(60)))
        assert [answer.status for answer in answers] == [200] * 60
        assert most == 3
        await nothing_left(gateway)
        assert slots_of(gateway).inflight == 0


async def test_two_models_share_the_row() -> None:
    """Strictly in order of arrival: the model of the head may keep the other one waiting."""
    gate = Gate()
    async with (
        SimWorker(role="prefill", models=("other",), bootstrap_port=0) as prefill,
        SimWorker(role="decode", models=("other",)) as decoder,
        raw_pair(gate, decode, **ONE) as (gateway, _, _),
    ):
        for worker, role in ((prefill, "prefill"), (decoder, "decode")):
            spec: dict[str, Any] = {"url": worker.url, "worker_type": role}
            if role == "prefill":
                spec["bootstrap_port"] = worker.kv.port
            assert (await gateway.post("/workers", spec)).status == 202
        await until(lambda: len(gateway.registry.all()) == 4)
        crowd = Crowd(gateway)
        await crowd.come(waits=False)
        await crowd.come(waits=True)
        await crowd.come(waits=True, model="other")
        for _ in range(2):
            await gate.open()
        assert await crowd.statuses() == [200] * 3
        await nothing_left(gateway)


async def test_without_a_limit_there_is_nothing_of_it() -> None:
    gate = Gate()
    async with raw_pair(gate, decode) as (gateway, _, _):
        assert gateway.product.backend.slots is None
        request = asyncio.create_task(gateway.post(CHAT, chat()))
        await until(lambda: gate.arrived == [0])
        (exchange,) = gateway.server.exchanges
        assert type(exchange.consumer) is DualRelay
        assert type(exchange.consumer._leg) is PrefillLeg
        await gate.open()
        assert (await request).status == 200
        samples = await gateway.metrics()
        assert not [name for name in samples.names() if "prefill_admission" in name]
        await nothing_left(gateway)
