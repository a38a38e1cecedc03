"""Those of the 16 faults of a public bench (Failover Bench, methodology 0.1) that are no rows of
the matrix; `docs/develop/faults.md` lists all of them with their tests.

What a caller must see is theirs; how it is tested is ours.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.doubles.gateway import Gateway
from tests.doubles.raw_server import STREAM_HEAD, Peer, RawServer, Script, response_bytes
from tests.doubles.traffic import CHAT, chat, nothing_left, until
from tests.faults.matrix import STREAM
from tests.faults.rig import RETRIES, answering, drop_idle, rig


def then(*answers: bytes) -> Script:
    """One answer after the other, the last one for ever; on kept connections."""
    left = list(answers)

    async def script(peer: Peer) -> None:
        while True:
            await peer.read_request()
            await peer.send(left.pop(0) if len(left) > 1 else left[0])

    return script


def refusing(status: int, code: str = "", **headers: str) -> bytes:
    pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return response_bytes(status, {"error": {"code": code}}, pairs)


def one(worker: RawServer, **config: Any) -> Gateway:
    return Gateway(worker_urls=[worker.url], **{**RETRIES, **config})


async def test_s01_a_rate_limit_with_retry_after_is_waited_for() -> None:
    script = then(refusing(429, retry_after="1"), STREAM.raw)
    async with RawServer(script) as worker, one(worker, retry_max_backoff_ms=2_000) as gateway:
        answer = await gateway.post(CHAT, chat(stream=True))
        assert answer.events()[-1] == "[DONE]"
        assert len(worker.requests) == 2
        samples = await gateway.metrics()
        assert samples.value("smg_worker_retry_backoff_seconds_sum") >= 1
        await nothing_left(gateway)


async def test_s02_a_lasting_rate_limit_is_not_hammered() -> None:
    async with RawServer(answering(refusing(429))) as worker, one(worker) as gateway:
        assert (await gateway.post(CHAT, chat(stream=True))).status == 429
        assert len(worker.requests) == 5  # --retry-max-retries, with growing pauses
        samples = await gateway.metrics()
        assert samples.value("smg_worker_retry_backoff_seconds_count") == 4
        assert samples.value("smg_worker_cb_state") == 0  # full is not broken
        await nothing_left(gateway)


async def test_s03_a_single_500_is_cured_by_the_same_worker() -> None:
    async with RawServer(then(refusing(500), STREAM.raw)) as worker, one(worker) as gateway:
        assert (await gateway.post(CHAT, chat(stream=True))).events()[-1] == "[DONE]"
        assert len(worker.requests) == 2


async def test_s04_and_s16_an_overloaded_worker_is_replaced_and_not_counted_as_served() -> None:
    """The caller has the answer, model and usage of whoever answered."""
    usage = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
    served = response_bytes(200, {"model": "served", "usage": usage})
    async with rig(refusing(503), retries=True, good_raw=served) as r:
        assert r.good is not None
        answer = await r.gateway.post(CHAT, chat())
        assert answer.json() == {"model": "served", "usage": usage}
        assert answer.header("x-smg-routed-worker-id") == r.good.url
        samples = await r.metrics()
        assert r.of_bad(samples, "success") == 0
        assert r.of_bad(samples, "failure") == 1
        assert samples.value("smg_router_upstream_responses_total", status_code="200") == 1 + r.warm
        assert samples.value("smg_router_request_errors_total") == 0
        assert samples.value("smg_worker_retries_total") == 1
        await r.nothing_left()


async def test_s10_an_event_that_is_no_json_is_passed_on_as_it_is() -> None:
    """What a worker says is the caller's to judge; the stream goes on to its end."""
    frames = [b"data: {}\n\n", b'data: {"broken": \n\n', b"data: {}\n\n", b"data: [DONE]\n\n"]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(frame), frame) for frame in frames)
    async with RawServer(answering(STREAM_HEAD + chunks + b"0\r\n\r\n")) as worker:
        async with one(worker) as gateway:
            for _ in range(2):
                answer = await gateway.post(CHAT, chat(stream=True))
                assert answer.body == b"".join(frames)
            assert len(worker.requests) == 2
            await nothing_left(gateway)


async def test_s11_a_stream_without_done_is_complete_by_its_framing() -> None:
    frame = b'data: {"usage": {"total_tokens": 8}}\n\n'
    raw = STREAM_HEAD + b"%x\r\n%b\r\n0\r\n\r\n" % (len(frame), frame)
    async with RawServer(answering(raw)) as worker, one(worker) as gateway:
        assert (await gateway.post(CHAT, chat(stream=True))).body == frame
        samples = await gateway.metrics()
        assert samples.value("smg_upstream_streams_cut_total") == 0
        assert gateway.upstream.open_connections == len(gateway.upstream.pool(worker.url).idle) > 0
        await nothing_left(gateway)


@pytest.mark.parametrize("code", ["context_length_exceeded", "content_policy_violation"])
async def test_s12_and_s13_a_refusal_of_the_request_is_final(code: str) -> None:
    """The caller's request is wrong: nobody else is asked, and the reason is passed on."""
    async with rig(refusing(400, code), retries=True, good_raw=STREAM.raw) as r:
        answer = await r.gateway.post(CHAT, chat(stream=True))
        assert (answer.status, answer.json()["error"]["code"]) == (400, code)
        assert len(r.bad.requests) == 1
        assert r.good is not None
        assert r.good.requests == []
        assert r.of_bad(await r.metrics(), "failure") == 0
        await r.nothing_left()


async def test_s15_a_worker_that_flaps_is_left_and_found_again() -> None:
    """While it is down all are served, and it is not asked; well again, it serves."""
    settings: dict[str, Any] = {
        "cb_failure_threshold": 2,
        "cb_success_threshold": 1,
        "cb_timeout_duration_secs": 1,
    }
    async with rig(refusing(503), retries=True, good_raw=STREAM.raw, **settings) as r:
        (breaker,) = [w.breaker for w in r.gateway.registry.all() if w.url == r.network.url]
        async with await r.gateway.connect() as client:
            for _ in range(10):
                answer = await client.request("POST", CHAT, chat(stream=True))
                assert answer.events()[-1] == "[DONE]"
            assert breaker.state == 1
            assert len(r.bad.requests) == 2
            r.bad.scripts = [answering(STREAM.raw)]
            await drop_idle(r.gateway)
            await until(lambda: breaker.state == 2)
            for _ in range(4):
                answer = await client.request("POST", CHAT, chat(stream=True))
                assert answer.events()[-1] == "[DONE]"
            assert breaker.state == 0
            assert len(r.bad.requests) > 2
        await r.nothing_left()
