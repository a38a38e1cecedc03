"""Settings of the fleet that change while it lives: other start-up workers, keys, health checks."""

from __future__ import annotations

from dataclasses import replace

from smg.fleet.settings import FleetSettings
from smg.workers import WorkerSpec
from tests.doubles import health
from tests.unit.fleet.test_service import URL, World, world

OTHER = "http://x:1"
OLD, NEW = FleetSettings(api_key="old"), FleetSettings(api_key="new", drain_settle=0)


def urls(w: World) -> list[str]:
    return [worker.url for worker in w.registry.all()]


# -- start-up workers -----------------------------------------------------------------------------


async def test_workers_that_are_named_no_more_are_drained_and_removed() -> None:
    async with world(drain_settle=5) as w:
        w.up()
        w.up(OTHER)
        w.service.start([URL, OTHER])
        await w.clock.settle()
        w.service.withdraw([URL + "/v1/", "http://unknown:1", "no address"])
        worker = w.registry.by_url(URL)
        assert worker is not None
        assert worker.status.value == "draining"
        w.service.withdraw([URL])  # already on its way out
        await w.clock.advance(5)
        assert urls(w) == [OTHER]


async def test_one_that_is_still_starting_is_given_up() -> None:
    async with world() as w:
        w.service.start([URL])
        await w.clock.advance(10)
        w.service.withdraw([URL])
        await w.clock.settle()
        w.up()
        await w.clock.advance(3600)
        assert urls(w) == []


async def test_one_that_comes_back_while_it_drains_is_registered_after_it() -> None:
    async with world(drain_settle=5) as w:
        w.up()
        w.service.start([URL])
        await w.clock.settle()
        (first,) = w.registry.all()
        w.service.withdraw([URL])
        await w.clock.advance(1)
        w.service.start([URL])
        await w.clock.advance(1)
        assert w.registry.all() == (first,)
        await w.clock.advance(10)
        (second,) = w.registry.all()
        assert second is not first
        assert second.is_healthy


async def test_one_that_comes_back_and_goes_again() -> None:
    async with world(drain_settle=5) as w:
        w.up()
        w.service.start([URL])
        await w.clock.settle()
        w.service.withdraw([URL])
        w.service.start([URL])
        w.service.withdraw([URL])
        await w.clock.advance(60)
        assert urls(w) == []


async def test_one_that_was_posted_before_is_left_as_it_is() -> None:
    async with world() as w:
        worker = await w.added(WorkerSpec(url=URL, priority=70))
        on_its_way = w.service.create(WorkerSpec(url=OTHER, priority=60))
        w.service.start([URL, OTHER])
        w.up(OTHER)
        await w.clock.advance(5)
        assert w.registry.by_url(URL) is worker
        assert worker.priority == 70
        other = w.registry.get(on_its_way)
        assert other is not None
        assert other.priority == 60


async def test_one_that_was_posted_and_failed_gets_another_chance() -> None:
    async with world(startup_timeout=10) as w:
        worker_id = w.service.create(WorkerSpec(url=URL))
        await w.clock.advance(60)
        assert "did not come up" in w.failure(worker_id)
        w.service.start([URL])
        w.up()
        await w.clock.advance(60)
        assert urls(w) == [URL]
        assert w.registry.get(worker_id) is not None  # an id is a worker's for good


# -- keys -----------------------------------------------------------------------------------------


async def test_another_key_for_those_that_got_the_gateways() -> None:
    async with world(api_key="old") as w:
        for url in (URL, OTHER, "http://own:1"):
            w.up(url)
        w.service.start([URL])
        await w.clock.settle()
        own = await w.added(WorkerSpec(url="http://own:1", api_key="its own"))
        posted = await w.added(WorkerSpec(url=OTHER, api_key="old"))  # not named at start
        w.service.configure(NEW)
        w.service.rekey([URL, "http://own:1"], "old")
        (worker, *_) = w.registry.all()
        assert (worker.api_key, worker.spec.api_key, worker.transport) == ("new", "new", None)
        assert (own.api_key, posted.api_key) == ("its own", "old")
        assert worker.is_healthy
        assert worker.model_ids == ("m",)


async def test_no_key_any_more() -> None:
    async with world(api_key="old") as w:
        w.up()
        w.service.start([URL])
        await w.clock.settle()
        w.service.configure(replace(NEW, api_key=None))
        w.service.rekey([URL], "old")
        (worker,) = w.registry.all()
        assert worker.api_key is None


async def test_one_that_is_still_starting_is_asked_with_the_other_key() -> None:
    async with world(api_key="old") as w:
        w.service.start([URL])
        await w.clock.advance(2)
        w.service.configure(NEW)
        w.service.rekey([URL], "old")
        w.up()
        asked = len(w.fetcher.asked)
        await w.clock.advance(1)
        sent = {request.headers.get(b"authorization") for request in w.fetcher.asked[asked:]}
        assert sent == {b"Bearer new"}
        (worker,) = w.registry.all()
        assert worker.api_key == "new"


async def test_a_posted_one_that_failed_is_not_started_by_another_key() -> None:
    async with world(api_key="old", startup_timeout=10) as w:
        w.service.create(WorkerSpec(url=URL, api_key="old"))
        await w.clock.advance(60)
        w.service.configure(NEW)
        w.service.rekey([URL], "old")
        w.up()
        await w.clock.advance(60)
        assert urls(w) == []


# -- health checks --------------------------------------------------------------------------------


async def test_other_health_settings_hold_at_once_for_all_without_their_own() -> None:
    async with health.world(health_interval=60, failure_threshold=3) as w:
        worker = w.add()
        own = w.add(OTHER, check_interval_secs=30)
        await w.clock.advance(20)
        assert w.probes == 2
        w.monitor.configure(FleetSettings(health_interval=10, failure_threshold=1))
        await w.clock.advance(5)
        assert len(w.fetcher.paths(health.URL)) == 2  # it was overdue
        assert len(w.fetcher.paths(OTHER)) == 1
        w.fetcher.down(health.URL)
        await w.clock.advance(10)
        assert health.status(worker) == "not_ready"
        assert health.status(own) == "ready"


async def test_checks_are_switched_off_and_on() -> None:
    async with health.world(failure_threshold=1) as w:
        worker = w.add()
        w.fetcher.down(health.URL)
        await w.clock.advance(0)
        assert health.status(worker) == "not_ready"
        w.monitor.configure(FleetSettings(check_health=False))
        await w.clock.advance(0)
        assert health.status(worker) == "ready"
        probes = w.probes
        await w.clock.advance(600)
        assert w.probes == probes
        w.monitor.configure(FleetSettings(failure_threshold=1))
        await w.clock.advance(0)
        assert health.status(worker) == "not_ready"


async def test_another_path_is_asked_next_time() -> None:
    async with health.world() as w:
        w.add()
        await w.clock.advance(0)
        w.fetcher.set(health.URL, "/alive", 200)
        w.monitor.configure(FleetSettings(health_endpoint="/alive"))
        await w.clock.advance(60)
        assert w.fetcher.paths(health.URL) == ["/health", "/alive"]
