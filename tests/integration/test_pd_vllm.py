"""vLLM pairs: prefill answers, then decode takes what it kept; the text is a whole worker's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from smg.sim.pairs import PairEngine
from tests.doubles.gateway import Gateway
from tests.doubles.pairs import MODEL, Fleet, pairs, raw_pair
from tests.doubles.raw_server import Peer
from tests.doubles.sim import SimWorker
from tests.doubles.traffic import CHAT, chat, error_of, nothing_left
from tests.integration.test_pd_sglang import COMPLETIONS, GENERATE, REQUESTS, WHOLE, said

CONNECTORS = {"nixl": "NixlConnector", "mooncake": "MooncakeConnector", "passthrough": "Other"}
NIXL = {"do_remote_decode": True, "do_remote_prefill": False}


@pytest.mark.parametrize("connector", CONNECTORS)
@pytest.mark.parametrize("stream", [False, True])
async def test_the_same_text_as_one_worker(connector: str, stream: bool) -> None:
    requests = REQUESTS if stream else {**REQUESTS, **WHOLE}
    # these shapes of SGLang's own have no place for vLLM's cap of one token
    requests = {name: one for name, one in requests.items() if one[0] != GENERATE}
    async with (
        SimWorker(models=(MODEL,)) as worker,
        Gateway(worker_urls=[worker.url]) as whole,
        pairs("vllm", connector=CONNECTORS[connector]) as fleet,
    ):
        split = 0
        for name, (path, body) in requests.items():
            body = {**body, "stream": stream} if stream else body
            expected = await whole.post(path, body)
            answer = await fleet.gateway.post(path, body)
            assert answer.status == expected.status == 200, (name, answer)
            assert said(answer) == said(expected), name
            assert answer.header("x-smg-routed-worker-id") == fleet.decodes[0].url
            split += body.get("n", 1) == 1
        await fleet.at_rest()
        # every cache that was kept was taken; with n above 1 prefill is not asked
        assert fleet.kv("taken") == (0 if connector == "passthrough" else split)
        assert fleet.kv("expired") == 0
        assert fleet.prefills[0].engine.completed == split
        samples = await fleet.gateway.metrics()
        assert samples.value("smg_pd_kv_connector_mode_total", mode=connector) == split
        assert samples.value("smg_pd_kv_transfer_duration_seconds_count", runtime="vllm") == split
        assert samples.value("smg_pd_kv_transfer_failures_total") == 0


def bodies(fleet: Fleet) -> tuple[dict[str, Any], dict[str, Any]]:
    """The last body of each leg."""
    prefill = json.loads(fleet.prefills[0].last_body)
    return prefill, json.loads(fleet.decodes[0].last_body)


@pytest.mark.parametrize(
    ("path", "caps", "capped"),
    [
        (CHAT, {"max_completion_tokens": 50, "max_tokens": 9}, {"max_completion_tokens": 1}),
        (CHAT, {"max_tokens": 9}, {"max_tokens": 1}),
        (CHAT, {"n": 1}, {"max_tokens": 1, "n": 1}),
        (COMPLETIONS, {}, {"max_tokens": 1}),
        ("/v1/responses", {}, {"max_output_tokens": 1}),
    ],
)
async def test_what_the_legs_are_told(
    path: str, caps: dict[str, Any], capped: dict[str, Any]
) -> None:
    prompt = {CHAT: chat(), COMPLETIONS: {"prompt": "x"}}.get(path, {"input": "x"})
    given = {**prompt, "model": MODEL, **caps, "stream": True, "min_tokens": 5, "top_k": 7}
    if path != "/v1/responses":
        given["stream_options"] = {"include_usage": True}
    async with pairs("vllm", connector="NixlConnector") as fleet:
        answer = await fleet.gateway.post(path, given)
        assert answer.status == 200, answer
        prefill, decode = bodies(fleet)
        kept = {**prompt, "model": MODEL, "top_k": 7}
        assert prefill == {**kept, **capped, "stream": False, "kv_transfer_params": NIXL}
        params = decode.pop("kv_transfer_params")
        assert decode == given
        assert params["do_remote_prefill"] is True
        engine = fleet.prefills[0].engine
        assert isinstance(engine, PairEngine)
        assert params["remote_engine_id"] == engine.engine_id
        # the client's own bytes, and behind them what was added
        assert fleet.decodes[0].last_body.startswith(json.dumps(given).encode()[:-1] + b",")


async def test_mooncake_goes_by_a_name_of_ours() -> None:
    async with pairs("vllm", connector="MooncakeConnector") as fleet:
        assert (await fleet.gateway.post(CHAT, chat())).status == 200
        prefill, decode = bodies(fleet)
        transfer = prefill["kv_transfer_params"]["transfer_id"]
        assert transfer.startswith("xfer-")
        assert prefill["kv_transfer_params"] == {**NIXL, "transfer_id": transfer}
        assert decode["kv_transfer_params"] == {
            "do_remote_decode": False,
            "do_remote_prefill": True,
            "transfer_id": transfer,
            "remote_engine_id": "sim-engine",
            "remote_bootstrap_addr": f"http://127.0.0.1:{fleet.prefills[0].kv.port}",
        }
        assert fleet.kv("taken") == 1


async def test_mooncake_without_an_engine_id_computes_again() -> None:
    async with pairs("vllm", connector="MooncakeConnector", kv_engine_id=None) as fleet:
        for _ in range(2):
            assert (await fleet.gateway.post(CHAT, chat())).status == 200
        prefill, decode = bodies(fleet)
        assert "kv_transfer_params" not in prefill
        assert "kv_transfer_params" not in decode
        await fleet.at_rest()


async def test_what_a_client_says_of_transfers_is_replaced() -> None:
    evil: dict[str, Any] = {
        "kv_transfer_params": {"do_remote_prefill": True, "remote_host": "10.0.0.1"}
    }
    for connector in CONNECTORS.values():
        async with pairs("vllm", connector=connector) as fleet:
            for count in (1, 2):
                body = chat(n=count, **evil)
                assert (await fleet.gateway.post(CHAT, body)).status == 200
            for worker in (*fleet.prefills, *fleet.decodes):
                assert all(b"10.0.0.1" not in seen[4] for seen in worker.engine.recent)


def script(*answers: Any) -> Any:
    """A worker that answers with these bodies, one after the other."""
    left = list(answers)

    async def answer(peer: Peer) -> None:
        while True:
            await peer.read_request()
            await peer.respond(200, left.pop(0))

    return answer


async def test_params_are_passed_on_byte_for_byte() -> None:
    params = '{ "id": 123456789012345678901234567890, "x" : [1.0,  2] }'
    async with raw_pair(
        script('{"a": {"kv_transfer_params": 0}, "kv_transfer_params": ' + params + "}"),
        script("{}"),
        engine="vllm",
    ) as (gateway, _, decode):
        assert (await gateway.post(CHAT, chat())).status == 200
        assert decode.requests[-1].body.endswith(b',"kv_transfer_params":' + params.encode() + b"}")
        await nothing_left(gateway)


@pytest.mark.parametrize("connector", ["NixlConnector", ""])
async def test_without_params_decode_computes_again(connector: str) -> None:
    prefill, decode = script("{}", '{"kv_transfer_params": null}'), script("{}", "{}")
    async with raw_pair(prefill, decode, engine="vllm") as (gateway, _, decoding):
        for worker in gateway.registry.all():
            worker.labels["kv_connector"] = connector
        for _ in range(2):
            assert (await gateway.post(CHAT, chat())).status == 200
        assert all(b"kv_transfer_params" not in seen.body for seen in decoding.requests)
        failures = (await gateway.metrics()).value("smg_pd_kv_transfer_failures_total")
        assert failures == (2 if connector else 0)


@pytest.mark.parametrize("body", ["[1]", "no JSON"])
async def test_an_answer_of_prefill_that_cannot_be_read(body: str) -> None:
    async with raw_pair(script(body), script(), engine="vllm") as (gateway, _, decode):
        answer = await gateway.post(CHAT, chat())
        assert (answer.status, error_of(answer.body)["code"]) == (502, "prefill_read_failed")
        assert not decode.requests
        await nothing_left(gateway)
