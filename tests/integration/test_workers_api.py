"""The worker API over real sockets: workers come, change and go while clients are served."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from tests.doubles.gateway import Gateway
from tests.doubles.raw_client import Answer, request_bytes
from tests.doubles.raw_server import STREAM_HEAD, Peer, RawServer, Script
from tests.doubles.traffic import CHAT, chat, nothing_left, until

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
FAST: dict[str, Any] = {"drain_settle_secs": 0, "worker_startup_check_interval": 1}


async def add(gateway: Gateway, worker: RawServer, **more: Any) -> str:
    """Post a worker and wait until it is ready; its id."""
    answer = await gateway.post("/workers", {"url": worker.url, **more})
    assert answer.status == 202, answer
    worker_id = str(answer.json()["worker_id"])
    await ready(gateway, worker_id)
    return worker_id


async def ready(gateway: Gateway, worker_id: str) -> None:
    await until(
        lambda: (worker := gateway.registry.get(worker_id)) is not None and worker.is_healthy
    )


async def show(gateway: Gateway, worker_id: str) -> Any:
    return (await gateway.get(f"/workers/{worker_id}")).json()


async def send(gateway: Gateway, method: str, worker_id: str, body: Any = None) -> Answer:
    return await gateway.request(method, f"/workers/{worker_id}", body)


async def test_a_worker_posted_to_an_empty_gateway_serves() -> None:
    async with RawServer() as worker, Gateway(**FAST) as gateway:
        assert (await gateway.post(CHAT, chat())).status == 404
        answer = await gateway.post("/workers", {"url": worker.url})
        assert answer.status == 202
        body = answer.json()
        assert UUID.fullmatch(body["worker_id"])
        assert answer.header("location") == body["location"] == f"/workers/{body['worker_id']}"
        assert body["status"] == "accepted"
        assert body["url"] == worker.url
        await ready(gateway, body["worker_id"])
        info = await show(gateway, body["worker_id"])
        assert (info["status"], info["is_healthy"], info["load"]) == ("ready", True, 0)
        assert "job_status" not in info
        assert (await gateway.post(CHAT, chat())).status == 200
        listed = (await gateway.get("/workers")).json()
        assert listed["total"] == 1
        assert listed["stats"]["regular_count"] == 1
        assert (await gateway.get("/v1/models")).json()["data"][0]["id"] == "test-model"


async def test_a_second_post_is_a_conflict_that_names_the_id() -> None:
    async with RawServer() as worker, Gateway(**FAST) as gateway:
        worker_id = await add(gateway, worker)
        answer = await gateway.post("/workers", {"url": worker.url + "/v1/"})
        assert answer.status == 409
        assert answer.json()["code"] == "WORKER_ALREADY_EXISTS"
        assert worker_id in answer.json()["error"]


@pytest.mark.parametrize("url", ["10.0.0.5:8000", "HTTP://h:1", "http://", "ftp://h:1", 5, None])
async def test_an_address_that_is_none_reserves_nothing(url: Any) -> None:
    async with Gateway(**FAST) as gateway:
        answer = await gateway.post("/workers", {"url": url})
        assert answer.status == 400
        assert answer.json()["code"] == "BAD_REQUEST"
        assert "url" in answer.json()["error"]
        assert (await gateway.get("/workers")).json()["total"] == 0


async def test_ids_that_are_none_and_ids_of_nobody() -> None:
    async with Gateway(**FAST) as gateway:
        for method, body in (("GET", None), ("PATCH", {}), ("DELETE", None)):
            answer = await send(gateway, method, "not-a-uuid", body)
            assert (answer.status, answer.json()["code"]) == (400, "BAD_REQUEST")
            answer = await send(gateway, method, "0198c0de-0000-7000-8000-000000000001", body)
            assert (answer.status, answer.json()["code"]) == (404, "WORKER_NOT_FOUND")


async def test_no_answer_ever_shows_the_workers_key() -> None:
    async with RawServer() as worker, Gateway(**FAST) as gateway:
        worker_id = await add(gateway, worker, api_key="sk-hidden")
        answers = [
            await gateway.get("/workers"),
            await gateway.get(f"/workers/{worker_id}"),
            await gateway.post("/workers", {"url": worker.url, "api_key": "sk-hidden"}),
            await send(gateway, "PATCH", worker_id, {"api_key": "sk-hidden", "priority": "x"}),
        ]
        assert all(b"sk-hidden" not in answer.body for answer in answers)
        await gateway.post(CHAT, chat())
        assert worker.requests[-1].header("authorization") == "Bearer sk-hidden"


async def test_a_rotated_key_is_used_by_the_next_request() -> None:
    async with RawServer() as worker, Gateway(**FAST) as gateway:
        worker_id = await add(gateway, worker, api_key="old")
        await gateway.post(CHAT, chat())
        await send(gateway, "PATCH", worker_id, {"api_key": "new"})
        await until(lambda: gateway.registry.get(worker_id).api_key == "new")
        await gateway.post(CHAT, chat())
        sent = [request.header("authorization") for request in worker.requests]
        assert sent == ["Bearer old", "Bearer new"]


async def test_a_patch_merges_and_a_partial_put_is_a_patch() -> None:
    async with RawServer() as worker, Gateway(**FAST) as gateway:
        worker_id = await add(gateway, worker, labels={"a": "1"}, bootstrap_port=8998)
        assert (await send(gateway, "PATCH", worker_id, {"labels": {"b": "2"}})).status == 202
        assert (await send(gateway, "PUT", worker_id, {"priority": 100})).status == 202
        await until(lambda: gateway.registry.get(worker_id).priority == 100)
        info = await show(gateway, worker_id)
        assert info["labels"]["a"] == "1"
        assert info["labels"]["b"] == "2"
        assert info["bootstrap_port"] == 8998
        assert info["model_id"] == "test-model"


async def test_a_put_with_the_same_address_keeps_the_id() -> None:
    async with RawServer() as worker, Gateway(**FAST) as gateway:
        worker_id = await add(gateway, worker, labels={"a": "1"}, priority=10)
        whole = {"url": worker.url + "/", "labels": {"b": "2"}}
        answer = await send(gateway, "PUT", worker_id, whole)
        assert (answer.status, answer.json()["worker_id"]) == (202, worker_id)
        await until(lambda: gateway.registry.get(worker_id).labels.get("b") == "2")
        info = await show(gateway, worker_id)
        assert "a" not in info["labels"]  # replaced, not merged
        assert info["id"] == worker_id
        assert (await gateway.get("/workers")).json()["total"] == 1


async def test_a_put_with_another_address_is_refused() -> None:
    async with RawServer() as worker, Gateway(**FAST) as gateway:
        worker_id = await add(gateway, worker)
        answer = await send(gateway, "PUT", worker_id, {"url": "http://127.0.0.1:9"})
        assert (answer.status, answer.json()["code"]) == (400, "BAD_REQUEST")


async def test_the_highest_priority_serves_and_the_others_stand_by() -> None:
    async with RawServer() as main, RawServer() as spare, Gateway(**FAST) as gateway:
        await add(gateway, main, priority=100)
        spare_id = await add(gateway, spare)
        for _ in range(6):
            assert (await gateway.post(CHAT, chat())).status == 200
        assert (len(main.requests), len(spare.requests)) == (6, 0)
        await send(gateway, "PATCH", spare_id, {"priority": 200})
        await until(lambda: gateway.registry.get(spare_id).priority == 200)
        await gateway.post(CHAT, chat())
        assert len(spare.requests) == 1


def endless(frames: asyncio.Event) -> Script:
    async def script(peer: Peer) -> None:
        while True:
            await peer.read_request()
            await peer.send(STREAM_HEAD + b"5\r\nfirst\r\n")
            await frames.wait()
            await peer.send(b"4\r\nlast\r\n0\r\n\r\n")

    return script


async def test_a_drained_worker_finishes_its_streams_and_gets_no_more() -> None:
    go_on = asyncio.Event()
    async with (
        RawServer(endless(go_on)) as old,
        RawServer() as new,
        Gateway(**FAST) as gateway,
    ):
        old_id = await add(gateway, old)
        async with await gateway.connect() as client:
            await client.send(request_bytes("POST", CHAT, chat(stream=True)))
            await client.read_until(b"first")
            await add(gateway, new)
            assert (await send(gateway, "DELETE", old_id)).status == 202
            info = await show(gateway, old_id)
            assert (info["status"], info["is_healthy"], info["load"]) == ("draining", False, 1)
            for _ in range(4):
                assert (await gateway.post(CHAT, chat())).status == 200
            assert len(old.requests) == 1
            go_on.set()
            await client.read_until(b"0\r\n\r\n")
        await until(lambda: gateway.registry.get(old_id) is None)
        assert (await gateway.get(f"/workers/{old_id}")).status == 404
        await nothing_left(gateway)


async def test_the_models_of_the_last_worker_go_with_it() -> None:
    async with RawServer() as worker, Gateway(**FAST) as gateway:
        worker_id = await add(gateway, worker)
        await send(gateway, "DELETE", worker_id)
        await until(lambda: gateway.registry.get(worker_id) is None)
        assert (await gateway.get("/v1/models")).status == 503
        assert (await gateway.post(CHAT, chat())).status == 404
        assert (await gateway.get("/readiness")).status == 503
        await add(gateway, worker)
        assert (await gateway.post(CHAT, chat())).status == 200


# -- workers that are none ------------------------------------------------------------------------


async def silent(peer: Peer) -> None:
    await peer.finished.wait()


async def garbage(peer: Peer) -> None:
    await peer.read_request()
    await peer.send(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
    peer.close()


async def redirects(peer: Peer) -> None:
    await peer.read_request()
    await peer.send(
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n"
    )
    peer.close()


@pytest.mark.parametrize(
    ("script", "said"),
    [(silent, ""), (garbage, "not valid HTTP"), (redirects, "302"), (None, "not mine")],
    ids=["never answers", "garbage", "redirects", "lies about its model"],
)
async def test_a_worker_that_is_none_fails_with_a_reason(script: Any, said: str) -> None:
    limits: dict[str, Any] = {"worker_startup_timeout_secs": 1, "health_check_timeout_secs": 1}
    server = RawServer() if script is None else RawServer(script, answer_probes=False)
    async with server as worker, Gateway(**FAST, **limits) as gateway:
        body = {"url": worker.url, "model_id": "mine"}
        answer = await gateway.post("/workers", body)
        assert answer.status == 202
        worker_id = answer.json()["worker_id"]
        info: dict[str, Any] = {}
        for _ in range(400):
            info = await show(gateway, worker_id)
            if info.get("job_status", {}).get("status") == "failed":
                break
            await asyncio.sleep(0.02)
        assert info["status"] == "failed"
        assert info["job_status"]["job_type"] == "AddWorker"
        assert said in info["job_status"]["message"]
        assert (await gateway.get("/workers")).json()["total"] == 0
        await nothing_left(gateway)
        left = [task.get_name() for task in asyncio.all_tasks() if "jobs" in task.get_name()]
        assert left == []


async def test_a_worker_that_is_posted_before_it_is_up() -> None:
    async with Gateway(**FAST) as gateway:
        async with RawServer() as worker:
            url = worker.url
        answer = await gateway.post("/workers", {"url": url, "labels": {"a": "1"}})
        worker_id = answer.json()["worker_id"]
        info = await show(gateway, worker_id)
        assert (info["status"], info["labels"]) == ("pending", {"a": "1"})
        assert info["job_status"]["status"] == "processing"
        assert (await send(gateway, "DELETE", worker_id)).status == 202
        for _ in range(100):
            if (await gateway.get(f"/workers/{worker_id}")).status == 404:
                break
            await asyncio.sleep(0.02)
        else:
            pytest.fail(f"the job of a removed worker goes on: {await show(gateway, worker_id)}")


async def test_the_queue_is_bounded() -> None:
    async with (
        RawServer(silent, answer_probes=False) as worker,
        Gateway(**FAST, job_queue_capacity=1, job_queue_concurrency=1) as gateway,
    ):
        # The first job asks its worker and holds the only place, the second waits for it.
        posts = [worker.url, "http://127.0.0.1:1", "http://127.0.0.1:2"]
        answers = [await gateway.post("/workers", {"url": url}) for url in posts]
        assert [answer.status for answer in answers] == [202, 202, 503]
        assert answers[2].json()["code"] == "JOB_QUEUE_FULL"
        assert answers[2].header("retry-after") == "1"
