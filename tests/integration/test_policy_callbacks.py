"""What a policy hears of a request after its choice, and the time to first token: both go by the
first byte of the answer's body, once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from smg.workers import ModelCard, Worker, WorkerStatus
from tests.doubles.gateway import Gateway
from tests.doubles.raw_client import RawClient, encode_chunks, request_bytes
from tests.doubles.raw_server import STREAM_HEAD, Peer, RawServer, Script, echo_chat
from tests.doubles.recording_policy import RECORDER, Recorder, heard
from tests.doubles.traffic import CHAT, chat, error_of, nothing_left, until

TTFT = "smg_router_ttft_seconds_count"
STICKY = [pytest.param(False, id="bare"), pytest.param(True, id="sticky")]
RERANK = {"model": "test-model", "query": "q", "documents": ["a"]}


class Stage:
    """A gateway with a recording policy before one worker that follows a script."""

    def __init__(self, gateway: Gateway, worker: RawServer, sticky: bool) -> None:
        self.gateway = gateway
        self.worker = worker
        self._sticky = sticky
        self._sent = 0

    @property
    def recorder(self) -> Recorder:
        return heard(self.gateway)

    def body(self, **more: Any) -> dict[str, Any]:
        """Each a session of its own, so that below sticky sessions the recorder is always asked."""
        self._sent += 1
        if self._sticky:
            more["rid"] = f"session-{self._sent}"
        return chat(**more)

    async def send(self, client: RawClient, **more: Any) -> None:
        """A request that is now with the worker."""
        seen = len(self.worker.requests)
        await client.send(request_bytes("POST", CHAT, self.body(**more)))
        await self.worker.request(seen)

    async def over(self, requests: int = 1) -> Recorder:
        """Everything ended; the recorder, checked."""
        await nothing_left(self.gateway)
        self.recorder.check(requests)
        assert self.recorder.loads_at_end == [0] * requests
        return self.recorder


@asynccontextmanager
async def stage(script: Script, sticky: bool, **config: Any) -> AsyncIterator[Stage]:
    async with RawServer(script) as worker:
        urls = [worker.url]
        async with Gateway(
            worker_urls=urls, policy=RECORDER, routing_key_override=sticky, **config
        ) as gateway:
            yield Stage(gateway, worker, sticky)


async def reconnect(stage: Stage, *scripts: Script) -> None:
    """No kept connections; the next ones follow these scripts."""

    def dropped() -> bool:  # a probe may be under way and keep its connection afterwards
        for pool in stage.gateway.upstream._pools.values():
            for conn in list(pool.idle):
                conn.transport.close()
        return bool(stage.gateway.upstream.open_connections == 0)

    await until(dropped)
    stage.worker.scripts = [echo_chat] * len(stage.worker.connections) + list(scripts)


def stream_script(go: asyncio.Event) -> Script:
    """The head at once, the body when `go` says so."""

    async def script(peer: Peer) -> None:
        while True:
            await peer.read_request()
            await peer.start_stream()
            await go.wait()
            for number in range(3):
                await peer.send_event({"n": number})
            await peer.end_stream()

    return script


async def silent(peer: Peer) -> None:
    await peer.read_request()
    await peer.finished.wait()


async def half_a_stream(peer: Peer) -> None:
    await peer.read_request()
    await peer.start_stream()
    await peer.send_event("first")
    await peer.finished.wait()


# -- time to first token --------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("policy", ["round_robin", "cache_aware"])
async def test_ttft_is_the_first_byte_of_the_body(policy: str, version: str) -> None:
    go = asyncio.Event()
    async with RawServer(stream_script(go)) as worker:
        async with Gateway(worker_urls=[worker.url], policy=policy) as gateway:
            async with await gateway.connect() as client:
                body = chat(stream=True)
                await client.send(request_bytes("POST", CHAT, body, version=version))
                head = await client.read_head()
                assert head.status == 200
                assert (await gateway.metrics()).value(TTFT) == 0
                waited = asyncio.get_running_loop().time()
                go.set()
                data = await client.read_body(head)
                waited = asyncio.get_running_loop().time() - waited
                assert data.endswith(b"[DONE]\n\n")
            samples = await gateway.metrics()
            assert samples.value(TTFT, endpoint="chat", model="test-model") == 1
            await nothing_left(gateway)


@pytest.mark.parametrize("policy", ["round_robin", "cache_aware"])
async def test_ttft_counts_from_the_dispatch(policy: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.start_stream()
        await asyncio.sleep(0.2)  # what is measured
        await peer.send_event("first")
        await peer.end_stream()

    async with RawServer(script) as worker:
        async with Gateway(worker_urls=[worker.url], policy=policy) as gateway:
            assert (await gateway.post(CHAT, chat(stream=True))).status == 200
            samples = await gateway.metrics()
            assert samples.value(TTFT) == 1
            assert 0.19 < samples.value("smg_router_ttft_seconds_sum") < 5


@pytest.mark.parametrize("policy", ["round_robin", "cache_aware"])
@pytest.mark.parametrize(
    ("raw", "count"),
    [
        (STREAM_HEAD + encode_chunks([b"data: 1\n\n"]), 1),  # all of it with the head
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 1),  # a stream was asked for
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0),
        (b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno", 0),
        (b"HTTP/1.1 429 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n", 0),
    ],
)
async def test_ttft_of_answers_that_come_at_once(raw: bytes, count: int, policy: str) -> None:
    async def script(peer: Peer) -> None:
        while True:
            await peer.read_request()
            await peer.send(raw)

    async with RawServer(script) as worker:
        async with Gateway(worker_urls=[worker.url], policy=policy) as gateway:
            answer = await gateway.post(CHAT, chat(stream=True))
            assert answer.status == int(raw[9:12])
            assert (await gateway.metrics()).value(TTFT) == count
            await gateway.post(CHAT, chat())  # no stream
            assert (await gateway.metrics()).value(TTFT) == count
            await nothing_left(gateway)


# -- answers that come ----------------------------------------------------------------------------


@pytest.mark.parametrize("sticky", STICKY)
async def test_a_plain_answer(sticky: bool) -> None:
    async with stage(echo_chat, sticky) as here:
        for _ in range(3):
            assert (await here.gateway.post(CHAT, here.body())).status == 200
        await here.over(3)


@pytest.mark.parametrize("sticky", STICKY)
async def test_a_plain_answer_whose_body_comes_later(sticky: bool) -> None:
    go = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
        await go.wait()
        await peer.send(b"ab")
        await go.wait()
        await peer.send(b"cd")

    async with stage(script, sticky) as here:
        async with await here.gateway.connect() as client:
            await here.send(client)
            await client.read_head()
            assert here.recorder.story(1) == ["select"]
            go.set()
            assert await client.read_exactly(4) == b"abcd"
        await here.over()


@pytest.mark.parametrize("sticky", STICKY)
async def test_a_stream(sticky: bool) -> None:
    go = asyncio.Event()
    first, rest = asyncio.Event(), asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.start_stream()
        await go.wait()
        await peer.send_event("first")
        await first.wait()
        await peer.send_event("second")
        await rest.wait()
        await peer.end_stream()

    async with stage(script, sticky) as here:
        async with await here.gateway.connect() as client:
            await here.send(client, stream=True)
            head = await client.read_head()
            assert here.recorder.story(1) == ["select"]
            (pending,) = here.recorder.pending.values()
            assert pending == 1
            go.set()
            assert await client.read_chunk() == b"data: first\n\n"
            assert here.recorder.story(1) == ["select", "first_byte"]
            assert not any(here.recorder.pending.values())
            first.set()
            assert await client.read_chunk() == b"data: second\n\n"
            assert here.recorder.story(1) == ["select", "first_byte"]
            rest.set()
            await client.read_body(head)
        await here.over()


@pytest.mark.parametrize("sticky", STICKY)
@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno",
        STREAM_HEAD + b"0\r\n\r\n",
    ],
)
async def test_answers_without_a_body_and_errors(raw: bytes, sticky: bool) -> None:
    async def script(peer: Peer) -> None:
        while True:
            await peer.read_request()
            await peer.send(raw)

    async with stage(script, sticky) as here:
        for stream in (False, True):
            await here.gateway.post(CHAT, here.body(stream=stream))
        await here.over(2)


async def test_a_rerank_answer() -> None:
    async def script(peer: Peer) -> None:
        while True:
            await peer.read_request()
            await peer.respond(200, b'[{"score": 1, "index": 0}]')

    async with stage(script, sticky=False) as here:
        assert (await here.gateway.post("/rerank", RERANK)).status == 200
        await here.over()


# -- the client leaves ----------------------------------------------------------------------------


@pytest.mark.parametrize("sticky", STICKY)
async def test_the_client_leaves_before_the_head(sticky: bool) -> None:
    async with stage(silent, sticky) as here:
        async with await here.gateway.connect() as client:
            await here.send(client)
        await here.over()


@pytest.mark.parametrize("sticky", STICKY)
async def test_the_client_leaves_between_head_and_body(sticky: bool) -> None:
    async with stage(stream_script(asyncio.Event()), sticky) as here:
        async with await here.gateway.connect() as client:
            await here.send(client, stream=True)
            await client.read_head()
            assert here.recorder.story(1) == ["select"]
        await here.over()
        assert (await here.gateway.metrics()).value(TTFT) == 0


@pytest.mark.parametrize("sticky", STICKY)
async def test_the_client_leaves_in_the_middle(sticky: bool) -> None:
    async with stage(half_a_stream, sticky) as here:
        async with await here.gateway.connect() as client:
            await here.send(client, stream=True)
            await client.read_until(b"first\n\n")
            assert here.recorder.story(1) == ["select", "first_byte"]
        await here.over()


# -- the worker fails -----------------------------------------------------------------------------


@pytest.mark.parametrize("sticky", STICKY)
async def test_the_worker_refuses(sticky: bool) -> None:
    async with stage(echo_chat, sticky) as here:
        await reconnect(here)
        here.worker.stop_listening()
        assert (await here.gateway.post(CHAT, here.body())).status == 502
        await here.over()


@pytest.mark.parametrize("sticky", STICKY)
@pytest.mark.parametrize("raw", [b"", b"HTTP/1.1 2", b"nonsense\r\n\r\n"])
async def test_the_worker_breaks_off_before_its_head(raw: bytes, sticky: bool) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        if raw:
            await peer.send(raw)
        peer.close()

    async with stage(echo_chat, sticky) as here:
        await reconnect(here, script)
        assert (await here.gateway.post(CHAT, here.body())).status == 502
        await here.over()


@pytest.mark.parametrize("sticky", STICKY)
@pytest.mark.parametrize("how", ["close", "reset"])
async def test_the_worker_is_cut_in_the_middle(how: str, sticky: bool) -> None:
    go = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.start_stream()
        await peer.send_event("first")
        await go.wait()
        getattr(peer, how)()

    async with stage(script, sticky) as here:
        async with await here.gateway.connect() as client:
            await here.send(client, stream=True)
            await client.read_until(b"first\n\n")
            go.set()
            assert b"upstream_stream_cut" in await client.read_until(b"[DONE]")
        await here.over()


@pytest.mark.parametrize("sticky", STICKY)
async def test_the_worker_is_cut_between_head_and_body(sticky: bool) -> None:
    go = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.start_stream()
        await go.wait()
        peer.close()

    async with stage(script, sticky) as here:
        async with await here.gateway.connect() as client:
            await here.send(client, stream=True)
            await client.read_head()
            go.set()
            assert b"upstream_stream_cut" in await client.read_until(b"[DONE]")
        await here.over()
        assert (await here.gateway.metrics()).value(TTFT) == 0


@pytest.mark.parametrize("sticky", STICKY)
async def test_a_request_that_is_sent_again(sticky: bool) -> None:
    """It is one request, of one worker."""

    async def one_then_dead(peer: Peer) -> None:
        await peer.read_request()
        await peer.respond(200, {})
        await peer.read_head()
        peer.reset()

    async with stage(echo_chat, sticky) as here:
        await reconnect(here, one_then_dead, echo_chat)
        for _ in range(2):
            assert (await here.gateway.post(CHAT, here.body())).status == 200
        samples = await here.gateway.metrics()
        assert samples.value("smg_router_upstream_send_retries_total") == 1
        await here.over(2)


@pytest.mark.parametrize("sticky", STICKY)
async def test_a_request_that_is_sent_again_in_vain(sticky: bool) -> None:
    async def dead(peer: Peer) -> None:
        await peer.read_head()
        peer.reset()

    async def one_then_dead(peer: Peer) -> None:
        await peer.read_request()
        await peer.respond(200, {})
        await dead(peer)

    async with stage(echo_chat, sticky) as here:
        await reconnect(here, one_then_dead, dead)
        assert (await here.gateway.post(CHAT, here.body())).status == 200
        assert (await here.gateway.post(CHAT, here.body())).status == 502
        await here.over(2)


# -- limits and shutdown --------------------------------------------------------------------------

LIMITS = [{"request_timeout_secs": 0.3}, {"upstream_first_byte_timeout_secs": 0.3}]


@pytest.mark.parametrize("sticky", STICKY)
@pytest.mark.parametrize("limit", LIMITS, ids=["request", "first byte"])
async def test_time_is_over_before_the_head(limit: dict[str, Any], sticky: bool) -> None:
    async with stage(silent, sticky, **limit) as here:
        assert (await here.gateway.post(CHAT, here.body())).status == 504
        await here.over()


@pytest.mark.parametrize("sticky", STICKY)
@pytest.mark.parametrize(
    "limit", [{"request_timeout_secs": 0.3}, {"upstream_idle_timeout_secs": 1}], ids=str
)
async def test_time_is_over_in_the_middle(limit: dict[str, Any], sticky: bool) -> None:
    async with stage(half_a_stream, sticky, **limit) as here:
        answer = await here.gateway.post(CHAT, here.body(stream=True))
        assert "upstream_stream_timeout" in answer.events()[-2]
        await here.over()


@pytest.mark.parametrize("sticky", STICKY)
@pytest.mark.parametrize("script", [silent, half_a_stream])
async def test_shutdown(script: Callable[[Peer], Awaitable[None]], sticky: bool) -> None:
    async with stage(script, sticky) as here:
        async with await here.gateway.connect() as client:
            await here.send(client, stream=True)
            if script is half_a_stream:
                await client.read_until(b"first\n\n")
            recorder = here.recorder
            await here.gateway.stop(grace=0.0)
            assert b"gateway_shutdown" in await client.read_to_end()
        recorder.check(1)
        assert recorder.loads_at_end == [0]
        assert recorder.closed


# -- the fleet changes while a request runs -------------------------------------------------------


@pytest.mark.parametrize("sticky", STICKY)
async def test_the_worker_leaves_while_it_answers(sticky: bool) -> None:
    """The policy of its model is closed by then, and hears of the end all the same: what it counts
    may belong to others.
    """
    async with stage(half_a_stream, sticky) as here:
        async with await here.gateway.connect() as client:
            await here.send(client, stream=True)
            await client.read_until(b"first\n\n")
            recorder = here.recorder
            (worker,) = here.gateway.registry.all()
            here.gateway.registry.remove(worker.id)
            assert recorder.closed
            assert recorder.story(1) == ["select", "first_byte"]
        await until(lambda: worker.load == 0)
        recorder.check(1)


async def test_the_status_of_a_worker_changes_while_it_answers() -> None:
    async with stage(half_a_stream, sticky=False) as here:
        async with await here.gateway.connect() as client:
            await here.send(client, stream=True)
            await client.read_until(b"first\n\n")
            (worker,) = here.gateway.registry.all()
            here.gateway.registry.set_status(worker, WorkerStatus.NOT_READY)
            assert (await here.gateway.post(CHAT, here.body())).status == 503  # nobody was asked
        await here.over()


# -- policies that fail ---------------------------------------------------------------------------


@pytest.mark.parametrize("sticky", STICKY)
async def test_a_policy_that_cannot_choose_costs_one_answer(sticky: bool) -> None:
    async with stage(echo_chat, sticky) as here:
        async with await here.gateway.connect() as client:
            here.recorder.fails = "select"
            answer = await client.request("POST", CHAT, here.body())
            assert (answer.status, error_of(answer.body)["code"]) == (500, "internal_error")
            assert "select" not in error_of(answer.body)["message"]
            here.recorder.fails = ""
            assert (await client.request("POST", CHAT, here.body())).status == 200
        await nothing_left(here.gateway)
        assert here.recorder.story(2) == ["select", "first_byte", "ended"]


@pytest.mark.parametrize("fails", ["first_byte", "ended"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_policy_that_cannot_listen_costs_nobody_an_answer(
    stream: bool, fails: str, caplog: pytest.LogCaptureFixture
) -> None:
    go = asyncio.Event()
    go.set()
    async with stage(stream_script(go) if stream else echo_chat, sticky=False) as here:
        here.recorder.fails = fails
        for _ in range(2):
            answer = await asyncio.wait_for(here.gateway.post(CHAT, here.body(stream=stream)), 5)
            assert answer.status == 200
        await here.over(2)
    failures = [record for record in caplog.records if record.msg == "policy %s failed"]
    assert len(failures) == 2
    assert all(record.exc_info for record in failures)


# -- another worker gets the request --------------------------------------------------------------


@asynccontextmanager
async def one_of_two_is_gone(**config: Any) -> AsyncIterator[tuple[Gateway, RawServer]]:
    """The first choice of the recorder refuses connections; the other one is given too."""
    async with RawServer() as other, RawServer() as gone:
        async with Gateway(policy=RECORDER, **config) as gateway:
            for server in (other, gone):  # the recorder begins with the second place
                worker = Worker(server.url, models=[ModelCard("test-model")])
                gateway.registry.add(worker)
                gateway.registry.set_status(worker, WorkerStatus.READY)
            gone.stop_listening()
            for peer in gone.connections:
                peer.transport.abort()
            await until(lambda: not any(pool.connections for pool in _pools(gateway, gone)))
            yield gateway, other


def _pools(gateway: Gateway, server: RawServer) -> list[Any]:
    return [gateway.upstream.pool(server.url)]


async def test_every_choice_is_followed_by_itself() -> None:
    """A request that went elsewhere is two choices to the policy, one after the other."""
    async with one_of_two_is_gone(explain_routing=True) as (gateway, other):
        answer = await gateway.post(CHAT, chat())
        assert answer.status == 200
        assert answer.header("x-smg-routed-worker-id") == other.url
        decision = answer.header("x-smg-routing-decision")
        assert decision == "policy=recorder; reason=recorder; attempts=2"
        await nothing_left(gateway)
        recorder = heard(gateway)
        recorder.check(2)
        whats = [(what, ticket) for what, ticket, _ in recorder.events]
        assert whats == [
            *(("select", 1), ("first_byte", 1), ("ended", 1)),
            *(("select", 2), ("first_byte", 2), ("ended", 2)),
        ]


async def test_a_policy_that_fails_on_the_second_choice() -> None:
    async with one_of_two_is_gone() as (gateway, _):
        recorder = heard(gateway)
        recorder.fails_from = 2
        recorder.fails = "select"
        answer = await asyncio.wait_for(gateway.post(CHAT, chat()), 5)
        assert answer.status == 502  # what the first worker did
        await nothing_left(gateway)


@pytest.mark.parametrize("score", [None, "high"])
async def test_a_score_that_is_no_number_leaves_nothing(score: Any) -> None:
    async with stage(echo_chat, sticky=False, explain_routing=True) as here:
        here.recorder.score = score
        answer = await here.gateway.post(CHAT, here.body())
        assert answer.status == 500
        await nothing_left(here.gateway)
