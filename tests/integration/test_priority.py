"""Admission by class over real sockets: who gives way, who waits, who is refused, and how many may
run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from smg.core.errors import ConfigError
from tests.doubles.gateway import Gateway
from tests.doubles.raw_client import RawClient, request_bytes
from tests.doubles.raw_server import Peer, RawServer, Script, response_bytes
from tests.doubles.traffic import CHAT, chat, error_of, nothing_left, until

#: nothing is kept for anybody, so whoever comes first is in
OPEN = "classes: {system: {reserved: 0}, interactive: {reserved: 0, share: 0}, default: {share: 0}}"

Files = Callable[[str], str]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Writes the settings of the scheduler, and gives the file's name."""

    def write(text: str) -> str:
        path = tmp_path / "priority.yaml"
        path.write_text(text)
        return str(path)

    return write


def scheduled(worker: RawServer, file: str | None, **more: Any) -> Gateway:
    more.setdefault("priority_scheduler_default_max_class", "system")
    return Gateway(
        worker_urls=[worker.url],
        priority_scheduler_enabled=True,
        priority_scheduler_config=file,
        **more,
    )


def gated(gate: asyncio.Event) -> Script:
    async def script(peer: Peer) -> None:
        while True:
            await peer.read_request()
            await gate.wait()
            await peer.send(response_bytes(200, {"ok": True}))

    return script


def admission(gateway: Gateway) -> Any:
    return gateway.product.gate._admission


async def ask(gateway: Gateway, priority: str = "", **headers: str) -> RawClient:
    client = await gateway.connect()
    if priority:
        headers["X-SMG-Priority"] = priority
    await client.send(request_bytes("POST", CHAT, chat(), headers))
    return client


async def test_a_higher_class_takes_the_permit_of_the_newest_of_the_lowest(files: Files) -> None:
    gate = asyncio.Event()
    file = files(f"capacity: 2\n{OPEN}")
    async with RawServer(gated(gate)) as worker, scheduled(worker, file) as gateway:
        older = await ask(gateway, "bulk")
        await until(lambda: len(worker.requests) == 1)
        newer = await ask(gateway, "bulk")
        await until(lambda: len(worker.requests) == 2)
        urgent = await ask(gateway, "interactive")
        answer = await newer.answer()
        assert answer.status == 503
        assert error_of(answer.body)["code"] == "scheduler_preempted"
        assert answer.header("x-smg-preempted") == "true"
        assert answer.header("retry-after") == "1"
        await until(lambda: len(worker.requests) == 3)
        # The victim's worker learns of it as of a client that left.
        (peer,) = (one for one in worker.connections if worker.requests[1] in one.requests)
        await asyncio.wait_for(peer.finished.wait(), 5)
        gate.set()
        assert (await older.answer()).status == 200
        assert (await urgent.answer()).status == 200
        for client in (older, newer, urgent):
            client.close()
        await nothing_left(gateway)
        assert (admission(gateway).inflight, admission(gateway).waiting) == (0, 0)
        samples = await gateway.metrics()
        name = "smg_scheduler_admit_total"
        assert samples.value(name, **{"class": "bulk", "outcome": "admitted"}) == 2
        assert samples.value(name, **{"class": "bulk", "outcome": "preempted"}) == 1
        assert samples.value(name, **{"class": "interactive", "outcome": "admitted"}) == 1
        pair = {"victim_class": "bulk", "by_class": "interactive"}
        assert samples.value("smg_scheduler_preemption_total", **pair) == 1
        waited = {"class": "interactive"}
        assert samples.value("smg_scheduler_queue_wait_seconds_count", **waited) == 1
        assert samples.value("smg_scheduler_utilization") == 0


async def test_who_has_a_byte_is_left_alone(files: Files) -> None:
    go = asyncio.Event()

    async def script(peer: Peer) -> None:
        while True:
            request = await peer.read_request()
            if request.json().get("stream"):
                await peer.start_stream()
                await peer.send_chunk(b'data: {"n": 1}\n\n')
                await go.wait()
                await peer.end_stream()
            else:
                await peer.respond(200, {"ok": True})

    file = files(f"capacity: 1\n{OPEN}")
    async with RawServer(script) as worker, scheduled(worker, file) as gateway:
        stream = await gateway.connect()
        body = chat(stream=True)
        await stream.send(request_bytes("POST", CHAT, body, {"X-SMG-Priority": "bulk"}))
        head = await stream.read_head()
        await stream.read_chunk()
        urgent = await ask(gateway, "system")
        await until(lambda: admission(gateway).waiting == 1)
        go.set()
        assert await stream.read_body(head) == b"data: [DONE]\n\n"
        assert (await urgent.answer()).status == 200
        for client in (stream, urgent):
            client.close()
        await nothing_left(gateway)


async def test_the_highest_class_that_waits_is_next(files: Files) -> None:
    gate = asyncio.Event()
    served: list[str] = []

    async def script(peer: Peer) -> None:
        while True:
            request = await peer.read_request()
            served.append(request.header("x-team") or "")
            await gate.wait()
            await peer.respond(200, {"ok": True})

    file = files(f"capacity: 1\n{OPEN}")
    async with (
        RawServer(script) as worker,
        scheduled(worker, file, forward_request_headers=("x-team",)) as gateway,
    ):
        clients = [await ask(gateway, "interactive", **{"X-Team": "first"})]
        await until(lambda: served == ["first"])
        for number, name in enumerate(("bulk", "default", "interactive"), 1):
            clients.append(await ask(gateway, name, **{"X-Team": name}))
            await until(lambda n=number: admission(gateway).waiting == n)  # type: ignore[misc]
        gate.set()
        for client in clients:
            assert (await client.answer()).status == 200
            client.close()
        assert served == ["first", "interactive", "default", "bulk"]


