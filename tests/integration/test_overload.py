"""Workers that report too much work: left out, shed, and back again."""

from __future__ import annotations

from typing import Any

from tests.doubles.gateway import Gateway
from tests.doubles.raw_server import Peer, RawServer
from tests.doubles.traffic import CHAT, chat, error_of, nothing_left, until
from tests.integration.test_live_settings import take_over


class Engine(RawServer):
    """A worker that reports whatever load it is told to."""

    def __init__(self) -> None:
        super().__init__(self._script)
        self.waiting = 0
        self.usage = 0.1
        self.silent = False
        self.chats = 0

    async def __aenter__(self) -> Engine:
        await super().__aenter__()
        return self

    async def _script(self, peer: Peer) -> None:
        while True:
            request = await peer.read_request()
            if request.target.startswith("/v1/loads") and not self.silent:
                rank = {"num_waiting_reqs": self.waiting, "token_usage": self.usage}
                await peer.respond(200, {"loads": [rank]})
            elif request.target == CHAT:
                self.chats += 1
                await peer.respond(200, {"ok": True})
            else:
                await peer.respond(500, {})


def protected(*engines: Engine, **more: Any) -> Gateway:
    settings = {"worker_overload_waiting_requests": 5, "load_monitor_interval": 1, **more}
    return Gateway(worker_urls=[engine.url for engine in engines], **settings)


def flags(gateway: Gateway) -> set[str]:
    return {worker.url for worker in gateway.registry.all() if worker.overloaded}


async def test_an_overloaded_worker_gets_nothing_until_a_report_says_otherwise() -> None:
    async with Engine() as one, Engine() as two, protected(one, two) as gateway:
        await until(lambda: len(gateway.registry) == 2)
        one.waiting = 5
        await until(lambda: flags(gateway) == {one.url})
        for _ in range(4):
            assert (await gateway.post(CHAT, chat())).status == 200
        assert (one.chats, two.chats) == (0, 4)
        samples = await gateway.metrics()
        assert samples.value("smg_workers_overloaded", model="test-model") == 1
        one.waiting = 4
        await until(lambda: not flags(gateway))
        for _ in range(2):
            assert (await gateway.post(CHAT, chat())).status == 200
        assert one.chats == 1
        assert (await gateway.metrics()).value("smg_workers_overloaded", model="test-model") == 0


async def test_all_of_them_then_the_client_is_told_at_once_and_nothing_is_retried() -> None:
    more = {"worker_overload_waiting_requests": None, "worker_overload_protection": True}
    async with Engine() as engine, protected(engine, disable_retries=False, **more) as gateway:
        engine.usage = 0.9
        await until(lambda: bool(flags(gateway)))
        answer = await gateway.post(CHAT, chat())
        assert (answer.status, answer.header("retry-after")) == (503, "1")
        error = error_of(answer.body)
        assert (error["code"], error["message"]) == (
            "no_available_workers",
            "All workers are overloaded",
        )
        assert engine.chats == 0
        assert (await gateway.get("/readiness")).status == 200
        samples = await gateway.metrics()
        assert samples.value("smg_worker_overload_shed_total", stage="selection") == 1
        assert samples.value("smg_worker_retries_total") == 0
        engine.silent = True  # without news nobody is kept from working
        await until(lambda: not flags(gateway))
        assert (await gateway.post(CHAT, chat())).status == 200
        await nothing_left(gateway)


async def test_limits_of_one_worker_alone() -> None:
    async with Engine() as one, Engine() as two:
        async with protected(one, worker_overload_waiting_requests=None) as gateway:
            one.waiting = two.waiting = 3
            spec = {"url": two.url, "overload": {"waiting_requests": 3}}
            assert (await gateway.post("/workers", spec)).status == 202
            await until(lambda: flags(gateway) == {two.url})
            spec["overload"] = {"waiting_requests": 4}
            registered = gateway.registry.by_url(two.url)
            await gateway.request("PUT", f"/workers/{registered.id}", spec)
            await until(lambda: not flags(gateway))


async def test_one_that_becomes_overloaded_while_we_connect_to_it() -> None:
    """A report that comes between the choice and the connection: here, at the choice."""
    async with RawServer() as one, RawServer() as two:
        gateway = Gateway(worker_urls=[one.url, two.url])
        async with gateway:
            await until(lambda: len(gateway.registry) == 2)
            for pool in gateway.upstream._pools.values():
                for conn in list(pool.idle):
                    conn.transport.abort()
            await until(lambda: not gateway.upstream.open_connections)
            policy = gateway.product.policies.for_model("test-model")
            select, chosen = policy.select, []

            def select_and_flag(workers: Any, view: Any) -> Any:
                worker = select(workers, view)
                chosen.append(worker.url)
                if len(chosen) != 2:
                    worker.overloaded = True
                    gateway.registry.availability_changed(worker)
                return worker

            policy.select = select_and_flag
            first = await gateway.post(CHAT, chat())
            assert (first.status, first.header("x-smg-routed-worker-id")) == (200, chosen[1])
            assert chosen[0] != chosen[1]
            await until(lambda: all(not worker.load for worker in gateway.registry.all()))
            for pool in gateway.upstream._pools.values():
                for conn in list(pool.idle):
                    conn.transport.abort()
            await until(lambda: not gateway.upstream.open_connections)
            second = await gateway.post(CHAT, chat())
            assert second.status == 503
            assert error_of(second.body)["code"] == "no_available_workers"
            samples = await gateway.metrics()
            assert samples.value("smg_worker_overload_shed_total", stage="dispatch") == 1
            await nothing_left(gateway)


async def test_a_reload_switches_it_on_and_off() -> None:
    async with Engine() as engine, protected(engine) as gateway:
        engine.waiting = 5
        await until(lambda: bool(flags(gateway)))
        assert take_over(gateway, worker_overload_waiting_requests=6)
        assert not flags(gateway)
        take_over(gateway, worker_overload_waiting_requests=2)
        assert flags(gateway)
        take_over(gateway, worker_overload_waiting_requests=None)
        assert not flags(gateway)
        assert not gateway.product.overload.needed
        assert (await gateway.post(CHAT, chat())).status == 200
