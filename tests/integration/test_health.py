"""Health over the whole gateway: settings of one worker through the worker API, and removal."""

from __future__ import annotations

import pytest

from tests.doubles.gateway import Gateway
from tests.doubles.raw_server import RawServer
from tests.doubles.traffic import until


async def test_a_failed_worker_is_removed() -> None:
    async with (
        RawServer() as worker,
        RawServer() as other,
        Gateway(
            worker_urls=[worker.url, other.url],
            remove_unhealthy_workers=True,
            health_check_interval_secs=0.1,
            health_failure_threshold=1,
            drain_settle_secs=0,
        ) as gateway,
    ):
        await until(lambda: len(gateway.registry.all()) == 2)
        await worker.stop()
        await until(lambda: len(gateway.registry.all()) == 1)
        assert gateway.registry.all()[0].url == other.url
        assert (await gateway.get("/readiness")).status == 200


async def test_without_the_flag_it_stays() -> None:
    worker = RawServer()
    await worker.start()
    async with Gateway(
        worker_urls=[worker.url], health_check_interval_secs=0.1, health_failure_threshold=1
    ) as gateway:
        (registered,) = gateway.registry.all()
        await worker.stop()
        await until(lambda: registered.status.value == "failed")
        assert (await gateway.get("/readiness")).json()["reason"] == "insufficient healthy workers"
        assert gateway.registry.all() == (registered,)


@pytest.mark.parametrize("router_checks", [True, False])
async def test_a_worker_turns_its_checks_on_and_off(router_checks: bool) -> None:
    worker = RawServer()
    await worker.start()
    async with Gateway(
        worker_urls=[worker.url], disable_health_check=not router_checks, wait_ready=True
    ) as gateway:
        (registered,) = gateway.registry.all()
        await worker.stop()

        async def patch(**health: object) -> None:
            path = f"/workers/{registered.id}"
            assert (await gateway.request("PATCH", path, {"health": health})).status == 202

        await patch(disable_health_check=False, check_interval_secs=0.1, failure_threshold=1)
        await until(lambda: registered.status.value == "failed")
        await patch(disable_health_check=True)
        await until(lambda: registered.status.value == "ready")
        assert (await gateway.get("/readiness")).status == 200
