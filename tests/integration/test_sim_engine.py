"""The simulated engine over real sockets: every route, the timing model, every fault."""

from __future__ import annotations

import asyncio
import base64
import struct
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.doubles.raw_client import Answer, ClosedEarly, RawClient, request_bytes
from tests.doubles.sim import SimProcess, SimWorker

CHAT: dict[str, Any] = {"model": "sim", "messages": [{"role": "user", "content": "Hello"}]}
STREAM = {**CHAT, "stream": True}
PATH = "/v1/chat/completions"


async def call(
    worker: SimWorker, method: str, target: str, body: Any = None, **extra: Any
) -> Answer:
    async with await RawClient.connect(worker.port) as client:
        return await client.request(method, target, body, **extra)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


async def test_what_it_says_about_itself():
    async with SimWorker(models=["a", "b"]) as worker:
        assert (await call(worker, "GET", "/health")).body == b"OK"
        assert (await call(worker, "GET", "/health_generate")).status == 200
        cards = (await call(worker, "GET", "/v1/models")).json()["data"]
        assert [card["id"] for card in cards] == ["a", "b"]
        assert cards[0]["owned_by"] == "smg-sim"
        for path in ("/get_model_info", "/model_info", "/get_server_info", "/server_info"):
            assert (await call(worker, "GET", path)).json()["model_path"] == "a"
        loads = (await call(worker, "GET", "/v1/loads?include=core")).json()
        assert loads["dp_rank_count"] == 1
        assert loads["loads"][0]["num_running_reqs"] == 0
        assert b"vllm:num_requests_running" in (await call(worker, "GET", "/metrics")).body
        assert (await call(worker, "GET", "/version")).status == 404


async def test_every_generation_route_answers_and_streams():
    bodies: dict[str, dict[str, Any]] = {
        PATH: CHAT,
        "/v1/completions": {"model": "sim", "prompt": "Hello"},
        "/generate": {"text": "Hello"},
        "/v1/responses": {"model": "sim", "input": "Hello"},
        "/v1/messages": {**CHAT, "max_tokens": 4},
    }
    async with SimWorker(tokens=4) as worker:
        for path, body in bodies.items():
            async with await RawClient.connect(worker.port) as client:
                answer = await client.request("POST", path, body)
                assert answer.header("content-type") == "application/json", path
                answer = await client.request("POST", path, {**body, "stream": True})
                assert answer.header("content-type") == "text/event-stream; charset=utf-8"
                assert len(answer.body.split(b"\n\n")) > 4
        assert worker.engine.completed == 10


async def test_embeddings_rerank_classify():
    async with SimWorker() as worker:
        body = {"model": "sim", "input": ["a", "b", "a"], "dimensions": 4}
        rows = (await call(worker, "POST", "/v1/embeddings", body)).json()["data"]
        assert rows[0]["embedding"] == rows[2]["embedding"] != rows[1]["embedding"]
        packed = (
            await call(worker, "POST", "/v1/embeddings", {**body, "encoding_format": "base64"})
        ).json()["data"]
        values = struct.unpack("<4f", base64.b64decode(packed[0]["embedding"]))
        assert values == pytest.approx(rows[0]["embedding"], abs=1e-6)
        ranked = await call(
            worker, "POST", "/v1/rerank", {"query": "red fox", "documents": ["dog", "a red fox"]}
        )
        assert [row["index"] for row in ranked.json()] == [1, 0]
        classes = (await call(worker, "POST", "/v1/classify", {"input": "x"})).json()["data"]
        assert sum(classes[0]["probs"]) == pytest.approx(1)


async def test_mistakes_are_400_and_the_connection_lives():
    async with SimWorker(strict_model=True) as worker:
        async with await RawClient.connect(worker.port) as client:
            assert (await client.request("POST", PATH, b"{")).status == 400
            assert (await client.request("POST", PATH, b"[]")).status == 400
            assert (await client.request("POST", PATH, {"model": "sim"})).status == 400
            assert (await client.request("POST", PATH, {**CHAT, "model": "x"})).status == 404
            assert (await client.request("POST", PATH, CHAT)).status == 200


