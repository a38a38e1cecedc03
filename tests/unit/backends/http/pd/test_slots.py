"""Slots of prefill workers and the row before them, alone: who is counted, asked and told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from smg.backends.http.pd.slots import PrefillSlots, SlotSettings
from smg.core.errors import GatewayError
from smg.observability.families import GatewayMetrics
from smg.observability.metrics import Registry
from smg.workers import ModelCard, Worker, WorkerRegistry, WorkerStatus


class Stage:
    """What slots see of a gateway: workers, a clock, the ticker's call and the loop's next turn."""

    def __init__(self, limit: int = 1, size: int = 100, timeout: float = 60.0) -> None:
        self.now = 100.0
        self.soon: list[Callable[[], None]] = []
        self.registry = WorkerRegistry()
        self.metrics = GatewayMetrics(Registry())
        self.tick: Callable[[float], None] = lambda now: None
        settings = SlotSettings(limit, size, timeout)
        ticker: Any = self
        self.slots = PrefillSlots(
            settings, self.registry, ticker, self.soon.append, self.metrics, lambda: self.now
        )

    def subscribe(self, callback: Callable[[float], None]) -> None:
        """The ticker's."""
        self.tick = callback

    def worker(self, name: str, role: str = "prefill") -> Worker:
        worker = Worker(f"http://{name}:1", models=(ModelCard(id="m"),), worker_type=role)
        self.registry.add(worker)
        self.registry.set_status(worker, WorkerStatus.READY)
        return worker

    def turn(self) -> None:
        """The loop's next turn."""
        soon, self.soon[:] = list(self.soon), []
        for call in soon:
            call()

    def later(self, seconds: float) -> None:
        self.now += seconds
        self.tick(self.now)


class Request:
    """Waits for any of `workers`; `went` is where it went, `said` what it was told."""

    def __init__(self, stage: Stage, *workers: Worker) -> None:
        self.stage = stage
        self.workers = workers
        self.went: list[Worker] = []
        self.said: list[GatewayError] = []
        self.asked = 0

    def may_go(self) -> bool:
        self.asked += 1
        return bool(self.stage.slots.roomy(self.workers))

    def go(self) -> None:
        worker = self.stage.slots.roomy(self.workers)[0]
        self.stage.slots.take(worker)
        self.went.append(worker)

    def waited_too_long(self, error: GatewayError) -> None:
        self.said.append(error)


def test_full_workers_are_left_out_and_the_tuple_stays_the_same() -> None:
    stage = Stage(limit=2)
    slots = stage.slots
    a, b = both = (stage.worker("a"), stage.worker("b"))
    assert slots.roomy(both) is both
    slots.take(a)
    assert slots.roomy(both) is both
    slots.take(a)
    left = slots.roomy(both)
    assert left == (b,)
    assert slots.roomy(both) is left
    assert slots.roomy((b,)) == (b,)
    slots.take(b)
    slots.take(b)
    assert slots.roomy(both) == ()
    assert (slots.held(a), slots.held(b), slots.inflight) == (2, 2, 4)
    slots.give_back(a)
    assert slots.roomy(both) == (a,)
    for worker in (a, b, b):
        slots.give_back(worker)
    assert slots.roomy(both) is both
    assert slots.inflight == 0
    assert not slots._held  # nothing is kept of workers that hold nothing


def test_a_slot_too_many_is_a_bug() -> None:
    stage = Stage()
    with pytest.raises(KeyError):
        stage.slots.give_back(stage.worker("a"))
    with pytest.raises(ValueError, match="at least 1"):
        Stage(limit=0)


def test_the_head_is_asked_once_for_many_changes_and_in_a_turn_of_its_own() -> None:
    stage = Stage(limit=3)
    a = stage.worker("a")
    for _ in range(3):
        stage.slots.take(a)
    stage.turn()
    first, second = Request(stage, a), Request(stage, a)
    for request in (first, second):
        stage.slots.join(request)
    for _ in range(3):
        stage.slots.give_back(a)
    assert first.went == []
    assert len(stage.soon) == 1
    stage.turn()
    assert first.went == second.went == [a]
    assert (first.asked, second.asked) == (1, 1)
    assert stage.slots.waiting == 0


