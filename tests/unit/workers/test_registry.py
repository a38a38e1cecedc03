"""The registry: groups, events, selection answers and what a look-up costs."""

from __future__ import annotations

import pytest

from smg.core.errors import NotFoundError, NoWorkerError
from smg.workers import (
    DuplicateWorker,
    ModelCard,
    ModelGroup,
    Worker,
    WorkerEvent,
    WorkerRegistry,
    WorkerStatus,
    candidates,
)
from smg.workers import group as group_module


def make(number: int, *models: str, **fields: str) -> Worker:
    return Worker(f"http://w{number}:8000", models=[ModelCard(name) for name in models], **fields)  # type: ignore[arg-type]


def test_groups_follow_status_in_registration_order() -> None:
    registry = WorkerRegistry()
    workers = [make(number, "m") for number in range(3)]
    for worker in workers:
        registry.add(worker)
    group = registry.group("m")
    assert group is not None
    assert group.workers == tuple(workers)
    assert group.available == ()
    for worker in reversed(workers):
        registry.set_status(worker, WorkerStatus.READY)
    assert candidates(registry, "m") == tuple(workers)
    registry.set_status(workers[1], WorkerStatus.DRAINING)
    assert candidates(registry, "m") == (workers[0], workers[2])


def test_a_held_tuple_is_never_mutated() -> None:
    registry = WorkerRegistry()
    worker = make(1, "m")
    registry.add(worker)
    registry.set_status(worker, WorkerStatus.READY)
    held = candidates(registry, "m")
    registry.remove(worker.id)
    assert held == (worker,)


def test_unknown_is_every_regular_http_worker() -> None:
    registry = WorkerRegistry()
    first, second = make(1, "a"), make(2)
    decode = make(3, "a", worker_type="decode")
    grpc = Worker("grpc://w4:30000", models=[ModelCard("a")])
    for worker in (first, second, decode, grpc):
        registry.add(worker)
    assert registry.group("unknown").workers == (first, second)  # type: ignore[union-attr]
    assert registry.group("a").workers == (first,)  # type: ignore[union-attr]
    assert registry.group("a", "decode").workers == (decode,)  # type: ignore[union-attr]
    assert registry.group("a", mode="grpc").workers == (grpc,)  # type: ignore[union-attr]
    assert registry.group("a", "prefill") is None


def test_answers_without_a_worker() -> None:
    registry = WorkerRegistry()
    with pytest.raises(NotFoundError) as missing:
        candidates(registry, "m")
    assert (missing.value.status, missing.value.code) == (404, "model_not_found")
    assert missing.value.message == "No worker available for model 'm'"
    worker = make(1, "m")
    registry.add(worker)
    with pytest.raises(NoWorkerError) as down:
        candidates(registry, "m")
    assert (down.value.status, down.value.code) == (503, "no_available_workers")
    registry.remove(worker.id)
    with pytest.raises(NotFoundError):
        candidates(registry, "m")
    with pytest.raises(NotFoundError):
        candidates(registry, "unknown")


def test_one_worker_per_address_in_any_spelling() -> None:
    registry = WorkerRegistry()
    worker = Worker("http://h:8000")
    registry.add(worker)
    for spelling in ("http://H:8000/", "http://h:8000/v1"):
        with pytest.raises(DuplicateWorker):
            registry.add(Worker(spelling))
        assert registry.by_url(spelling) is worker
    assert registry.by_url("nonsense") is None
    assert len(registry) == 1


def test_set_models_moves_between_groups_and_keeps_the_order() -> None:
    registry = WorkerRegistry()
    first, second = make(1, "a"), make(2, "b")
    registry.add(first)
    registry.add(second)
    assert registry.set_models(first, [ModelCard("b")])
    assert registry.group("a") is None
    assert registry.group("b").workers == (first, second)  # type: ignore[union-attr]
    assert registry.group("unknown").workers == (first, second)  # type: ignore[union-attr]
    assert not registry.set_models(first, [ModelCard("b")])


def test_models_are_distinct_whatever_the_health() -> None:
    registry = WorkerRegistry()
    for worker in (make(1, "b"), make(2), make(3, "a"), make(4, "b")):
        registry.add(worker)
    assert [card.id for card in registry.models()] == ["b", "a"]


def test_events() -> None:
    registry = WorkerRegistry()
    seen: list[tuple[str, tuple[str, ...]]] = []
    stop = registry.subscribe(lambda event: seen.append((event.kind, event.left)))
    worker = make(1, "a")
    registry.add(worker)
    registry.set_status(worker, WorkerStatus.READY)
    registry.set_status(worker, WorkerStatus.READY)
    registry.set_models(worker, [ModelCard("b")])
    registry.remove(worker.id)
    stop()
    stop()
    registry.add(make(2))
    assert seen == [
        ("added", ()),
        ("status", ()),
        ("models", ("a",)),
        ("removed", ("b", "unknown")),
    ]


def test_a_failing_subscriber_does_not_hide_the_change(caplog: pytest.LogCaptureFixture) -> None:
    registry = WorkerRegistry()
    seen: list[WorkerEvent] = []

    def broken(event: WorkerEvent) -> None:
        raise RuntimeError("bug")

    registry.subscribe(broken)
    registry.subscribe(seen.append)
    registry.add(make(1))
    assert len(seen) == 1
    assert "subscriber failed" in caplog.text


def test_a_removed_worker_is_left_alone() -> None:
    registry = WorkerRegistry()
    worker = make(1, "a")
    registry.add(worker)
    registry.remove(worker.id)
    assert not registry.set_status(worker, WorkerStatus.READY)
    assert not registry.set_models(worker, [ModelCard("b")])
    registry.availability_changed(worker)
    assert registry.remove(worker.id) is None
    assert registry.get(worker.id) is None


def test_a_look_up_does_not_look_at_the_fleet(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0

    def counting(worker: Worker) -> bool:
        nonlocal asked
        asked += 1
        return worker.status is WorkerStatus.READY

    monkeypatch.setattr(group_module, "is_available", counting)
    registry = WorkerRegistry()
    for number in range(1000):
        worker = make(number, f"m{number % 100}")
        registry.add(worker)
        registry.set_status(worker, WorkerStatus.READY)
    asked = 0
    for number in range(100):
        assert len(candidates(registry, f"m{number}")) == 10
        assert len(candidates(registry, "unknown")) == 1000
    assert asked == 0
    # A change asks the members of its own groups: its model's and the wildcard's.
    registry.set_status(registry.all()[0], WorkerStatus.NOT_READY)
    assert asked == 1010


def test_groups_are_objects_with_prepared_tuples() -> None:
    group = ModelGroup("m")
    assert group.workers is group.available or group.workers == group.available == ()


def test_who_watches_availability_is_told_without_an_event() -> None:
    """A breaker or a load report changes it, too."""
    registry = WorkerRegistry()
    worker = make(1, "a")
    registry.add(worker)
    seen: list[tuple[Worker, ...]] = []
    registry.watch_availability(lambda: seen.append(registry.group("a").available))  # type: ignore[union-attr]
    registry.set_status(worker, WorkerStatus.READY)
    worker.overloaded = True
    registry.availability_changed(worker)
    registry.availability_changed(make(2, "a"))  # nobody's
    assert seen == [(worker,), ()]