async def test_key_is_required_when_set():
    async with SimWorker(api_key="k") as worker:
        assert (await call(worker, "POST", PATH, CHAT)).status == 401
        good = {"authorization": "Bearer k"}
        assert (await call(worker, "POST", PATH, CHAT, headers=good)).status == 200
        assert (await call(worker, "GET", "/health")).status == 200


async def test_state_shows_what_came():
    async with SimWorker() as worker:
        await call(worker, "POST", PATH, CHAT, headers={"x-smg-routing-key": "k1"})
        state = (await call(worker, "GET", "/sim/state")).json()
        assert state["requests"][PATH] == 1
        assert state["last"]["json"] == CHAT
        assert ["x-smg-routing-key", "k1"] in state["last"]["headers"]
        assert worker.last_body


async def test_prefix_cache_saves_prefill_and_is_reported():
    prompt = "word " * 200
    body = {**CHAT, "messages": [{"role": "user", "content": prompt}], "max_tokens": 1}
    async with SimWorker(prefill_tokens_per_second=2500, cache_blocks=100) as worker:
        first_at = time.perf_counter()
        first = (await call(worker, "POST", PATH, body)).json()["usage"]
        second_at = time.perf_counter()
        second = (await call(worker, "POST", PATH, body)).json()["usage"]
        end = time.perf_counter()
        assert first["prompt_tokens_details"]["cached_tokens"] == 0
        assert second["prompt_tokens_details"]["cached_tokens"] == 240
        assert second_at - first_at >= 0.1, "250 tokens at 2,500 a second"
        assert end - second_at < second_at - first_at
        await call(worker, "POST", "/flush_cache")
        third = (await call(worker, "POST", PATH, body)).json()["usage"]
        assert third["prompt_tokens_details"]["cached_tokens"] == 0


async def test_tokens_come_at_their_pace():
    async with SimWorker(token_latency_ms=20) as worker:
        async with await RawClient.connect(worker.port) as client:
            await client.send(request_bytes("POST", PATH, {**STREAM, "max_tokens": 4}))
            await client.read_head()
            times = []
            while await client.read_chunk():
                times.append(time.perf_counter())
        assert times[-1] - times[0] >= 0.055, "three pauses of 20 ms, less a tick"


async def test_a_client_that_leaves_frees_its_place():
    async with SimWorker(token_latency_ms=20, max_running=1) as worker:
        engine = worker.engine
        first = await RawClient.connect(worker.port)
        await first.send(request_bytes("POST", PATH, {**STREAM, "max_tokens": 10000}))
        await first.read_head()
        async with await RawClient.connect(worker.port) as second:
            await second.send(request_bytes("POST", PATH, {**CHAT, "max_tokens": 1}))
            await until(lambda: len(engine.waiting) == 1)
            assert engine.used_tokens > 0
            first.close()
            assert (await second.answer()).status == 200
        assert (engine.running, engine.aborted, engine.completed) == (0, 1, 1)
        assert engine.used_tokens == 0


async def test_a_waiting_client_may_leave_too():
    async with SimWorker(token_latency_ms=20, max_running=1) as worker:
        engine = worker.engine
        async with await RawClient.connect(worker.port) as first:
            await first.send(request_bytes("POST", PATH, {**STREAM, "max_tokens": 10000}))
            await until(lambda: engine.running == 1)
            async with await RawClient.connect(worker.port) as second:
                await second.send(request_bytes("POST", PATH, CHAT))
                await until(lambda: len(engine.waiting) == 1)
            await until(lambda: not engine.waiting)
            assert engine.aborted == 1
            assert engine.running == 1


async def test_a_slow_reader_is_waited_for():
    # A cache makes it a paced engine, though no token costs time.
    async with SimWorker(cache_blocks=1, max_model_len=100_000) as worker:
        async with await RawClient.connect(worker.port, receive_buffer=4096) as client:
            body = {**STREAM, "messages": CHAT["messages"], "max_tokens": 60_000}
            await client.send(request_bytes("POST", PATH, body))
            await client.read_head()
            (job,) = worker.engine.jobs
            assert 0 < job.written < 60_000
            frames = 0
            while await client.read_chunk():
                frames += 1
            assert frames == 60_000 + 3, "with role, finish and [DONE]"


