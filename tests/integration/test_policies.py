"""What clients see of the policies (routing-reliability 29): who serves which request.

Loads are made of requests that workers hold open; workers go down through the registry where the
health loop is not the matter.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from smg.workers import ModelCard, Worker, WorkerStatus
from tests.doubles.gateway import Gateway
from tests.doubles.raw_client import Answer, RawClient, request_bytes
from tests.doubles.raw_server import Peer, RawServer
from tests.doubles.sim import SimWorker
from tests.doubles.traffic import CHAT, chat, error_of, nothing_left, until

ROUTED = "x-smg-routed-worker-id"
TOKENS = "X-SMG-Routing-Tokens"
KEY = "X-SMG-Routing-Key"
TARGET = "X-SMG-Target-Worker"
# Chats whose prompts have not even their first character in common.
DISTINCT = [chr(ord("A") + place) * 200 for place in range(40)]


def prompt(text: str, **more: Any) -> dict[str, Any]:
    return chat(messages=[{"role": "user", "content": text}], **more)


class Fleet:
    """Workers side by side that answer at once, or keep a request until `release`.

    Requests of the user `hold` are kept. `held` says how many each worker keeps.
    """

    def __init__(self, count: int = 2, models: Sequence[str] = ()) -> None:
        names = models or ["test-model"] * count
        self.workers = [RawServer(self._serve, model=name) for name in names]
        self._go = asyncio.Event()
        self._clients: list[RawClient] = []
        self._stack = AsyncExitStack()

    async def _serve(self, peer: Peer) -> None:
        while True:
            request = await peer.read_request()
            if request.json().get("user") == "hold":
                await self._go.wait()
            await peer.respond(200, {"object": "chat.completion"})

    async def __aenter__(self) -> Fleet:
        for worker in self.workers:
            await self._stack.enter_async_context(worker)
        return self

    async def __aexit__(self, *error: Any) -> None:
        self._go.set()
        for client in self._clients:
            client.close()
        await self._stack.__aexit__(*error)

    @property
    def urls(self) -> list[str]:
        """In order of their places."""
        return [worker.url for worker in self.workers]

    def place(self, answer: Answer) -> int:
        """Who gave an answer."""
        assert answer.status == 200, answer
        return self.urls.index(answer.header(ROUTED) or "")

    def served(self) -> list[int]:
        """Requests so far, by place."""
        return [len(worker.requests) for worker in self.workers]

    async def hold(self, gateway: Gateway, body: dict[str, Any], headers: Any = ()) -> int:
        """One more request in flight; the place of its worker."""
        before = self.served()
        client = await gateway.connect()
        self._clients.append(client)
        await client.send(request_bytes("POST", CHAT, {**body, "user": "hold"}, headers))
        await until(lambda: self.served() != before)
        (place,) = (p for p, count in enumerate(self.served()) if count != before[p])
        return place

    async def release(self, gateway: Gateway) -> None:
        """Answer everything that was held."""
        self._go.set()
        for client in self._clients:
            assert (await client.answer()).status == 200
            client.close()
        self._clients.clear()
        await nothing_left(gateway)
        self._go.clear()


def known(gateway: Gateway, url: str) -> Worker:
    worker = gateway.registry.by_url(url)
    assert isinstance(worker, Worker)
    return worker


def set_up(gateway: Gateway, url: str, up: bool) -> None:
    """What the health loop does when a worker fails or recovers."""
    status = WorkerStatus.READY if up else WorkerStatus.NOT_READY
    assert gateway.registry.set_status(known(gateway, url), status)


def join(gateway: Gateway, url: str, model: str = "test-model", **fields: Any) -> Worker:
    """Register a worker with fields that the command line has no word for."""
    worker = Worker(url, models=[ModelCard(model)], **fields)
    gateway.registry.add(worker)
    gateway.registry.set_status(worker, WorkerStatus.READY)
    return worker


@asynccontextmanager
async def started(fleet: Fleet, policy: str, **config: Any) -> AsyncIterator[Gateway]:
    """A gateway that knows the whole fleet, in its order."""
    async with Gateway(policy=policy, **config) as gateway:
        for worker in fleet.workers:
            join(gateway, worker.url, worker.model)
        yield gateway


async def branches(gateway: Gateway, policy: str = "cache_aware") -> Counter[str]:
    """Decisions so far, by rule."""
    samples = await gateway.metrics()
    name = f"smg_{policy}_policy_branch_total"
    found = {row["branch"]: int(samples.value(name, **row)) for row in samples.labels(name)}
    return Counter({branch: count for branch, count in found.items() if count})


async def gauge(gateway: Gateway, name: str, **labels: str) -> float:
    """A gauge of the routing trees, refreshed now."""
    gateway.product.backend.policies.tick()
    return (await gateway.metrics()).value(name, **labels)


# -- cache_aware: rows 1, 2, 4, 9 to 14 -----------------------------------------------------------


async def test_equal_prompts_meet_on_one_worker() -> None:
    async with Fleet() as fleet, started(fleet, "cache_aware") as gateway:
        for _ in range(6):
            assert (await gateway.post(CHAT, prompt("p" * 200))).status == 200
        assert sorted(fleet.served()) == [0, 6]
        assert await branches(gateway) == {"miss": 1, "hit": 5}
        samples = await gateway.metrics()
        assert samples.value("smg_cache_aware_matched_ratio_count") == 6
        assert samples.value("smg_cache_aware_matched_ratio_sum") == 5


async def test_prompts_without_a_common_beginning_spread() -> None:
    async with Fleet() as fleet, started(fleet, "cache_aware") as gateway:
        for text in DISTINCT[:12]:
            assert (await gateway.post(CHAT, prompt(text))).status == 200
        assert fleet.served() == [6, 6]
        assert await branches(gateway) == {"miss": 12}


async def test_the_turns_of_a_chat_stay_together() -> None:
    async with Fleet(3) as fleet, started(fleet, "cache_aware") as gateway:
        for chat_number in range(6):
            text = DISTINCT[chat_number]
            places = []
            for turn in range(4):
                places.append(fleet.place(await gateway.post(CHAT, prompt(text))))
                text += f"{turn} and more"
            assert len(set(places)) == 1
        assert fleet.served() == [8, 8, 8]


async def test_an_empty_prompt_is_a_miss_and_leaves_nothing() -> None:
    async with Fleet() as fleet, started(fleet, "cache_aware") as gateway:
        assert (await gateway.post(CHAT, prompt("x" * 50))).status == 200
        size = await gauge(gateway, "smg_cache_tree_chars", model="test-model")
        assert size == 50
        for _ in range(4):
            assert (await gateway.post(CHAT, prompt(""))).status == 200
        assert await gauge(gateway, "smg_cache_tree_chars", model="test-model") == size
        assert await branches(gateway) == {"miss": 5}
        assert min(fleet.served()) >= 2


async def test_a_removed_worker_leaves_the_tree() -> None:
    async with Fleet() as fleet, started(fleet, "cache_aware") as gateway:
        holder = fleet.place(await gateway.post(CHAT, prompt("p" * 200)))
        assert fleet.place(await gateway.post(CHAT, prompt("q" * 100))) == 1 - holder
        tenants = {"model": "test-model", "tree": "string"}
        assert await gauge(gateway, "smg_cache_tree_tenants", **tenants) == 2
        gateway.registry.remove(known(gateway, fleet.urls[holder]).id)
        assert await gauge(gateway, "smg_cache_tree_tenants", **tenants) == 1
        assert await gauge(gateway, "smg_cache_tree_chars", model="test-model") == 100
        for _ in range(3):
            assert fleet.place(await gateway.post(CHAT, prompt("p" * 200))) == 1 - holder
        # Back as another worker: the old prompt is not its any more.
        join(gateway, fleet.urls[holder])
        assert fleet.place(await gateway.post(CHAT, prompt("p" * 200))) == 1 - holder
        # The last worker of a model takes the gauges of the model along.
        for worker in gateway.registry.all():
            gateway.registry.remove(worker.id)
        samples = await gateway.metrics()
        assert samples.labels("smg_cache_tree_chars") == []
        assert samples.labels("smg_cache_tree_tenants") == []


async def test_a_holder_above_both_thresholds_is_spilled() -> None:
    """Row 10 with 4 instead of 64: at load 7 of 7, 0, 0 the limits are 3.5 and 6.3."""
    limits = {"balance_abs_threshold": 4, "balance_rel_threshold": 1.5}
    async with Fleet(3) as fleet, started(fleet, "cache_aware", **limits) as gateway:
        same = prompt("p" * 200)
        holder = await fleet.hold(gateway, same)
        # Row 11: at 6, 0, 0 the limit of 6 is reached and not passed.
        for _ in range(6):
            assert await fleet.hold(gateway, same) == holder
        assert await branches(gateway) == {"miss": 1, "hit": 6}
        target = await fleet.hold(gateway, same)
        assert target != holder
        assert await branches(gateway) == {"miss": 1, "hit": 6, "spill": 1}
        # It is a second holder now, and the idler one.
        assert await fleet.hold(gateway, same) == target
        assert (await branches(gateway))["hit"] == 7
        assert await gauge(gateway, "smg_cache_tree_chars", model="test-model") == 400
        await fleet.release(gateway)


async def test_the_relative_threshold_alone_spills_nothing() -> None:
    """Row 11 with the other limit: 40 requests more than the others are no overload by 64."""
    async with Fleet(3) as fleet, started(fleet, "cache_aware") as gateway:
        same = prompt("p" * 200)
        assert len({await fleet.hold(gateway, same) for _ in range(40)}) == 1
        await fleet.release(gateway)


async def test_a_prompt_whose_holder_is_down_is_served_and_stored_elsewhere() -> None:
    """Row 12, better than there (30, row 9): the least loaded serves it and holds it from now."""
    async with Fleet(3) as fleet, started(fleet, "cache_aware") as gateway:
        same = prompt("p" * 200)
        holder = fleet.place(await gateway.post(CHAT, same))
        set_up(gateway, fleet.urls[holder], False)
        second = fleet.place(await gateway.post(CHAT, same))
        assert second != holder
        assert await branches(gateway) == {"miss": 1, "no_eligible_holder": 1}
        assert fleet.place(await gateway.post(CHAT, same)) == second
        assert (await branches(gateway))["hit"] == 1
        for url in {*fleet.urls} - {fleet.urls[holder]}:
            set_up(gateway, url, False)
        answer = await gateway.post(CHAT, same)
        assert (answer.status, error_of(answer.body)["code"]) == (503, "no_available_workers")
        set_up(gateway, fleet.urls[holder], True)  # and it has forgotten nothing
        assert fleet.place(await gateway.post(CHAT, same)) == holder
        assert (await branches(gateway))["hit"] == 2


async def test_token_ids_decide_whatever_the_body_says() -> None:
    async with Fleet() as fleet, started(fleet, "cache_aware") as gateway:
        ids = {TOKENS: ",".join(map(str, range(1, 33)))}
        places = [fleet.place(await gateway.post(CHAT, prompt(text), ids)) for text in DISTINCT[:6]]
        assert len(set(places)) == 1
        assert await branches(gateway) == {"miss": 1, "hit": 5}
        assert await gauge(gateway, "smg_cache_tree_tokens", model="test-model") == 32
        assert await gauge(gateway, "smg_cache_tree_chars", model="test-model") == 0


@pytest.mark.parametrize(
    "value", ["1,,2", "", ",", "1,-2", "+1", "a", "4294967296", "1, 2", ",".join(["1"] * 513)]
)
async def test_malformed_token_ids_are_ignored(value: str) -> None:
    async with Fleet() as fleet, started(fleet, "cache_aware") as gateway:
        for text in (*DISTINCT[:4], *DISTINCT[:4]):
            assert (await gateway.post(CHAT, prompt(text), {TOKENS: value})).status == 200
        assert await branches(gateway) == {"miss": 4, "hit": 4}  # by the text
        assert fleet.served() == [4, 4]
        gateway.product.backend.policies.tick()
        assert (await gateway.metrics()).labels("smg_cache_tree_tokens") == []


# -- consistent_hashing: rows 20 to 22 ------------------------------------------------------------


async def test_only_keys_of_a_removed_worker_move() -> None:
    async with Fleet(4) as fleet, started(fleet, "consistent_hashing") as gateway:
        keys = [f"user-{number}" for number in range(80)]

        async def places() -> dict[str, int]:
            async with await gateway.connect() as client:
                return {
                    key: fleet.place(await client.request("POST", CHAT, chat(), {KEY: key}))
                    for key in keys
                }

        before = await places()
        assert await places() == before
        assert set(before.values()) == {0, 1, 2, 3}
        gateway.registry.remove(known(gateway, fleet.urls[2]).id)
        after = await places()
        assert {key for key in keys if before[key] != after[key]} == {
            key for key, place in before.items() if place == 2
        }
        assert await branches(gateway, "consistent_hashing") == {"routing_key_hit": 240}


async def test_a_target_worker_is_used_or_nobody() -> None:
    async with Fleet() as fleet, started(fleet, "consistent_hashing") as gateway:
        loop = asyncio.get_running_loop()
        before = loop.time()
        answer = await gateway.post(CHAT, chat(), {TARGET: "7"})
        assert loop.time() - before < 1  # at once: waiting would not help
        assert (answer.status, error_of(answer.body)["code"]) == (503, "no_available_workers")
        for target, place in (("0", 0), ("1", 1), (fleet.urls[0], 0), (fleet.urls[1] + "/", 1)):
            for _ in range(2):
                answer = await gateway.post(CHAT, chat(), {TARGET: target})
                assert fleet.place(answer) == place
        set_up(gateway, fleet.urls[0], False)
        assert (await gateway.post(CHAT, chat(), {TARGET: "0"})).status == 503
        # Places do not shift when somebody is down.
        assert fleet.place(await gateway.post(CHAT, chat(), {TARGET: "1"})) == 1
        counts = await branches(gateway, "consistent_hashing")
        assert counts == {"target_worker_miss": 2, "target_worker_hit": 9}
        await nothing_left(gateway)


async def test_requests_without_any_key_spread() -> None:
    async with Fleet() as fleet, started(fleet, "consistent_hashing") as gateway:
        async with await gateway.connect() as client:
            for _ in range(80):
                assert (await client.request("POST", CHAT, chat())).status == 200
        assert min(fleet.served()) > 10
        assert await branches(gateway, "consistent_hashing") == {"random_fallback": 80}


# -- manual: rows 23, 24 --------------------------------------------------------------------------


async def test_a_key_comes_back_to_its_worker() -> None:
    async with Fleet() as fleet, started(fleet, "manual") as gateway:
        keyed = {KEY: "K"}
        first = fleet.place(await gateway.post(CHAT, chat(), keyed))
        set_up(gateway, fleet.urls[first], False)
        assert fleet.place(await gateway.post(CHAT, chat(), keyed)) == 1 - first
        set_up(gateway, fleet.urls[first], True)
        assert fleet.place(await gateway.post(CHAT, chat(), keyed)) == first
        counts = await branches(gateway, "manual")
        assert counts == {"vacant": 1, "occupied_miss": 1, "occupied_hit": 1}


async def test_new_keys_go_where_fewest_are() -> None:
    async with Fleet() as fleet:
        async with started(fleet, "manual", assignment_mode="min_group") as gateway:
            for number in range(4):
                await fleet.hold(gateway, chat(), {KEY: f"key-{number}"})
            assert fleet.served() == [2, 2]
            samples = await gateway.metrics()
            for url in fleet.urls:
                assert samples.value("smg_worker_routing_keys_active", worker=url) == 2
            # Requests of a key that is there already change nothing.
            for _ in range(2):
                await fleet.hold(gateway, chat(), {KEY: "key-0"})
            assert sorted(fleet.served()) == [2, 4]
            await fleet.release(gateway)
            samples = await gateway.metrics()
            assert samples.value("smg_worker_routing_keys_active") == 0
            assert samples.value("smg_manual_policy_cache_entries") == 4


# -- prefix_hash, round_robin, priorities: rows 25, 27, 42a ---------------------------------------


async def test_equal_beginnings_meet_and_others_spread() -> None:
    async with Fleet() as fleet, started(fleet, "prefix_hash") as gateway:
        long = "b" * 2000  # more than what is hashed
        places = {
            fleet.place(await gateway.post(CHAT, prompt(long + end)))
            for end in ("one", "two", "six")
        }
        for _ in range(6):
            places.add(fleet.place(await gateway.post(CHAT, prompt(long))))
        assert len(places) == 1
        # Not twelve as in the row: ports differ from run to run, and so does the ring.
        for text in DISTINCT:
            assert (await gateway.post(CHAT, prompt(text))).status == 200
        assert min(fleet.served()) > 0


async def test_in_turn() -> None:
    async with Fleet(3) as fleet, started(fleet, "round_robin") as gateway:
        places = [fleet.place(await gateway.post(CHAT, chat())) for _ in range(9)]
        assert places == [0, 1, 2] * 3


async def test_lower_priorities_serve_only_while_the_highest_is_down() -> None:
    """With the real health loop."""
    config: dict[str, Any] = {
        "health_check_interval_secs": 1,
        "health_failure_threshold": 1,
        "health_success_threshold": 1,
    }
    async with SimWorker() as first, SimWorker() as second:
        async with Gateway(policy="round_robin", **config) as gateway:
            worker = join(gateway, first.url, "sim", priority=100)
            join(gateway, second.url, "sim", priority=50)

            async def served_by() -> set[str | None]:
                answers = [await gateway.post(CHAT, chat(model="sim")) for _ in range(4)]
                assert [answer.status for answer in answers] == [200] * 4
                return {answer.header(ROUTED) for answer in answers}

            assert await served_by() == {first.url}
            first.fault("status=503,path=/health")
            await until(lambda: not worker.is_healthy)
            assert await served_by() == {second.url}
            first.engine.faults.clear()
            await until(lambda: worker.is_healthy)
            assert await served_by() == {first.url}


# -- policies by model: row 50 --------------------------------------------------------------------


async def test_each_model_has_the_policy_that_its_worker_asks_for() -> None:
    async with Fleet(models=["one", "one", "two", "two"]) as fleet:
        async with Gateway(policy="random") as gateway:
            hints = ["round_robin", "passthrough", "manual", ""]  # the first one of a model decides
            for worker, hint in zip(fleet.workers, hints, strict=True):
                join(gateway, worker.url, worker.model, labels={"policy": hint} if hint else {})

            async def serve(model: str, count: int, headers: Any = ()) -> list[int]:
                body = chat(model=model)
                return [fleet.place(await gateway.post(CHAT, body, headers)) for _ in range(count)]

            assert await serve("one", 4) == [0, 1, 0, 1]
            assert len({*await serve("two", 6, {KEY: "k"})}) == 1
            assert await serve("one", 2) == [0, 1]  # the other model's traffic moved nothing
            samples = await gateway.metrics()
            selected = "smg_worker_selection_total"
            assert samples.value(selected, model="one", policy="round_robin") == 6
            assert samples.value(selected, model="two", policy="manual") == 6
            assert samples.value("smg_manual_policy_cache_entries") == 1

            # With its last worker a model loses its policy, and what that remembered.
            for url in fleet.urls[2:]:
                gateway.registry.remove(known(gateway, url).id)
            assert (await gateway.post(CHAT, chat(model="two"))).status == 404
            samples = await gateway.metrics()
            assert samples.value("smg_manual_policy_cache_entries") == 0
            join(gateway, fleet.urls[3], "two")
            assert await serve("two", 1) == [3]
            assert gateway.product.backend.policies.for_model("two").name == "random"
            assert await serve("one", 2) == [0, 1]


async def test_selections_are_counted_under_the_policy_that_made_them() -> None:
    async with Fleet(models=["one", "one"]) as fleet, Gateway(policy="random") as gateway:
        join(gateway, fleet.urls[0], "one")
        assert (await gateway.post(CHAT, chat(model="one"))).status == 200
        join(gateway, fleet.urls[1], "one", labels={"policy": "round_robin"})
        assert (await gateway.post(CHAT, chat(model="one"))).status == 200
        samples = await gateway.metrics()
        for policy in ("random", "round_robin"):
            assert samples.value("smg_worker_selection_total", policy=policy) == 1


async def test_a_policy_that_cannot_be_had_leaves_the_default(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Fleet() as fleet, Gateway(policy="round_robin") as gateway:
        for worker, hint in zip(fleet.workers, ["bucket", "os:system"], strict=True):
            join(gateway, worker.url, labels={"policy": hint})
        places = [fleet.place(await gateway.post(CHAT, chat())) for _ in range(4)]
        assert places == [0, 1, 0, 1]
        warned = [record.getMessage() for record in caplog.records if "of its own" in record.msg]
        assert [hint in text for hint, text in zip(["bucket", "os:system"], warned, strict=True)]


# -- sticky sessions above a policy ---------------------------------------------------------------


async def test_sticky_sessions_above_round_robin() -> None:
    config: dict[str, Any] = {
        "routing_key_override": True,
        "routing_key_headers": ("x-session", "x-smg-routing-key"),
    }
    async with Fleet(3) as fleet, started(fleet, "round_robin", **config) as gateway:
        turns = [f"chat_t{turn}" for turn in range(3)] + ["chat_t2_r1"]
        places = {fleet.place(await gateway.post(CHAT, chat(rid=rid))) for rid in turns}
        assert len(places) == 1
        places = set()
        for headers in ({"X-Session": "s"}, {KEY: "s"}, {"X-Session": "", KEY: "s"}):
            places.add(fleet.place(await gateway.post(CHAT, chat(), headers)))
        assert len(places) == 1
        samples = await gateway.metrics()
        assert samples.value("smg_routing_key_source_total", source="rid") == 4
        assert samples.value("smg_routing_key_source_total", source="header") == 3
        # A third request at once finds its worker full.
        homes = [await fleet.hold(gateway, chat(rid="busy")) for _ in range(3)]
        assert homes[0] == homes[1] != homes[2]
        assert (await branches(gateway, "manual"))["cap_respill"] == 1
        await fleet.release(gateway)