async def test_a_full_queue_a_wait_that_is_too_long_and_a_client_that_leaves(files: Files) -> None:
    gate = asyncio.Event()
    file = files(
        "capacity: 1\n"
        "classes:\n"
        "  system: {reserved: 0}\n"
        "  interactive: {reserved: 0, share: 0}\n"
        "  default: {share: 0, queue_size: 1, queue_timeout_secs: 0.3}\n"
        "  bulk: {queue_size: 1}\n"
    )
    async with RawServer(gated(gate)) as worker, scheduled(worker, file) as gateway:
        first = await ask(gateway)
        await until(lambda: len(worker.requests) == 1)
        gone = await ask(gateway, "bulk")
        await until(lambda: admission(gateway).waiting == 1)
        refused = await gateway.post(CHAT, chat(), {"X-SMG-Priority": "bulk"})
        assert (refused.status, refused.header("retry-after")) == (429, "2")
        assert error_of(refused.body)["code"] == "scheduler_queue_full"
        gone.reset()
        await until(lambda: admission(gateway).waiting == 0)
        late = await gateway.post(CHAT, chat())
        assert (late.status, late.header("retry-after")) == (503, "2")
        assert error_of(late.body)["code"] == "scheduler_queue_timeout"
        gate.set()
        assert (await first.answer()).status == 200
        first.close()
        await nothing_left(gateway)
        samples = await gateway.metrics()
        outcomes = {
            ("bulk", "rejected_queue_full"): 1,
            ("bulk", "client_cancelled"): 1,
            ("default", "rejected_queue_timeout"): 1,
            ("default", "admitted"): 1,
        }
        for (name, outcome), count in outcomes.items():
            labels = {"class": name, "outcome": outcome}
            assert samples.value("smg_scheduler_admit_total", **labels) == count, labels


async def test_nobody_gets_a_higher_class_than_the_tenant_may_have(files: Files) -> None:
    file = files(f"{OPEN}\ntenant_policies: {{'auth:acme': {{max_class: interactive}}}}")
    keys = ("acme:key-of-acme", "other:key-of-other")
    async with (
        RawServer() as worker,
        scheduled(
            worker,
            file,
            tenant_api_key=keys,
            priority_scheduler_default_max_class="bulk",
            priority_scheduler_tenant_metric_top_n=1,
        ) as gateway,
    ):
        for key, priority in (("acme", "system"), ("other", ""), ("acme", "urgent")):
            headers = {"Authorization": f"Bearer key-of-{key}", "X-SMG-Priority": priority}
            assert (await gateway.post(CHAT, chat(), headers)).status == 200
        samples = await gateway.metrics()
    name = "smg_scheduler_clamp_total"
    up = {"tenant": "auth:acme", "requested_class": "system", "effective_class": "interactive"}
    assert samples.value(name, **up) == 1
    down = {"tenant": "other", "requested_class": "default", "effective_class": "bulk"}
    assert samples.value(name, **down) == 1  # the one tenant that is shown is taken
    unknown = "smg_scheduler_unknown_priority_value_total"
    assert samples.value(unknown, tenant="auth:acme") == 1  # acme's third
    assert samples.value(unknown, tenant="other") == 1  # an empty name is none either
    admitted = {"class": "default", "outcome": "admitted"}
    assert samples.value("smg_scheduler_admit_total", **admitted) == 1


async def test_as_many_as_the_workers_take() -> None:
    async with RawServer() as one, RawServer() as two:
        async with scheduled(one, None, max_concurrent_requests=7) as gateway:
            await until(lambda: admission(gateway).capacity == 64)
            spec = {"url": two.url, "labels": {"max_running_requests": "100"}}
            assert (await gateway.post("/workers", spec)).status == 202
            await until(lambda: admission(gateway).capacity == 164)
            registered = gateway.registry.by_url(two.url)
            patch = {"labels": {"max_running_requests": "many"}}
            await gateway.request("PATCH", f"/workers/{registered.id}", patch)
            await until(lambda: admission(gateway).capacity == 128)
            for worker in gateway.registry.all():
                await gateway.request("DELETE", f"/workers/{worker.id}")
            await until(lambda: admission(gateway).capacity == 7, 10)


async def test_a_shutdown_answers_who_waits(files: Files) -> None:
    gate = asyncio.Event()
    file = files(f"capacity: 1\n{OPEN}")
    async with RawServer(gated(gate)) as worker, scheduled(worker, file) as gateway:
        first = await ask(gateway)
        await until(lambda: len(worker.requests) == 1)
        second = await ask(gateway)
        await until(lambda: admission(gateway).waiting == 1)
        stopping = asyncio.ensure_future(gateway.stop())
        for client in (first, second):
            assert (await client.answer()).status == 503
            client.close()
        await stopping


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("classes: {urgent: {}}", "urgent"),
        ("classes: {bulk: {share: 2}}", "class bulk: share must be between 0 and 1"),
        ("classes: [", "is not valid YAML"),
        ("capacity: 10", "161 permits are reserved, but there are 10"),
        (None, "No such file"),
    ],
)
async def test_a_bad_file_ends_the_start(files: Files, text: str | None, mistake: str) -> None:
    path = "nowhere.yaml" if text is None else files(text)
    gateway = Gateway(priority_scheduler_enabled=True, priority_scheduler_config=path)
    with pytest.raises(ConfigError, match=mistake) as caught:
        await gateway.product.start()
    (problem,) = caught.value.problems
    assert problem.startswith(f"--priority-scheduler-config: {path}: ")