async def test_one_chunk_per_frame_or_all_in_one():
    for writes, chunks in (("each", 4 + 3), ("joined", 1)):
        async with SimWorker(stream_writes=writes) as worker:
            async with await RawClient.connect(worker.port) as client:
                await client.send(request_bytes("POST", PATH, {**STREAM, "max_tokens": 4}))
                await client.read_head()
                count = 0
                while await client.read_chunk():
                    count += 1
                assert count == chunks


# -- faults ---------------------------------------------------------------------------------------


async def test_refuse_resets_new_connections():
    async with SimWorker() as worker:
        worker.fault("refuse,times=1")
        async with await RawClient.connect(worker.port) as client:
            assert await client.ended() == "reset"
        assert (await call(worker, "POST", PATH, CHAT)).status == 200


async def test_close_before_the_head():
    async with SimWorker(faults=["close,times=1"]) as worker:
        with pytest.raises(ClosedEarly) as closed:
            await call(worker, "POST", PATH, CHAT)
        assert closed.value.partial == b""
        assert (await call(worker, "POST", PATH, CHAT)).status == 200
        assert worker.engine.struck == 1


async def test_partial_head_and_garbage():
    async with SimWorker() as worker:
        for spec, start in (("partial-head", b"HTTP/1.1 200"), ("garbage", b"\x00\xff")):
            worker.engine.faults.clear()
            worker.fault(spec)
            async with await RawClient.connect(worker.port) as client:
                await client.send(request_bytes("POST", PATH, CHAT))
                assert (await client.read_to_end()).startswith(start)


async def test_status_with_retry_after():
    async with SimWorker() as worker:
        worker.fault("status=429,retry-after=7")
        answer = await call(worker, "POST", PATH, CHAT)
        assert answer.status == 429
        assert answer.header("retry-after") == "7"


async def test_stall_for_a_while_and_for_ever():
    async with SimWorker() as worker:
        worker.fault("stall=0.05,times=1")
        began = time.perf_counter()
        assert (await call(worker, "POST", PATH, CHAT)).status == 200
        assert time.perf_counter() - began >= 0.05
        worker.fault("stall")
        async with await RawClient.connect(worker.port) as client:
            await client.send(request_bytes("POST", PATH, CHAT))
            await until(lambda: worker.engine.struck == 2)
        await until(lambda: worker.engine.aborted == 1)


async def test_a_mistake_after_a_stall_is_still_answered():
    async with SimWorker(faults=["stall=0.01"]) as worker:
        assert (await call(worker, "POST", PATH, b"{")).status == 400


async def test_wrong_lengths():
    async with SimWorker() as worker:
        worker.fault("length-long,times=1")
        with pytest.raises(ClosedEarly):
            await call(worker, "POST", PATH, CHAT)
        worker.fault("length-short,times=1")
        async with await RawClient.connect(worker.port) as client:
            answer = await client.request("POST", PATH, CHAT)
            assert answer.status == 200
            assert bytes(await client.read_exactly(4)) == b":[]}", "what was not announced"
            assert (await client.request("POST", PATH, CHAT)).status == 200


async def test_big_head():
    async with SimWorker() as worker:
        worker.fault("big-head=100000")
        head = (await call(worker, "POST", PATH, CHAT)).head
        assert len(head.raw) > 100_000


async def stream_until_cut(worker: SimWorker) -> bytes:
    async with await RawClient.connect(worker.port) as client:
        await client.send(request_bytes("POST", PATH, {**STREAM, "max_tokens": 8}))
        with pytest.raises(ClosedEarly) as closed:
            await client.answer("POST")
        return closed.value.partial


@pytest.mark.parametrize("latency", [0, 1])
async def test_cuts_inside_a_stream(latency):
    async with SimWorker(token_latency_ms=latency) as worker:
        worker.fault("cut=3,times=1")
        partial = await stream_until_cut(worker)
        assert partial.endswith(b"\n\n")
        assert partial.count(b'"content":"') == 1 + 3
        worker.fault("cut-mid-frame=2,times=1")
        partial = await stream_until_cut(worker)
        assert not partial.endswith(b"\n\n")
        assert partial.count(b"data: ") == 1 + 2 + 1
        worker.fault("cut-mid-chunk=0,times=1")
        partial = await stream_until_cut(worker)
        assert not partial.endswith(b"\n\n")
        await until(lambda: worker.engine.running == 0)
        assert worker.engine.aborted == 0


