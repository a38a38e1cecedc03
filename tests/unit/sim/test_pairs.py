"""The halves of a simulated pair, asked without a gateway: what they hold, and for how long."""

from __future__ import annotations

from typing import Any

import pytest

from tests.doubles.raw_client import Answer, RawClient, request_bytes
from tests.doubles.sim import SimWorker
from tests.doubles.traffic import CHAT, USER, until

BODY: dict[str, Any] = {"model": "sim", "messages": USER}
TAG = {"do_remote_decode": True, "do_remote_prefill": False}
ONE: dict[str, Any] = {**BODY, "max_tokens": 1, "kv_transfer_params": TAG}


def half(role: str, **options: Any) -> SimWorker:
    return SimWorker(role=role, bootstrap_port=0, **options)


async def ask(worker: SimWorker, body: dict[str, Any]) -> Answer:
    async with await RawClient.connect(worker.port) as client:
        return await client.request("POST", CHAT, body)


def room(worker: SimWorker, number: int) -> dict[str, Any]:
    where = {"bootstrap_host": "127.0.0.1", "bootstrap_port": worker.kv.port}
    return {**BODY, **where, "bootstrap_room": number}


async def test_a_room_without_its_prefill_times_out() -> None:
    async with half("prefill") as prefill, half("decode", kv_timeout_secs=0.05) as decode:
        answer = await ask(decode, room(prefill, 7))
        assert answer.status == 500
        assert answer.json()["error"]["code"] == "kv_transfer_failed"
        await until(lambda: not prefill.kv.report()["waiting"])


async def test_blocks_that_nobody_takes_are_held_until_the_timer() -> None:
    async with half("prefill", kv_timeout_secs=0.2) as prefill:
        async with await RawClient.connect(prefill.port) as client:
            await client.send(_request(room(prefill, 7)))
            await client.read_head()
            assert prefill.kv.held == 1
        # the client left after the head: committed blocks stay
        await until(lambda: prefill.engine.aborted == 1)
        assert prefill.kv.held == 1
        await until(lambda: prefill.kv.held == 0)
        assert prefill.kv.report()["expired"] == 1


async def test_an_aborted_prefill_frees_at_once_and_tells_decode() -> None:
    slow = {"prefill_tokens_per_second": 0.01}
    async with half("prefill", **slow) as prefill, half("decode") as decode:
        async with (
            await RawClient.connect(prefill.port) as client,
            await RawClient.connect(decode.port) as other,
        ):
            await client.send(_request(room(prefill, 7)))
            await until(lambda: prefill.kv.held == 1)
            await other.send(_request(room(prefill, 7)))
            await until(lambda: prefill.kv.report()["waiting"] == 1)
            client.reset()
            answer = await other.answer()
        assert answer.status == 500
        assert "aborted" in answer.json()["error"]["message"]
        assert prefill.kv.report()["freed"] == 1
        assert prefill.kv.held == 0


async def test_a_room_that_is_used_twice_is_counted() -> None:
    async with half("prefill", kv_timeout_secs=0.1) as prefill:
        async with (
            await RawClient.connect(prefill.port) as client,
            await RawClient.connect(prefill.port) as other,
        ):
            for each in (client, other):
                await each.send(_request(room(prefill, 7)))
                await each.read_head()
            assert prefill.kv.report()["collisions"] == 1
        await until(lambda: prefill.kv.held == 0)


@pytest.mark.parametrize(
    "body",
    [
        {**ONE, "stream": True},
        {**ONE, "max_tokens": 2},
        {**ONE, "n": 2},
        {**ONE, "kv_transfer_params": {"do_remote_prefill": True}},
    ],
)
async def test_vllms_prefill_checks_what_it_is_told(body: dict[str, Any]) -> None:
    async with half("prefill", engine="vllm") as prefill:
        assert (await ask(prefill, body)).status == 400
        assert prefill.kv.held == 0


async def test_vllms_halves() -> None:
    async with half("prefill", engine="vllm") as prefill, half("decode", engine="vllm") as decode:
        params = (await ask(prefill, ONE)).json()["kv_transfer_params"]
        assert prefill.kv.held == len(params["remote_block_ids"]) == 1
        for wrong in (TAG, {**params, "remote_block_ids": []}):
            assert (await ask(decode, {**BODY, "kv_transfer_params": wrong})).status == 400
        assert (await ask(decode, {**BODY, "kv_transfer_params": params})).status == 200
        assert prefill.kv.report()["taken"] == 1
        assert prefill.kv.held == 0
        async with await RawClient.connect(prefill.port) as client:
            report = (await client.request("GET", "/sim/kv")).json()
        assert report == prefill.kv.report()


async def test_half_of_a_pair_says_which_engine_it_is() -> None:
    for engine in ("sglang", "vllm"):
        async with half("decode", engine=engine) as worker:
            async with await RawClient.connect(worker.port) as client:
                models = (await client.request("GET", "/v1/models")).json()
            assert models["data"][0]["owned_by"] == engine


def _request(body: dict[str, Any]) -> bytes:
    return request_bytes("POST", CHAT, body)
