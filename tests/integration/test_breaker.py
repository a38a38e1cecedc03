"""Circuit breakers over real sockets: a failing worker gets no traffic until it is well again."""

from __future__ import annotations

from typing import Any

import pytest

from tests.doubles.gateway import Gateway
from tests.doubles.raw_client import request_bytes
from tests.doubles.raw_server import STREAM_HEAD, Peer, RawServer, Script, response_bytes
from tests.doubles.traffic import CHAT, chat, error_of, nothing_left, until

BREAKER: dict[str, Any] = {"cb_failure_threshold": 3, "cb_success_threshold": 1}


class Switch:
    """What the worker answers now."""

    status = 500

    def script(self) -> Script:
        async def script(peer: Peer) -> None:
            while True:
                await peer.read_request()
                await peer.send(response_bytes(self.status, {"status": self.status}))

        return script


def state(gateway: Gateway, number: int = 0) -> int:
    return int(gateway.registry.all()[number].breaker.state)


async def test_failures_open_it_and_time_and_a_success_close_it() -> None:
    switch = Switch()
    async with (
        RawServer(switch.script()) as worker,
        Gateway(worker_urls=[worker.url], cb_timeout_duration_secs=1, **BREAKER) as gateway,
    ):
        for _ in range(3):
            assert (await gateway.post(CHAT, chat())).status == 500
        assert state(gateway) == 1
        answer = await gateway.post(CHAT, chat())
        assert (answer.status, error_of(answer.body)["code"]) == (503, "no_available_workers")
        assert len(worker.requests) == 3
        metrics = await gateway.metrics()
        assert metrics.value("smg_worker_cb_state", worker=worker.url) == 1
        assert (
            metrics.value("smg_worker_cb_outcomes_total", worker=worker.url, outcome="failure") == 3
        )
        switch.status = 200
        await until(lambda: state(gateway) == 2)
        assert (await gateway.post(CHAT, chat())).status == 200
        assert state(gateway) == 0
        metrics = await gateway.metrics()
        for before, after in (("closed", "open"), ("open", "half_open"), ("half_open", "closed")):
            labels = {"worker": worker.url, "from": before, "to": after}
            assert metrics.value("smg_worker_cb_transitions_total", **labels) == 1


async def test_another_worker_takes_over() -> None:
    async with (
        RawServer(Switch().script()) as bad,
        RawServer() as good,
        Gateway(worker_urls=[bad.url, good.url], **BREAKER) as gateway,
    ):
        statuses = [(await gateway.post(CHAT, chat())).status for _ in range(12)]
        assert statuses.count(500) == 3
        assert statuses[-5:] == [200] * 5


@pytest.mark.parametrize("status", [400, 404, 422, 429])
async def test_what_is_not_the_workers_fault(status: int) -> None:
    switch = Switch()
    switch.status = status
    async with (
        RawServer(switch.script()) as worker,
        Gateway(worker_urls=[worker.url], **BREAKER) as gateway,
    ):
        for _ in range(6):
            assert (await gateway.post(CHAT, chat())).status == status
        assert state(gateway) == 0


async def test_a_stream_that_breaks_off_counts_at_its_end() -> None:
    async def breaks(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(STREAM_HEAD + b"5\r\nfirst\r\n")
        peer.close()

    async with (
        RawServer(breaks) as worker,
        Gateway(worker_urls=[worker.url], **BREAKER) as gateway,
    ):
        for _ in range(3):
            async with await gateway.connect() as client:
                await client.send(request_bytes("POST", CHAT, chat(stream=True)))
                await client.read_to_end()
        await until(lambda: state(gateway) == 1)


async def test_a_client_that_leaves_is_no_evidence() -> None:
    async def begins(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(STREAM_HEAD + b"5\r\nfirst\r\n")
        await peer.finished.wait()

    async with (
        RawServer(begins) as worker,
        Gateway(worker_urls=[worker.url], **BREAKER) as gateway,
    ):
        for _ in range(5):
            client = await gateway.connect()
            await client.send(request_bytes("POST", CHAT, chat(stream=True)))
            await client.read_until(b"first")
            client.reset()
        await nothing_left(gateway)
        breaker = gateway.registry.all()[0].breaker
        assert (breaker.state, breaker.good, breaker.bad) == (0, 0, 0)


async def test_switched_off_for_all_or_for_one() -> None:
    async with (
        RawServer(Switch().script()) as worker,
        Gateway(disable_circuit_breaker=True) as gateway,
    ):
        answer = await gateway.post("/workers", {"url": worker.url})
        worker_id = answer.json()["worker_id"]
        await until(lambda: gateway.registry.get(worker_id) is not None)
        registered = gateway.registry.get(worker_id)
        assert registered.breaker is None
        body = {"url": worker.url, "resilience": {"disable_circuit_breaker": False}}
        assert (await gateway.request("PUT", f"/workers/{worker_id}", body)).status == 202
        await until(lambda: registered.breaker is not None)


async def test_a_removed_workers_series_go() -> None:
    async with (
        RawServer() as worker,
        Gateway(worker_urls=[worker.url], drain_settle_secs=0) as gateway,
    ):
        await gateway.post(CHAT, chat())
        worker_id = gateway.registry.all()[0].id
        await gateway.request("DELETE", f"/workers/{worker_id}")
        await until(lambda: gateway.registry.get(worker_id) is None)
        assert worker.url not in (await gateway.metrics()).text


async def test_a_refused_connection_is_a_failure_whatever_statuses_count() -> None:
    async with RawServer() as worker, Gateway(**BREAKER) as gateway:
        spec = {"url": worker.url, "resilience": {"retryable_status_codes": [500]}}
        worker_id = (await gateway.post("/workers", spec)).json()["worker_id"]
        await until(lambda: gateway.registry.get(worker_id) is not None)
        await worker.stop()
        for _ in range(3):
            assert (await gateway.post(CHAT, chat())).status == 502
        assert state(gateway) == 1


async def test_the_workers_own_answer_comes_back_when_its_failure_opens_the_breaker() -> None:
    retries: dict[str, Any] = {"disable_retries": False, "retry_initial_backoff_ms": 1}
    async with (
        RawServer(Switch().script()) as worker,
        Gateway(worker_urls=[worker.url], **BREAKER, **retries) as gateway,
    ):
        answer = await gateway.post(CHAT, chat())
        assert (answer.status, answer.json()) == (500, {"status": 500})
        assert len(worker.requests) == 3  # the third one opened the breaker