async def test_bad_chunk_size():
    async with SimWorker(faults=["bad-chunk-size=1"]) as worker:
        async with await RawClient.connect(worker.port) as client:
            await client.send(request_bytes("POST", PATH, STREAM))
            assert b"\r\nzz\r\n" in await client.read_to_end()


async def test_stall_in_a_stream_and_go_on():
    async with SimWorker(faults=["stall-after=2,seconds=0.05"]) as worker:
        began = time.perf_counter()
        answer = await call(worker, "POST", PATH, {**STREAM, "max_tokens": 4})
        assert answer.events()[-1] == "[DONE]"
        assert time.perf_counter() - began >= 0.05


async def test_stall_in_a_stream_for_ever():
    async with SimWorker(faults=["stall-after=2"]) as worker:
        async with await RawClient.connect(worker.port) as client:
            await client.send(request_bytes("POST", PATH, STREAM))
            await client.read_head()
            for _ in range(1 + 2):
                assert await client.read_chunk()
            assert worker.engine.running == 1
        await until(lambda: worker.engine.aborted == 1)


async def test_error_frame_ends_the_stream_cleanly():
    async with SimWorker(faults=["error-frame=1"]) as worker:
        *_, error, done = (await call(worker, "POST", PATH, STREAM)).events()
        assert "simulated engine failure" in error
        assert done == "[DONE]"
        body = {**STREAM, "max_tokens": 3}
        assert b"event: error" in (await call(worker, "POST", "/v1/messages", body)).body


async def test_reset():
    async with SimWorker(faults=["reset=1"]) as worker:
        async with await RawClient.connect(worker.port) as client:
            await client.send(request_bytes("POST", PATH, STREAM))
            await client.read_head()
            assert await client.read_chunk()
            assert await client.ended() == "reset"


async def test_dribble_is_slow_and_whole():
    async with SimWorker(faults=["dribble=200,seconds=0.001"]) as worker:
        assert (await call(worker, "POST", PATH, STREAM)).events()[-1] == "[DONE]"
        assert (await call(worker, "POST", PATH, CHAT)).json()["object"] == "chat.completion"
        assert worker.engine.completed == 2


@pytest.mark.parametrize("spec", ["cut", "cut-mid-frame", "cut-mid-chunk", "reset"])
@pytest.mark.parametrize("path", [PATH, "/v1/embeddings"])
async def test_body_faults_break_whole_answers_too(spec, path):
    async with SimWorker(faults=[spec]) as worker:
        with pytest.raises(ConnectionError):
            await call(worker, "POST", path, {**CHAT, "input": "x"})


async def test_faults_by_header_and_by_admin_call():
    async with SimWorker() as worker:
        header = {"x-request-id-sim-fault": "status=503"}
        assert (await call(worker, "POST", PATH, CHAT, headers=header)).status == 503
        assert (await call(worker, "POST", PATH, CHAT)).status == 200
        header = {"x-request-id-sim-fault": "nonsense"}
        assert (await call(worker, "POST", PATH, CHAT, headers=header)).status == 400
        armed = await call(worker, "POST", "/sim/faults", {"fault": "status=500,path=/health"})
        assert armed.json() == {"faults": ["status=500,path=/health"]}
        assert (await call(worker, "GET", "/health")).status == 500
        assert (await call(worker, "POST", PATH, CHAT)).status == 200
        assert (await call(worker, "POST", "/sim/faults", {"faults": ["what"]})).status == 400
        assert (await call(worker, "DELETE", "/sim/faults")).json() == {"faults": []}
        assert (await call(worker, "GET", "/health")).status == 200


# -- as a process ---------------------------------------------------------------------------------


def test_the_process_says_where_it_is_and_ends_with_0():
    with SimProcess("--preset", "instant", "--fault", "status=500,times=1") as process:
        assert process.state()["faults"] == [{"fault": "status=500,times=1", "struck": 0}]
        process.faults()
        assert process.state()["faults"] == []
        assert process.stop() == 0
