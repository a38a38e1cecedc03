"""SGLang pairs: both legs at once, the same text as one whole worker would give."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest

from smg.workers import Worker, WorkerStatus
from tests.doubles.gateway import Gateway
from tests.doubles.otlp_collector import Collector
from tests.doubles.pairs import MODEL, pairs, raw_pair
from tests.doubles.raw_client import Answer, RawClient
from tests.doubles.raw_server import Peer
from tests.doubles.sim import SimWorker
from tests.doubles.traffic import CHAT, chat, error_of, nothing_left, send_chat

COMPLETIONS, GENERATE = "/v1/completions", "/generate"

REQUESTS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": (CHAT, chat()),
    "chat, n 2": (CHAT, chat(n=2)),
    "completions": (COMPLETIONS, {"model": MODEL, "prompt": "tell me"}),
    "completions, batch": (COMPLETIONS, {"model": MODEL, "prompt": ["tell me", "and me"]}),
    "completions, batch of one": (COMPLETIONS, {"model": MODEL, "prompt": ["tell me"]}),
    "generate": (GENERATE, {"model": MODEL, "text": "tell me"}),
    "generate, ids": (GENERATE, {"model": MODEL, "input_ids": [1, 2, 3]}),
    "generate, logprobs": (GENERATE, {"model": MODEL, "text": "tell me", "return_logprob": True}),
    "messages": ("/v1/messages", {"model": MODEL, "max_tokens": 9, "messages": chat()["messages"]}),
    "responses": ("/v1/responses", {"model": MODEL, "input": "tell me"}),
}
WHOLE: dict[str, tuple[str, dict[str, Any]]] = {
    "generate, batch of ids": (GENERATE, {"model": MODEL, "input_ids": [[1, 2], [3], [4]]}),
    "generate, batch of texts": (GENERATE, {"model": MODEL, "text": ["tell me", "and me"]}),
    "generate, batch with logprobs": (
        GENERATE,
        {"model": MODEL, "input_ids": [[1, 2], [3]], "return_logprob": True},
    ),
}


def said(answer: Answer) -> Any:
    """The answer without what is new every time."""
    if "event-stream" in (answer.header("content-type") or ""):
        return [plain(json.loads(data)) if data[:1] == "{" else data for data in answer.events()]
    return plain(answer.json())


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        new = ("id", "created", "created_at", "item_id", "completed_at")
        return {key: plain(item) for key, item in value.items() if key not in new}
    return [plain(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("stream", [False, True])
async def test_the_same_text_as_one_worker(stream: bool) -> None:
    requests = REQUESTS if stream else {**REQUESTS, **WHOLE}
    async with (
        SimWorker(models=(MODEL,)) as worker,
        Gateway(worker_urls=[worker.url]) as whole,
        pairs() as fleet,
    ):
        for name, (path, body) in requests.items():
            body = {**body, "stream": stream} if stream else body
            expected = await whole.post(path, body)
            assert expected.status == 200, (name, expected)
            answer = await fleet.gateway.post(path, body)
            assert answer.status == 200, (name, answer)
            assert said(answer) == said(expected), name
            assert answer.header("x-smg-routed-worker-id") == fleet.decodes[0].url
        await fleet.at_rest()
        assert fleet.kv("collisions") == fleet.kv("expired") == 0


# -- what the legs are told ------------------------------------------------------------------------


def told(worker: SimWorker) -> dict[str, Any]:
    """The body of the last request."""
    body: dict[str, Any] = json.loads(worker.last_body)
    return body


@pytest.mark.parametrize(
    ("path", "body", "size"),
    [
        (GENERATE, {"input_ids": [[1], [2], [3]]}, 3),
        (GENERATE, {"input_ids": [1, 2, 3]}, 0),
        (CHAT, {"messages": chat()["messages"], "n": 2}, 2),
        (CHAT, {"messages": chat()["messages"], "n": 1}, 0),
        (CHAT, {"messages": chat()["messages"]}, 0),
        (COMPLETIONS, {"prompt": ["a"]}, 1),
        (COMPLETIONS, {"prompt": "a"}, 0),
    ],
)
async def test_both_legs_get_the_same_rooms(path: str, body: dict[str, Any], size: int) -> None:
    async with pairs(sim={"api_key": "worker-key"}, api_key="worker-key") as fleet:
        given = {"model": MODEL, **body, "seed": 12345678901234567890123}
        key = {"Authorization": "Bearer worker-key"}
        assert (await fleet.gateway.post(path, given, key)).status == 200
        prefill, decode = fleet.prefills[0], fleet.decodes[0]
        assert prefill.last_body == decode.last_body
        # the client's bytes are not touched, integers of any size included
        assert prefill.last_body.startswith(json.dumps(given).encode()[:-1])
        rooms = told(prefill)["bootstrap_room"]
        host, port = told(prefill)["bootstrap_host"], told(prefill)["bootstrap_port"]
        if size:
            assert len(set(rooms)) == size
            assert host == ["127.0.0.1"] * size
            assert port == [prefill.kv.port] * size
        else:
            assert 0 <= rooms < 1 << 63
            assert (host, port) == ("127.0.0.1", prefill.kv.port)
        for worker in (prefill, decode):
            assert dict(worker.last_headers)[b"authorization"] == b"Bearer worker-key"


async def test_what_a_client_says_of_hosts_is_replaced() -> None:
    async with pairs() as fleet:
        evil: dict[str, Any] = {
            "bootstrap_host": "10.0.0.1",
            "bootstrap_port": 1,
            "bootstrap_room": 2,
        }
        assert (await fleet.gateway.post(CHAT, chat(**evil))).status == 200
        for worker in (fleet.prefills[0], fleet.decodes[0]):
            assert b"10.0.0.1" not in worker.last_body
            assert told(worker)["bootstrap_port"] == fleet.prefills[0].kv.port


async def test_an_alias_goes_out_as_the_model_on_both_legs() -> None:
    async with pairs(model_alias=(("gpt", MODEL),)) as fleet:
        answer = await fleet.gateway.post(CHAT, {**chat(), "model": "gpt"})
        assert answer.status == 200
        assert {told(w)["model"] for w in (*fleet.prefills, *fleet.decodes)} == {MODEL}


async def test_roles_have_policies_of_their_own() -> None:
    roles: dict[str, Any] = {"prefill_policy": "round_robin", "decode_policy": "cache_aware"}
    async with pairs(prefills=2, decodes=2, explain_routing=True, **roles) as fleet:
        answers = [await fleet.gateway.post(CHAT, chat()) for _ in range(4)]
        decision = answers[-1].header("x-smg-routing-decision") or ""
        assert "policy=cache_aware" in decision
        assert "prefill-policy=round_robin" in decision
        assert [w.engine.requests[CHAT] for w in fleet.prefills] == [2, 2]
        assert sorted(w.engine.requests[CHAT] for w in fleet.decodes) == [0, 4]
        samples = await fleet.gateway.metrics()
        selected = "smg_worker_selection_total"
        assert samples.value(selected, worker_type="prefill", policy="round_robin") == 4
        assert samples.value(selected, worker_type="decode", policy="cache_aware") == 4
        requests = samples.value("smg_router_requests_total", backend_type="pd", endpoint="chat")
        assert requests == 4
        for name in ("prefill_duration", "ttft"):
            assert samples.value(f"smg_pd_{name}_seconds_count", runtime="sglang") == 4


# -- who is there ----------------------------------------------------------------------------------


async def test_a_model_that_nobody_serves_and_a_pair_with_one_half() -> None:
    async with pairs() as fleet:
        gateway = fleet.gateway
        answer = await gateway.post(CHAT, {**chat(), "model": "nobody's"})
        assert (answer.status, error_of(answer.body)["code"]) == (404, "model_not_found")
        for path in ("/v1/embeddings", "/v1/classify"):
            answer = await gateway.post(path, {"model": MODEL, "input": "x"})
            assert (answer.status, error_of(answer.body)["code"]) == (501, "not_implemented")
        for role in ("decode", "prefill"):
            (worker,) = (w for w in gateway.registry.all() if w.worker_type == role)
            gateway.registry.remove(worker.id)
            assert (await gateway.get("/readiness")).status == 503
            answer = await gateway.post(CHAT, chat())
            code = error_of(answer.body)["code"]
            if role == "decode":
                assert (answer.status, code) == (503, "no_available_workers")
            else:
                assert (answer.status, code) == (404, "model_not_found")
        await nothing_left(gateway)


async def test_a_whole_worker_serves_no_pair_and_halves_serve_no_whole_gateway() -> None:
    async with pairs(pd_disaggregation=False, decodes=1, prefills=1, wait=False) as fleet:
        assert (await fleet.gateway.get("/readiness")).status == 503
        answer = await fleet.gateway.post(CHAT, chat())
        assert (answer.status, error_of(answer.body)["code"]) == (404, "model_not_found")


async def test_info_comes_from_prefill_and_health_from_a_pair() -> None:
    async with pairs(prefills=2, decodes=2) as fleet:
        gateway = fleet.gateway
        for path in ("/get_server_info", "/get_model_info"):
            answer = await gateway.get(path)
            assert answer.status == 200
        assert answer.json()["model_path"] == MODEL
        assert not any(worker.engine.requests["/model_info"] > 1 for worker in fleet.decodes)
        answer = await gateway.get("/health_generate")
        assert answer.status == 200
        asked = [
            w for w in (*fleet.prefills, *fleet.decodes) if w.engine.requests["/health_generate"]
        ]
        assert len(asked) == 2
        named = [w.id for w in gateway.registry.all() if w.id in answer.body.decode()]
        assert len(named) == 2


async def test_health_of_a_pair_that_is_not_well() -> None:
    async with pairs() as fleet:
        fleet.decodes[0].fault("status=500,path=/health_generate")
        answer = await fleet.gateway.get("/health_generate")
        assert (answer.status, error_of(answer.body)["code"]) == (503, "health_generate_failed")
        assert "decode" in error_of(answer.body)["message"]
    async with Gateway(pd_disaggregation=True) as gateway:
        answer = await gateway.get("/health_generate")
        assert (answer.status, error_of(answer.body)["code"]) == (503, "no_healthy_worker_pair")
        answer = await gateway.get("/get_server_info")
        assert (answer.status, error_of(answer.body)["code"]) == (503, "no_prefill_servers")


async def test_workers_of_both_roles_come_by_the_api() -> None:
    async with pairs() as fleet:
        listing = (await fleet.gateway.get("/workers")).json()
        assert listing["stats"] == {"prefill_count": 1, "decode_count": 1, "regular_count": 0}
        shown = {worker["worker_type"]: worker for worker in listing["workers"]}
        assert shown["prefill"]["bootstrap_port"] == fleet.prefills[0].kv.port
        async with (
            SimWorker(role="prefill", models=(MODEL,), bootstrap_port=0) as prefill,
            SimWorker(role="decode", models=(MODEL,)) as decode,
        ):
            for worker, role in ((prefill, "prefill"), (decode, "decode")):
                spec: dict[str, Any] = {"url": worker.url, "worker_type": role}
                if role == "prefill":
                    spec["bootstrap_port"] = worker.kv.port
                assert (await fleet.gateway.post("/workers", spec)).status == 202
            while len(fleet.gateway.registry.all()) < 4:
                await asyncio.sleep(0.005)
            for _ in range(4):
                assert (await fleet.gateway.post(CHAT, chat())).status == 200
            assert prefill.engine.completed == decode.engine.completed == 2
            await fleet.at_rest()


# -- when what goes out ----------------------------------------------------------------------------


async def test_decode_is_relayed_before_the_end_of_prefill_but_not_before_its_head() -> None:
    head_sent, said, finish = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def prefill(peer: Peer) -> None:
        await peer.read_request()
        await said.wait()
        await peer.start_stream()
        head_sent.set()
        await finish.wait()
        await peer.end_stream()

    async def decode(peer: Peer) -> None:
        await peer.read_request()
        await peer.start_stream()
        await peer.send_event({"text": "hello"})
        said.set()
        await head_sent.wait()
        await peer.send_event('{"text": "data: [DONE]\\n\\n"}')
        await peer.end_stream()

    async with raw_pair(prefill, decode) as (gateway, _, _):
        async with await gateway.connect() as client:
            answer = await client.request("POST", CHAT, chat(stream=True))
        assert answer.events() == ['{"text": "hello"}', '{"text": "data: [DONE]\\n\\n"}', "[DONE]"]
        # the rest of prefill is read by nobody but the gateway
        assert len(gateway.product.backend.draining) == 1
        finish.set()
        await nothing_left(gateway)


@pytest.mark.parametrize("http10", [False, True])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_whole_answer_before_the_head_of_prefill(http10: bool, chunked: bool) -> None:
    said = asyncio.Event()

    async def prefill(peer: Peer) -> None:
        await peer.read_request()
        await said.wait()
        await peer.respond(200, {})

    async def decode(peer: Peer) -> None:
        await peer.read_request()
        if chunked:
            await peer.start_stream()
            await peer.end_stream()
        else:
            await peer.respond(200, {"text": "hello"})
        said.set()
        await peer.finished.wait()

    async with raw_pair(prefill, decode) as (gateway, _, _):
        async with await gateway.connect() as client:
            version = "1.0" if http10 else "1.1"
            answer = await client.request("POST", CHAT, chat(stream=chunked), version=version)
        assert answer.status == 200
        if chunked:
            assert answer.events() == ["[DONE]"]
        else:
            assert answer.json() == {"text": "hello"}
        await nothing_left(gateway)


async def test_loads_count_on_both_sides_until_the_end() -> None:
    go_on = asyncio.Event()

    async def prefill(peer: Peer) -> None:
        await peer.read_request()
        await peer.respond(200, {})

    async def decode(peer: Peer) -> None:
        await peer.read_request()
        await peer.start_stream()
        await go_on.wait()
        await peer.end_stream()

    async with raw_pair(prefill, decode) as (gateway, _, _):
        async with await gateway.connect() as client:
            await send_chat(client, stream=True)
            head = await client.read_head()
            assert [worker.load for worker in gateway.registry.all()] == [1, 1]
            go_on.set()
            assert await client.read_body(head) == b"data: [DONE]\n\n"
        await nothing_left(gateway)


# -- log-probabilities -----------------------------------------------------------------------------


def logprobs(*tokens: int) -> dict[str, Any]:
    return {
        "text": "x",
        "meta_info": {"input_token_logprobs": [[-1.0, one, None] for one in tokens]},
    }


@pytest.mark.parametrize("kind", ["object", "stream", "array", "other"])
async def test_logprobs_of_the_prompt_come_from_prefill(kind: str) -> None:
    prefilled: Any = {"array": [logprobs(1, 2), logprobs(3)], "other": "no"}.get(
        kind, logprobs(1, 2)
    )
    decoded: Any = [logprobs(4), logprobs(5)] if kind == "array" else logprobs(4)

    async def prefill(peer: Peer) -> None:
        await peer.read_request()
        if kind == "stream":
            await peer.start_stream()
            await peer.send_event(prefilled)
            await peer.end_stream()
        else:
            await peer.respond(200, json.dumps(prefilled))

    async def decode(peer: Peer) -> None:
        await peer.read_request()
        if kind == "stream":
            await peer.start_stream()
            await peer.send_chunk(b'data: {"te')
            await peer.send_chunk(b'xt":1}\n\n')
            await peer.send_event(decoded)
            await peer.send_event(logprobs(9))
            await peer.end_stream()
        else:
            await peer.respond(200, json.dumps(decoded))

    async with raw_pair(prefill, decode) as (gateway, _, _):
        body = {"model": MODEL, "text": "x", "return_logprob": True, "stream": kind == "stream"}
        answer = await gateway.post(GENERATE, body)
        assert answer.status == 200, answer
        if kind == "stream":
            first, second, third, done = answer.events()
            assert (json.loads(first), done) == ({"text": 1}, "[DONE]")
            assert json.loads(second) == logprobs(1, 2, 4)
            assert json.loads(third) == logprobs(9)  # once, not in every event
        elif kind == "array":
            assert answer.json() == [logprobs(1, 2, 4), logprobs(3, 5)]
        else:
            assert answer.json() == (logprobs(1, 2, 4) if kind == "object" else decoded)
        await nothing_left(gateway)


async def test_rerank_passes_as_it_is() -> None:
    body = {"model": MODEL, "query": "q", "documents": ["a", "b"]}
    async with SimWorker(models=(MODEL,)) as worker, Gateway(worker_urls=[worker.url]) as whole:
        own = await worker_answer(worker, body)
        assert (await whole.post("/v1/rerank", body)).json() != own  # that one is reshaped
        for engine in ("sglang", "vllm"):
            async with pairs(engine) as fleet:
                answer = await fleet.gateway.post("/v1/rerank", body)
                assert (answer.status, answer.json()) == (200, own)
                await fleet.at_rest()


async def worker_answer(worker: SimWorker, body: dict[str, Any]) -> Any:
    async with await RawClient.connect(worker.port) as client:
        return (await client.request("POST", "/v1/rerank", body)).json()


# -- data-parallel ranks ---------------------------------------------------------------------------


async def test_room_and_ranks_are_chosen_together() -> None:
    async with pairs() as fleet:
        registry = fleet.gateway.registry
        for worker in list(registry.all()):
            registry.remove(worker.id)
            for rank in range(3):
                spec = msgspec.structs.replace(worker.spec, dp_size=3, dp_rank=rank)
                role = worker.worker_type
                one = Worker(
                    worker.base_url, models=worker.models, worker_type=role, runtime="sglang",
                    dp_rank=rank, spec=spec,
                )  # fmt: skip
                registry.add(one)
                registry.set_status(one, WorkerStatus.READY)
        pairs_seen = set()
        for number in range(9):
            assert (await fleet.gateway.post(CHAT, chat(seed=number))).status == 200
            prefill, decode = told(fleet.prefills[0]), told(fleet.decodes[0])
            rank = prefill["routed_dp_rank"]
            assert prefill["bootstrap_room"] % 3 == rank
            assert decode["disagg_prefill_dp_rank"] == rank
            assert "disagg_prefill_dp_rank" not in prefill
            pairs_seen.add((rank, decode["routed_dp_rank"]))
        assert {rank for rank, _ in pairs_seen} == {0, 1, 2}
        await fleet.at_rest()


async def test_requests_to_pairs_are_traced() -> None:
    with Collector() as collector:
        trace: dict[str, Any] = {"enable_trace": True, "otlp_traces_endpoint": collector.endpoint}
        for engine in ("sglang", "vllm"):
            async with pairs(engine, **trace) as fleet:
                assert (await fleet.gateway.post(CHAT, chat(stream=True))).status == 200
                await fleet.at_rest()
                parents = {
                    value
                    for worker in (*fleet.prefills, *fleet.decodes)
                    for name, value in worker.last_headers
                    if name == b"traceparent"
                }
                assert len(parents) == 1  # both legs belong to the span
        spans = [span for span in collector.spans if span.attributes.get("route") == CHAT]
        assert len(spans) == 2
        for span in spans:
            assert not span.failed
            assert span.attributes["model"] == MODEL
            assert {"request sent", "response received"} <= {name for name, _ in span.events}
