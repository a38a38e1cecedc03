"""The fleet's series follow the registry, and end with the worker."""

from __future__ import annotations

from smg.fleet.metrics import FleetMetrics
from smg.observability.exposition import render
from smg.observability.families import GatewayMetrics
from smg.observability.metrics import Registry
from smg.workers import ModelCard, Worker, WorkerRegistry, WorkerStatus


def lines(series: Registry) -> list[str]:
    wanted = ("smg_worker_health", "smg_worker_pool_size", "smg_worker_requests_active")
    text = render(series).decode()
    return sorted(line for line in text.splitlines() if line.startswith(wanted))


def test_series() -> None:
    workers, series = WorkerRegistry(), Registry()
    first = Worker("http://a:1", models=[ModelCard("m")])
    workers.add(first)
    fleet = FleetMetrics(workers, GatewayMetrics(series))
    second = Worker("http://b:1", models=[ModelCard("m")])
    workers.add(second)
    workers.set_status(first, WorkerStatus.READY)
    second.acquire()
    fleet.checked(first, True)
    fleet.checked(first, False)
    pool = 'smg_worker_pool_size{worker_type="regular",connection_mode="http",model="%s"} %d'
    checks = 'smg_worker_health_checks_total{worker_type="regular",result="%s"} 1'
    assert lines(series) == sorted(
        [
            checks % "failure",
            checks % "success",
            'smg_worker_health{worker="http://a:1"} 1',
            'smg_worker_health{worker="http://b:1"} 0',
            'smg_worker_requests_active{worker="http://a:1"} 0',
            'smg_worker_requests_active{worker="http://b:1"} 1',
            pool % ("m", 2),
        ]
    )
    workers.set_models(first, [ModelCard("n")])
    assert pool % ("m", 1) in lines(series)
    assert pool % ("n", 1) in lines(series)
    workers.remove(first.id)
    workers.remove(second.id)
    assert lines(series) == sorted([checks % "failure", checks % "success"])
