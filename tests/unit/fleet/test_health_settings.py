"""A worker's own health settings over the router's."""

from __future__ import annotations

import pytest

from smg.fleet.health_settings import HealthSettings
from smg.fleet.settings import FleetSettings
from smg.workers import Worker, WorkerSpec
from smg.workers.spec import HealthSpec

URL = "http://w:1"


def of(router: FleetSettings | None = None, **health: object) -> HealthSettings:
    spec = WorkerSpec(url=URL, health=HealthSpec(**health))  # type: ignore[arg-type]
    return HealthSettings.of(Worker(URL, spec=spec), router or FleetSettings())


def test_without_any_the_routers_hold() -> None:
    assert of() == HealthSettings()
    router = FleetSettings(
        health_timeout=1,
        health_interval=2,
        failure_threshold=4,
        success_threshold=5,
        check_health=False,
    )
    assert of(router) == HealthSettings(False, 1, 2, 4, 5)


def test_each_overrides_alone() -> None:
    assert of(timeout_secs=1.5) == HealthSettings(timeout=1.5)
    assert of(check_interval_secs=7) == HealthSettings(interval=7)
    assert of(failure_threshold=1) == HealthSettings(failure_threshold=1)
    assert of(success_threshold=1) == HealthSettings(success_threshold=1)


@pytest.mark.parametrize("router", [True, False])
def test_a_worker_may_turn_checks_on_and_off(router: bool) -> None:
    settings = FleetSettings(check_health=router)
    assert of(settings).enabled is router
    assert of(settings, disable_health_check=True).enabled is False
    assert of(settings, disable_health_check=False).enabled is True


def test_pauses_follow_the_interval() -> None:
    assert (of().fast, of().slow) == (5, 60)
    short, long = of(check_interval_secs=2), of(check_interval_secs=300)
    assert (short.fast, short.slow) == (2, 60)
    assert (long.fast, long.slow) == (5, 300)


def test_no_interval_makes_the_loop_spin() -> None:
    assert of(check_interval_secs=1e-9).interval == 0.1
