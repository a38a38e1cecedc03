"""Why a worker was chosen: for the client with `--explain-routing`, for the log at level debug."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from smg.observability.logging import LogHandle, configure
from tests.doubles.gateway import Gateway
from tests.doubles.raw_client import request_bytes
from tests.doubles.raw_server import Peer, RawServer
from tests.doubles.sim import SimWorker
from tests.doubles.traffic import CHAT, chat, nothing_left, until

HEADER = "x-smg-routing-decision"
KEY = {"X-SMG-Routing-Key": "k"}
MODEL = "sim"


def body(text: str = "p" * 100, **more: Any) -> dict[str, Any]:
    return chat(model=MODEL, messages=[{"role": "user", "content": text}], **more)


class Log:
    """What is logged as JSON from now on, in this process."""

    def __init__(self, level: str) -> None:
        self._out = io.StringIO()
        self.handle: LogHandle = configure(level, json=True, stream=self._out, environ={})

    def decisions(self) -> list[dict[str, Any]]:
        """The lines with the field."""
        assert self.handle.flush()
        lines = [json.loads(line) for line in self._out.getvalue().splitlines()]
        return [line for line in lines if "routing_decision" in line]


@pytest.fixture
def debug_log() -> Iterator[Log]:
    log = Log("debug")
    yield log
    log.handle.close()


@pytest.fixture
def info_log() -> Iterator[Log]:
    log = Log("info")
    yield log
    log.handle.close()


@pytest.mark.parametrize("stream", [False, True])
async def test_cache_aware_says_how_much_was_there(stream: bool) -> None:
    async with SimWorker() as worker:
        config: dict[str, Any] = {"policy": "cache_aware", "explain_routing": True}
        async with Gateway(worker_urls=[worker.url], **config) as gateway:
            heads = [
                await gateway.post(CHAT, body(text, stream=stream))
                for text in ("p" * 100, "p" * 100, "p" * 100 + "q" * 20)
            ]
            assert [answer.status for answer in heads] == [200] * 3
            assert [answer.header(HEADER) for answer in heads] == [
                "policy=cache_aware; reason=miss; score=0.00",
                "policy=cache_aware; reason=hit; score=1.00",
                "policy=cache_aware; reason=hit; score=0.83",
            ]
            for answer in heads:
                names = [name for name, _ in answer.head.headers]
                assert names.count(HEADER) == 1
                assert answer.header("x-smg-routed-worker-id") == worker.url


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("policy", "headers", "decision"),
    [
        ("round_robin", {}, "reason=round_robin"),
        ("random", {}, "reason=random"),
        ("passthrough", {}, "reason=passthrough"),
        ("least_load", {}, "reason=least_load"),
        ("power_of_two", {}, "reason=power_of_two"),
        ("prefix_hash", {}, "reason=ring_hit"),
        ("consistent_hashing", KEY, "reason=routing_key_hit"),
        ("consistent_hashing", {}, "reason=random_fallback"),
        ("consistent_hashing", {"X-SMG-Target-Worker": "0"}, "reason=target_worker_hit"),
        ("manual", KEY, "reason=vacant"),
        ("manual", {}, "reason=no_routing_id"),
    ],
)
async def test_the_other_policies(
    policy: str, headers: dict[str, str], decision: str, stream: bool
) -> None:
    async with SimWorker() as worker:
        async with Gateway(
            worker_urls=[worker.url], policy=policy, explain_routing=True
        ) as gateway:
            answer = await gateway.post(CHAT, body(stream=stream), headers)
            assert answer.status == 200
            assert answer.header(HEADER) == f"policy={policy}; {decision}"


async def test_sticky_sessions_have_reasons_of_their_own() -> None:
    config: dict[str, Any] = {"policy": "cache_aware", "explain_routing": True}
    async with SimWorker() as worker:
        async with Gateway(
            worker_urls=[worker.url], routing_key_override=True, **config
        ) as gateway:
            said = [
                (await gateway.post(CHAT, body(), headers)).header(HEADER)
                for headers in (KEY, KEY, {})
            ]
            assert said == [
                "policy=cache_aware; reason=vacant; score=0.00",
                "policy=cache_aware; reason=occupied_hit",
                "policy=cache_aware; reason=hit; score=1.00",
            ]


async def test_on_errors_of_a_worker_and_not_on_those_of_the_gateway() -> None:
    async with SimWorker() as worker:
        async with Gateway(worker_urls=[worker.url], explain_routing=True) as gateway:
            worker.fault("status=500,times=1")
            answer = await gateway.post(CHAT, body())
            assert (answer.status, answer.header(HEADER)) == (
                500,
                "policy=round_robin; reason=round_robin",
            )
            for answer in (
                await gateway.post(CHAT, chat(model="nobody", rid="x", messages=[])),
                await gateway.get("/health"),
            ):
                assert answer.header(HEADER) is None


async def test_off_it_is_off() -> None:
    async with RawServer() as worker:
        async with Gateway(worker_urls=[worker.url]) as gateway:
            for version in ("1.1", "1.0"):
                async with await gateway.connect() as client:
                    await client.send(request_bytes("POST", CHAT, chat(), version=version))
                    assert (await client.answer()).header(HEADER) is None
            await nothing_left(gateway)


@pytest.mark.parametrize("explain", [False, True])
async def test_a_worker_cannot_say_it(explain: bool) -> None:
    """As with x-smg-routed-worker-id, ours is the only one; without the flag there is none."""

    async def script(peer: Peer) -> None:
        while True:
            await peer.read_request()
            await peer.respond(200, {}, {HEADER: "policy=other; reason=other"})

    async with RawServer(script) as worker:
        async with Gateway(worker_urls=[worker.url], explain_routing=explain) as gateway:
            answer = await gateway.post(CHAT, chat())
            said = [value for name, value in answer.head.headers if name == HEADER]
            assert said == (["policy=round_robin; reason=round_robin"] if explain else [])


# -- the log --------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
async def test_at_level_debug_it_is_logged_and_not_sent(debug_log: Log, stream: bool) -> None:
    async with SimWorker() as worker:
        async with Gateway(worker_urls=[worker.url], policy="cache_aware") as gateway:
            answer = await gateway.post(CHAT, body(stream=stream), {"X-Request-Id": "mine"})
            assert answer.header(HEADER) is None
            (line,) = debug_log.decisions()
    assert line["routing_decision"] == "policy=cache_aware; reason=miss; score=0.00"
    assert (line["level"], line["request_id"]) == ("DEBUG", "mine")
    assert line["target"] == "smg::backends::http::relay"
    assert worker.url in line["message"]


async def test_with_the_flag_it_is_logged_too(debug_log: Log) -> None:
    async with SimWorker() as worker:
        async with Gateway(worker_urls=[worker.url], explain_routing=True) as gateway:
            answer = await gateway.post(CHAT, body())
            (line,) = debug_log.decisions()
            assert line["routing_decision"] == answer.header(HEADER)


async def test_at_level_info_nothing_is_logged(info_log: Log) -> None:
    async with SimWorker() as worker:
        for explain in (False, True):
            async with Gateway(worker_urls=[worker.url], explain_routing=explain) as gateway:
                answer = await gateway.post(CHAT, body())
                assert (answer.header(HEADER) is not None) is explain
    assert info_log.decisions() == []


async def test_switching_to_debug_at_run_time(info_log: Log) -> None:
    """What `kill -USR1` does; noticed with the next tick of the gateway's clock."""
    async with SimWorker() as worker:
        async with Gateway(worker_urls=[worker.url], log_handle=info_log.handle) as gateway:
            backend = gateway.product.backend
            for noted, lines in ((False, 0), (True, 1), (False, 1)):
                await until(lambda noted=noted: bool(backend.notes_decisions) is noted)  # type: ignore[misc]
                await gateway.post(CHAT, body())
                assert len(info_log.decisions()) == lines
                info_log.handle.toggle_debug()


def test_the_log_is_off_again_afterwards() -> None:
    assert not logging.getLogger("smg").isEnabledFor(logging.DEBUG)
