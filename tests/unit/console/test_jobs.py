"""Waiting for jobs, on a clock of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from smg.console.errors import JobFailed, Refused, Unreachable
from smg.console.jobs import PATIENCE, Waiter
from smg.console.workers_api import WorkersApi
from tests.doubles.console_api import worker

GONE = Refused("not found", 404, "WORKER_NOT_FOUND")
SILENCE = Unreachable("no answer")


class Scripted(WorkersApi):
    """Answers in turn; the last one for ever."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    def get(self, worker_id: str) -> dict[str, Any]:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        found: dict[str, Any] = answer
        return found


class Scene:
    """A waiter, what it said and how long it slept."""

    def __init__(self, *answers: Any, seconds: float = 60.0) -> None:
        self.said: list[str] = []
        self.slept: list[float] = []
        self.now = 100.0
        self.waiter = Waiter(
            Scripted(*answers),
            "id",
            seconds,
            self.said.append,
            clock=lambda: self.now,
            sleep=self.sleep,
        )

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.slept.append(seconds)
        self.now += seconds


def job(state: str, kind: str = "AddWorker", message: str | None = None, **info: Any) -> Any:
    record = {"job_type": kind, "status": state, "message": message}
    return worker(1, **{"status": "pending", **info}, job_status=record)


def test_a_worker_joins():
    scene = Scene(job("pending"), job("processing"), worker(1, status="pending"), worker(1))
    assert scene.waiter.until_ready()["status"] == "ready"
    assert scene.said == ["job pending", "job processing", "worker pending"]


def test_a_job_that_fails_says_why():
    scene = Scene(job("processing"), job("failed", message="no route to host"))
    with pytest.raises(JobFailed, match="the worker was not added: no route to host"):
        scene.waiter.until_ready()
    with pytest.raises(JobFailed, match="no reason given"):
        Scene(job("failed", "UpdateWorker")).waiter.until_changed()


def test_an_older_failure_of_another_order_does_not_count():
    scene = Scene(job("failed", "AddWorker", "old", status="ready"))
    assert scene.waiter.until_changed()["status"] == "ready"


def test_a_ready_worker_with_a_job_running_is_not_done():
    scene = Scene(job("processing", "UpdateWorker", status="ready"), worker(1, priority=7))
    assert scene.waiter.until_changed()["priority"] == 7


def test_a_worker_leaves():
    scene = Scene(
        job("processing", "RemoveWorker", status="draining", load=1),
        job("processing", "RemoveWorker", status="draining", load=0),
        GONE,
    )
    scene.waiter.until_removed()
    assert scene.said == [
        "worker draining, 1 request in flight",
        "worker draining, 0 requests in flight",
    ]


def test_a_worker_that_goes_away_instead_of_joining():
    for wait in (Scene(GONE).waiter.until_ready, Scene(GONE).waiter.until_changed):
        with pytest.raises(JobFailed, match="gone"):
            wait()


def test_time_is_over():
    scene = Scene(job("processing"), seconds=5)
    with pytest.raises(JobFailed, match="not ready after 5 s; the gateway goes on"):
        scene.waiter.until_ready()
    assert sum(scene.slept) == pytest.approx(5)
    scene = Scene(worker(1, status="draining"), seconds=0.5)
    with pytest.raises(JobFailed, match="not removed after"):
        scene.waiter.until_removed()


def test_pauses_grow():
    scene = Scene(job("processing"), seconds=4)
    with pytest.raises(JobFailed):
        scene.waiter.until_ready()
    assert scene.slept[:5] == [0.1, 0.2, 0.4, 0.8, 1.0]


def test_a_short_silence_is_forgiven():
    scene = Scene(job("processing"), SILENCE, SILENCE, worker(1))
    scene.waiter.until_ready()
    assert "no answer from the gateway, trying again" in scene.said


def test_a_long_silence_is_not():
    scene = Scene(job("processing"), SILENCE, seconds=600)
    with pytest.raises(Unreachable):
        scene.waiter.until_removed()
    assert PATIENCE <= sum(scene.slept) < PATIENCE + 3


def test_refusals_end_the_wait():
    def answers() -> Iterator[Refused]:
        yield Refused("no", 401)
        yield Refused("broken", 500)

    for refusal in answers():
        with pytest.raises(Refused):
            Scene(refusal).waiter.until_removed()
