"""Probe answers byte for byte, and the model listing's shape, order and upkeep."""

from __future__ import annotations

from smg.endpoints import probes
from smg.endpoints.models import ModelListing
from smg.fleet.readiness import Readiness
from smg.workers import ModelCard, Worker, WorkerRegistry, WorkerStatus
from tests.doubles.exchange import FakeExchange


def test_alive() -> None:
    exchange = FakeExchange()
    probes.alive(exchange)  # type: ignore[arg-type]
    assert (exchange.status, exchange.body) == (200, b"OK")
    assert exchange.content_type.startswith(b"text/plain")


def test_readiness_bodies() -> None:
    registry = WorkerRegistry()
    state = Readiness(registry)
    start = probes.readiness(state)

    def ask() -> tuple[int, bytes]:
        exchange = FakeExchange()
        start(exchange)  # type: ignore[arg-type]
        return exchange.status, exchange.body

    down = (503, b'{"status":"not ready","reason":"insufficient healthy workers"}')
    assert ask() == down
    for number in range(3):
        registry.add(Worker(f"http://w{number}:1"))
    assert ask() == down
    for worker in registry.all()[:2]:
        registry.set_status(worker, WorkerStatus.READY)
    assert ask() == (200, b'{"status":"ready","healthy_workers":2,"total_workers":3}')
    state.drain()
    assert ask() == (503, b'{"status":"not ready","reason":"draining"}')


def listing(models: ModelListing) -> FakeExchange:
    exchange = FakeExchange()
    models.all(exchange)  # type: ignore[arg-type]
    return exchange


def one(models: ModelListing, name: str) -> FakeExchange:
    exchange = FakeExchange(params={"model_id": name})
    models.one(exchange)  # type: ignore[arg-type]
    return exchange


def test_no_models() -> None:
    registry = WorkerRegistry()
    models = ModelListing(registry)
    registry.add(Worker("http://w:1"))
    exchange = listing(models)
    assert exchange.error is not None
    assert (exchange.status, exchange.error.code) == (503, "no_models_available")


def test_listing_is_distinct_and_in_registration_order() -> None:
    registry = WorkerRegistry()
    models = ModelListing(registry)
    for number, name in enumerate(("acme/llm-8b", "b", "acme/llm-8b", "a")):
        registry.add(Worker(f"http://w{number}:1", models=[ModelCard(name)]))
    exchange = listing(models)
    assert exchange.body == (
        b'{"object":"list","data":['
        b'{"id":"acme/llm-8b","object":"model","created":0,"owned_by":"self_hosted"},'
        b'{"id":"b","object":"model","created":0,"owned_by":"self_hosted"},'
        b'{"id":"a","object":"model","created":0,"owned_by":"self_hosted"}]}'
    )


def test_the_listing_follows_the_fleet_and_is_rendered_once() -> None:
    registry = WorkerRegistry()
    models = ModelListing(registry)
    worker = Worker("http://w:1", models=[ModelCard("a")])
    registry.add(worker)
    first = listing(models).body
    registry.set_status(worker, WorkerStatus.READY)
    assert listing(models).body is first
    registry.set_models(worker, [ModelCard("b")])
    assert b'"b"' in listing(models).body
    assert one(models, "a").status == 404
    registry.remove(worker.id)
    assert listing(models).status == 503
    assert one(models, "b").status == 404


def test_one_model() -> None:
    registry = WorkerRegistry()
    models = ModelListing(registry)
    cards = [ModelCard("acme/llm-8b", aliases=("llm", "b")), ModelCard("b", provider="openai")]
    registry.add(Worker("http://w:1", models=cards))
    body = {"id": "acme/llm-8b", "object": "model", "created": 0, "owned_by": "self_hosted"}
    assert one(models, "acme/llm-8b").json == body
    assert one(models, "llm").json == body
    assert one(models, "b").json == {**body, "id": "b", "owned_by": "openai"}
    missing = one(models, "nope")
    assert missing.error is not None
    assert (missing.status, missing.error.code) == (404, "model_not_found")