def test_nobody_overtakes_the_head() -> None:
    stage = Stage()
    a, b = stage.worker("a"), stage.worker("b")
    stage.slots.take(a)
    first, second = Request(stage, a), Request(stage, b)
    stage.slots.join(first)
    stage.slots.join(second)
    stage.slots.changed()
    stage.turn()
    assert (first.went, second.went) == ([], [])
    assert second.asked == 0
    stage.slots.give_back(a)
    stage.turn()
    assert (first.went, second.went) == ([a], [b])


@pytest.mark.parametrize("how", ["added", "removed", "status", "breaker", "head leaves", "time"])
def test_what_lets_the_head_be_asked(how: str) -> None:
    stage = Stage()
    a, b = stage.worker("a"), stage.worker("b")
    stage.slots.take(a)
    head, other = Request(stage, a), Request(stage, b)
    place = stage.slots.join(head)
    stage.slots.join(other)
    stage.turn()
    before = head.asked
    if how == "added":
        stage.worker("c")
    elif how == "removed":
        stage.registry.remove(b.id)
    elif how == "status":
        stage.registry.set_status(b, WorkerStatus.NOT_READY)
    elif how == "breaker":
        stage.registry.availability_changed(b)
    elif how == "time":
        stage.later(1.0)
    else:
        stage.slots.leave(place)
        stage.turn()
        assert other.went == [b]
        return
    stage.turn()
    assert head.asked > before


def test_who_waits_too_long() -> None:
    stage = Stage(timeout=5.0)
    a, b = stage.worker("a"), stage.worker("b")
    stage.slots.take(a)
    first, second, third = (Request(stage, w) for w in (a, a, b))
    stage.slots.join(first)
    stage.later(2.0)
    stage.slots.join(second)
    stage.slots.join(third)
    stage.later(2.75)
    assert first.said == []
    stage.later(0.25)
    (error,) = first.said
    assert (error.status, error.code) == (429, "pd_prefill_queue_timeout")
    assert error.retry_after == 2
    assert second.said == []
    stage.later(2.0)
    assert len(second.said) == 1
    assert third.went == [b]  # as old, but there is room
    rejected = stage.metrics.pd_prefill_rejections
    assert rejected.labels("queue_timeout").value == 2
    assert stage.metrics.pd_prefill_wait.labels().count == 3


def test_how_many_may_wait() -> None:
    stage = Stage(size=1)
    a = stage.worker("a")
    stage.slots.take(a)
    allowed = [stage.slots.may_wait]
    place = stage.slots.join(Request(stage, a))
    allowed.append(stage.slots.may_wait)
    error = stage.slots.refuse()
    assert (error.status, error.code, error.retry_after) == (429, "pd_prefill_queue_full", 2)
    assert stage.metrics.pd_prefill_rejections.labels("queue_full").value == 1
    stage.slots.leave(place)
    stage.slots.leave(place)  # a second time says nothing
    allowed.append(stage.slots.may_wait)
    assert allowed == [True, False, True]
    assert stage.metrics.pd_prefill_wait.labels().count == 1
    assert not Stage(size=0).slots.may_wait


def test_retry_after_follows_how_fast_slots_come_back() -> None:
    stage = Stage(size=100)
    a = stage.worker("a")
    stage.slots.take(a)
    for _ in range(50):
        stage.slots.join(Request(stage, a))
    for _ in range(20):  # one prefill in two seconds
        stage.slots.give_back(a)
        stage.turn()
        stage.later(2.0)
    assert stage.slots.waiting == 30
    after = stage.slots.refuse().retry_after
    assert after is not None
    assert 50 <= after <= 60


def test_every_prefill_worker_has_a_gauge() -> None:
    stage = Stage()
    a, _ = stage.worker("a"), stage.worker("d", "decode")
    stage.slots.take(a)
    shown = {labels: read() for labels, read in stage.metrics.pd_prefill_inflight.tracked().items()}
    assert shown == {(a.url,): 1.0}

    def becomes_decode() -> None:
        a.worker_type = "decode"

    stage.registry.reconfigure(a, becomes_decode)
    assert stage.metrics.pd_prefill_inflight.tracked() == {}
