"""Many models behind one address: aliases, cards, wildcards, adapters, ranks (http-api 6)."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

import pytest

from smg.workers import ModelCard, Worker, WorkerStatus
from tests.doubles.gateway import Gateway
from tests.doubles.raw_server import Peer, RawServer
from tests.doubles.sim import SimWorker
from tests.doubles.traffic import CHAT, chat, error_of, nothing_left, until

JSON = {"Content-Type": "application/json"}
ROUTED = "x-smg-routed-worker-id"
MODEL = "acme/llm-8b"
ALIASES = (("gpt-x", MODEL),)


def register(gateway: Gateway, url: str, *cards: str | ModelCard, **fields: Any) -> Worker:
    """A ready worker, as the worker API would make it."""
    made = [card if isinstance(card, ModelCard) else ModelCard(card) for card in cards]
    worker = Worker(url, models=made, **fields)
    gateway.registry.add(worker)
    gateway.registry.set_status(worker, WorkerStatus.READY)
    return worker


async def ask(gateway: Gateway, model: str, **more: Any) -> str:
    """Who answered a chat for `model`."""
    answer = await gateway.post(CHAT, chat(**{**more, "model": model}))
    assert answer.status == 200, answer.body
    return str(answer.header(ROUTED))


async def refused(gateway: Gateway, body: dict[str, Any], path: str = CHAT) -> tuple[int, str]:
    answer = await gateway.post(path, body)
    code = error_of(answer.body)["code"]
    assert answer.header("x-smg-error-code") == code
    return answer.status, code


# -- aliases --------------------------------------------------------------------------------------

MESSAGES = b'"messages":[{"role":"user","content":"hi"}]'


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, b'{"model":@,"messages":[{"role":"user","content":"hi"}]}'),
        (
            CHAT,
            b' \n{ "messages" : [{"role":"user","content":"\\u00e9 \\"model\\":"}],\t"model" : @ ,'
            b'"temperature":0.7000,"x":1e40,"deep":{"model":"gpt-x","n":12345678901234567890} }\n',
        ),
        ("/v1/completions", b'{"prompt":"hi", "model":@}'),
        ("/v1/embeddings", b'{"model":@,"input":["gpt-x"],"unknown":1.0}'),
        ("/generate", b'{"text":"hi","mod\\u0065l":@}'),
        ("/v1/messages", b'{"model":@,"max_tokens":4,"messages":[{"role":"user","content":"a"}]}'),
        ("/v1/responses", b'{"input":"hi","model":@}'),
    ],
)
async def test_only_the_name_changes_in_a_body(path: str, body: bytes) -> None:
    async with (
        SimWorker(models=[MODEL], strict_model=True) as worker,
        Gateway(worker_urls=[worker.url], model_alias=ALIASES) as gateway,
    ):
        answer = await gateway.post(path, body.replace(b"@", b'"gpt-x"'), JSON)
        assert answer.status == 200, answer.body
        assert worker.last_body == body.replace(b"@", b'"acme/llm-8b"')
        await nothing_left(gateway)


async def test_the_last_of_repeated_names_counts_and_is_the_one_that_goes_out() -> None:
    async with (
        SimWorker(models=[MODEL]) as worker,
        Gateway(worker_urls=[worker.url], model_alias=ALIASES) as gateway,
    ):
        raw = b'{"model":"nope","messages":[{"role":"user","content":"hi"}],"model":"gpt-x"}'
        assert (await gateway.post(CHAT, raw, JSON)).status == 200
        assert worker.last_body == raw.replace(b'"model":"nope",', b"").replace(
            b"gpt-x", MODEL.encode()
        )


async def test_a_body_without_a_name_gets_none() -> None:
    async with (
        SimWorker(models=[MODEL]) as worker,
        Gateway(worker_urls=[worker.url], model_alias=ALIASES) as gateway,
    ):
        raw = b'{"text":"hi", "sampling_params":{}}'
        assert (await gateway.post("/generate", raw, JSON)).status == 200
        assert worker.last_body == raw


async def test_a_registered_name_is_never_taken_for_an_alias() -> None:
    async with (
        RawServer() as first,
        RawServer() as second,
        Gateway(policy="random") as gateway,
    ):
        register(gateway, first.url, ModelCard("a", aliases=("b",)))
        b = register(gateway, second.url, "b")
        assert await ask(gateway, "b") == second.url
        gateway.registry.remove(b.id)
        assert await ask(gateway, "b") == first.url
        assert [request.json()["model"] for request in first.requests] == ["a"]
        assert [request.json()["model"] for request in second.requests] == ["b"]


async def test_the_next_model_inherits_an_alias() -> None:
    async with RawServer() as one, RawServer() as two, Gateway() as gateway:
        a = register(gateway, one.url, ModelCard("a", aliases=("x",)))
        register(gateway, two.url, ModelCard("b", aliases=("x",)))
        assert await ask(gateway, "x") == one.url
        gateway.registry.set_status(a, WorkerStatus.NOT_READY)
        assert await refused(gateway, chat(model="x")) == (503, "no_available_workers")
        gateway.registry.remove(a.id)
        assert await ask(gateway, "x") == two.url
        assert two.requests[-1].json()["model"] == "b"


async def test_policy_and_labels_know_the_model_only() -> None:
    async with (
        RawServer() as one,
        RawServer() as two,
        Gateway(policy="random", model_alias=[("x", "m"), ("y", "m")]) as gateway,
    ):
        register(gateway, one.url, "m", labels={"policy": "round_robin"})
        register(gateway, two.url, "m")
        names = ["x", "m", "y", "x", "m", "y"]
        assert [await ask(gateway, name) for name in names] == [one.url, two.url] * 3
        samples = await gateway.metrics()
        assert {row["model"] for row in samples.labels("smg_router_requests_total")} == {"m"}
        assert {row["policy"] for row in samples.labels("smg_worker_selection_total")} == {
            "round_robin"
        }
        assert samples.value("smg_router_requests_total", model="m") == 6


async def test_a_key_finds_its_worker_under_every_name() -> None:
    async with (
        RawServer() as one,
        RawServer() as two,
        Gateway(policy="consistent_hashing", model_alias=[("x", "m")]) as gateway,
    ):
        register(gateway, one.url, "m")
        register(gateway, two.url, "m")
        seen = set()
        for number in range(8):
            key = {"X-SMG-Routing-Key": f"k{number}"}
            by_name = [
                (await gateway.post(CHAT, chat(model=name), key)).header(ROUTED)
                for name in ("m", "x")
            ]
            assert by_name[0] == by_name[1]
            seen.add(by_name[0])
        assert seen == {one.url, two.url}


async def test_garbage_names_leave_nothing_behind() -> None:
    async with RawServer() as worker, Gateway(model_alias=[("x", "m")]) as gateway:
        register(gateway, worker.url, "m")
        lanes = gateway.product.backend._lanes
        for number in range(50):
            assert await refused(gateway, chat(model=f"g{number}")) == (404, "model_not_found")
        for name in ("m", "x", "x", "m"):
            await ask(gateway, name)
        assert sorted(lanes) == ["m", "x"]
        samples = await gateway.metrics()
        labels = {row["model"] for row in samples.labels("smg_router_requests_total")}
        assert labels == {"m", "other"}


async def test_a_second_worker_gets_the_models_name_too() -> None:
    async with RawServer() as dead, RawServer() as alive, Gateway() as gateway:
        card = ModelCard("m", aliases=("x",))
        register(gateway, dead.url, card)
        register(gateway, alive.url, card)
        dead.stop_listening()
        assert await ask(gateway, "x") == alive.url
        assert alive.requests[-1].json()["model"] == "m"


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank"])
async def test_rerank_reports_the_models_own_name(path: str) -> None:
    async with (
        SimWorker(models=[MODEL], strict_model=True) as worker,
        Gateway(worker_urls=[worker.url], model_alias=ALIASES) as gateway,
    ):
        body = {"query": "q", "documents": ["a", "b"], "model": "gpt-x"}
        answer = await gateway.post(path, body)
        assert answer.status == 200, answer.body
        assert answer.json()["model"] == MODEL
        assert json.loads(worker.last_body)["model"] == MODEL


# -- no name, any name ----------------------------------------------------------------------------


async def test_unknown_is_any_worker_and_goes_out_as_it_came() -> None:
    async with RawServer() as named, RawServer() as nameless, Gateway() as gateway:
        register(gateway, named.url, "m")
        register(gateway, nameless.url)
        who = Counter([await ask(gateway, "unknown") for _ in range(4)])
        assert who == {named.url: 2, nameless.url: 2}
        assert {r.json()["model"] for r in named.requests + nameless.requests} == {"unknown"}
        for path, body in (
            ("/generate", {"text": "hi"}),
            ("/generate", {"text": "hi", "model": None}),
        ):
            assert (await gateway.post(path, body)).status == 200


async def test_a_worker_without_models_serves_only_unknown() -> None:
    async with RawServer() as worker, Gateway() as gateway:
        register(gateway, worker.url)
        assert await ask(gateway, "unknown") == worker.url
        for name in ("m", "", "Unknown", worker.url):
            assert await refused(gateway, chat(model=name)) == (404, "model_not_found")
        answer = await gateway.get("/v1/models")
        assert (answer.status, error_of(answer.body)["code"]) == (503, "no_models_available")
        assert (await gateway.get("/v1/models/unknown")).status == 404


async def test_names_are_exact() -> None:
    async with RawServer() as worker, Gateway(model_alias=[("X", "m")]) as gateway:
        register(gateway, worker.url, "m")
        for name in ("M", "m ", "x", "", "m/"):
            assert await refused(gateway, chat(model=name)) == (404, "model_not_found")
        assert worker.requests == []


# -- IGW ------------------------------------------------------------------------------------------


async def test_igw_starts_empty_and_takes_workers_later() -> None:
    async with RawServer() as worker, Gateway(enable_igw=True, policy="power_of_two") as gateway:
        assert (await gateway.get("/readiness")).status == 503
        assert (await gateway.get("/v1/models")).status == 503
        for name in ("m", "unknown"):
            assert await refused(gateway, chat(model=name)) == (404, "model_not_found")
        register(gateway, worker.url, "m")
        assert await ask(gateway, "m") == worker.url
        assert await ask(gateway, "unknown") == worker.url
        assert (await gateway.get("/readiness")).status == 200


@pytest.mark.parametrize("model", [None, "", "  ", "unknown", " unknown "])
async def test_igw_wants_to_know_the_model_of_generate(model: str | None) -> None:
    async with RawServer() as worker, Gateway(enable_igw=True) as gateway:
        register(gateway, worker.url, "m")
        for body in ({"text": "hi", "model": model}, {"text": "hi"}):
            answer = await gateway.post("/generate", body)
            error = error_of(answer.body)
            assert (answer.status, error["code"], error["param"]) == (400, "missing_model", "model")
        assert worker.requests == []
        assert (await gateway.post("/generate", {"text": "hi", "model": "m"})).status == 200


# -- cards ----------------------------------------------------------------------------------------


async def test_a_worker_serves_every_card() -> None:
    async with RawServer() as both, RawServer() as one, Gateway(policy="round_robin") as gateway:
        register(gateway, both.url, ModelCard("a", aliases=("x",)), ModelCard("b", aliases=("y",)))
        register(gateway, one.url, "b")
        assert [await ask(gateway, "a") for _ in range(2)] == [both.url] * 2
        assert {await ask(gateway, "y") for _ in range(2)} == {both.url, one.url}
        assert {request.json()["model"] for request in one.requests} == {"b"}
        assert Counter(request.json()["model"] for request in both.requests) == {"a": 2, "b": 1}
        # The wildcard's own group has each worker once.
        assert Counter([await ask(gateway, "unknown") for _ in range(4)]) == {
            both.url: 2,
            one.url: 2,
        }


async def test_the_listing_is_in_order_distinct_and_without_aliases() -> None:
    async with RawServer() as worker, Gateway(model_alias=[("gpt-x", "b")]) as gateway:
        wide = ModelCard("org/a", aliases=("x", "b"), root="/models/a", context_length=4096)
        register(gateway, worker.url, wide, ModelCard("lora", root="/l", parent="org/a"))
        register(gateway, "http://127.0.0.1:1", "b", "org/a", ModelCard("c", provider="acme"))
        listed = (await gateway.get("/v1/models")).json()
        four = {"object": "model", "created": 0, "owned_by": "self_hosted"}
        assert listed == {
            "object": "list",
            "data": [
                {"id": "org/a", **four, "root": "/models/a", "max_model_len": 4096},
                {"id": "lora", **four, "root": "/l", "parent": "org/a"},
                {"id": "b", **four},
                {"id": "c", **four, "owned_by": "acme"},
            ],
        }
        for name, place in (("org/a", 0), ("org%2Fa", 0), ("x", 0), ("b", 2), ("gpt-x", 2)):
            assert (await gateway.get(f"/v1/models/{name}")).json() == listed["data"][place]
        for name in ("X", "unknown", "org", "nope"):
            answer = await gateway.get(f"/v1/models/{name}")
            assert (answer.status, error_of(answer.body)["code"]) == (404, "model_not_found")


class Vllm(RawServer):
    """Lists a model under two names, and its adapters."""

    adapters: tuple[str, ...] = ("sql", "chat")

    @property
    def _probes(self) -> dict[str, Any]:
        four = {"object": "model", "created": 1, "owned_by": "vllm"}
        names = ("base", "base-latest")
        listed: list[dict[str, Any]] = [
            {"id": name, **four, "root": "/models/base", "parent": None, "max_model_len": 2048}
            for name in names
        ]
        listed += [
            {"id": name, **four, "root": f"/loras/{name}", "parent": "base"}
            for name in self.adapters
        ]
        return {**super()._probes, "/v1/models": {"object": "list", "data": listed}}


async def test_adapters_of_vllm_are_models_of_their_own() -> None:
    one, two = Vllm(), Vllm()
    two.adapters = ("sql",)
    async with one, two:
        async with Gateway(worker_urls=[one.url, two.url], policy="round_robin") as gateway:
            await until(lambda: len(gateway.registry) == 2)
            listed = (await gateway.get("/v1/models")).json()["data"]
            assert {(item["id"], item.get("parent"), item["root"]) for item in listed} == {
                ("base", None, "/models/base"),
                ("sql", "base", "/loras/sql"),
                ("chat", "base", "/loras/chat"),
            }
            assert {item["max_model_len"] for item in listed} == {2048}
            assert {await ask(gateway, "chat") for _ in range(3)} == {one.url}
            # Each adapter has a policy of its own, because it has a prefix cache of its own.
            order = [worker.url for worker in gateway.registry.all()]
            for name in ("sql", "base"):
                assert [await ask(gateway, name) for _ in range(2)] == order
            # The engine's other name for the model.
            assert await ask(gateway, "base-latest") == order[0]
            sent = Counter(request.json()["model"] for request in one.requests + two.requests)
            assert sent == {"chat": 3, "sql": 2, "base": 3}


# -- data-parallel ranks --------------------------------------------------------------------------


async def test_a_rank_is_asked_at_its_base_url_with_its_number() -> None:
    async with RawServer() as engine, Gateway(policy="round_robin") as gateway:
        url = engine.url + "/v1"
        ranks = [register(gateway, url, "m", dp_rank=rank) for rank in range(2)]
        raw = b' {"model":"m",' + MESSAGES + b',"n":12345678901234567890 }\n'
        routed = []
        for _ in range(4):
            answer = await gateway.post(CHAT, raw, JSON)
            assert answer.status == 200
            routed.append(answer.header(ROUTED))
        assert routed == [f"{engine.url}@0", f"{engine.url}@1"] * 2
        assert [request.body for request in engine.requests] == [
            raw.replace(b" }\n", b' ,"data_parallel_rank":%d}\n' % rank) for rank in (0, 1, 0, 1)
        ]
        first = engine.requests[0]
        assert first.target == CHAT
        assert first.header("content-length") == str(len(first.body))
        assert first.header("host") == f"127.0.0.1:{engine.port}"
        assert [rank.load for rank in ranks] == [0, 0]
        await nothing_left(gateway)


async def test_a_rank_that_the_client_asked_for_is_replaced() -> None:
    async with RawServer() as engine, Gateway() as gateway:
        register(gateway, engine.url, ModelCard("m", aliases=("x",)), dp_rank=3)
        raw = b'{"data_parallel_rank":7,"model":"x",' + MESSAGES + b"}"
        assert (await gateway.post(CHAT, raw, JSON)).status == 200
        assert engine.requests[0].body == raw.replace(b":7", b":3").replace(b'"x"', b'"m"')


async def test_connections_outlive_a_rank_but_not_the_last_one() -> None:
    async with RawServer() as engine, Gateway(policy="round_robin") as gateway:
        ranks = [register(gateway, engine.url, "m", dp_rank=rank) for rank in range(2)]
        await ask(gateway, "m")
        gateway.registry.remove(ranks[0].id)
        opened = len(engine.connections)
        for _ in range(3):
            assert await ask(gateway, "m") == f"{engine.url}@1"
        assert len(engine.connections) == opened
        gateway.registry.remove(ranks[1].id)
        await until(lambda: engine.open_connections == 0)
        assert gateway.upstream._pools == {}


async def test_a_worker_whose_key_changes_in_the_middle_of_a_request() -> None:
    go = asyncio.Event()

    async def script(peer: Peer) -> None:
        while True:
            await peer.read_request()
            await go.wait()
            await peer.respond(200, {})

    async with RawServer(script) as engine, Gateway() as gateway:
        worker = register(gateway, engine.url, "m", api_key="old")
        async with await gateway.connect() as client:
            asking = asyncio.ensure_future(client.request("POST", CHAT, chat(model="m")))
            await engine.request()
            worker.api_key = "new"
            worker.transport = None  # as the worker API does
            go.set()
            assert (await asking).status == 200
        await ask(gateway, "m")
        keys = [request.header("authorization") for request in engine.requests]
        assert keys == ["Bearer old", "Bearer new"]
