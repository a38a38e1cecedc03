"""The virtual driver: sessions, policy and workers in one process, on a clock that jumps.

Deterministic for a seed. What a gateway adds (microseconds) and what a network does is left out;
load reports are not published. A worker that is lost fails the requests in its queue at once and is
not available any more from that moment on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from perf.routing.contenders import Contender
from perf.routing.figures import Figures
from perf.routing.model import WorkerModel
from perf.routing.policies import Chooser, UnknownPolicy, View, make_policy
from perf.routing.records import Record
from perf.routing.sessions import Session, sessions
from perf.routing.shapes import Shape
from perf.routing.users import Clock, Question, Users
from smg.workers import LoadReports, Worker

LOST = 1  # index of the worker that a shape loses


@dataclass(eq=False)
class Turn:
    """A request in flight."""

    question: Question
    worker: Worker
    view: View
    over: bool = False
    read: bool = False  # the first byte of the answer came


class Run(Users):
    """One shape under one policy."""

    def __init__(
        self,
        shape: Shape,
        sessions: list[Session],
        policy: Chooser,
        clock: Clock,
        keys: bool = True,
    ) -> None:
        super().__init__(shape, sessions, clock, keys)
        self.policy = policy
        self.workers = tuple(Worker(f"http://10.0.0.{n + 1}") for n in range(shape.workers))
        self.models = {worker: WorkerModel(shape) for worker in self.workers}
        self.available = self.workers
        self.in_flight: dict[Turn, None] = {}
        for worker in self.workers:
            tell(policy, "worker_added", worker)
        tell(policy, "look_into", self.models)

    def _send(self, question: Question) -> None:
        now = self.clock.now
        view = View.of(question.prompt, question.key, now)
        worker = self.policy.select(self.available, view)
        if worker is None:
            self._failed(question, "no worker")
            return
        worker.acquire()
        record = question.record
        admission = self.models[worker].admit(now, question.prompt, record.answer_tokens)
        record.prompt_tokens, record.cached_tokens = (
            admission.prompt_tokens,
            admission.cached_tokens,
        )
        record.worker = worker.url
        turn = Turn(question, worker, view)
        self.in_flight[turn] = None
        self.clock.at(admission.first, lambda: self._first(turn))
        self.clock.at(admission.ended, lambda: self._ended(turn))

    def _first(self, turn: Turn) -> None:
        if turn.over:
            return
        turn.read = True
        tell(self.policy, "first_byte", turn.worker, turn.view)
        record = turn.question.record
        if math.isnan(record.first):
            record.first = self.clock.now

    def _release(self, turn: Turn) -> None:
        turn.over = True
        del self.in_flight[turn]
        turn.worker.release()
        if not turn.read:
            tell(self.policy, "first_byte", turn.worker, turn.view)
        tell(self.policy, "ended", turn.worker, turn.view)

    def _ended(self, turn: Turn) -> None:
        if turn.over:
            return
        self._release(turn)
        self._answered(turn.question)
        if self.shape.lose_worker and self.answered == self.shape.requests // 2:
            self._lose(self.workers[LOST])

    def _lose(self, worker: Worker) -> None:
        self.available = tuple(one for one in self.available if one is not worker)
        for turn in [turn for turn in self.in_flight if turn.worker is worker]:
            self._release(turn)
            self._failed(turn.question, "worker lost")


def tell(policy: Chooser, what: str, *arguments: Any) -> None:
    """Call what a policy need not have."""
    told = getattr(policy, what, None)
    if told is not None:
        told(*arguments)


def simulate(shape: Shape, contender: Contender, seed: int, *, keys: bool = True) -> list[Record]:
    """One run. UnknownPolicy if the contender is none that can be asked directly."""
    clock = Clock()
    policy = policy_of(contender, seed, clock)
    return Run(shape, sessions(shape, seed), policy, clock, keys).run()


def policy_of(
    contender: Contender,
    seed: int,
    clock: Clock,
    leg: str = "single",
    reports: LoadReports | None = None,
) -> Chooser:
    """What a contender picks workers with; `leg` and `reports` as in `PolicyContext`."""
    name = contender.virtual_name
    if name is None:
        raise UnknownPolicy("a program, it cannot run on a virtual clock")
    return make_policy(
        name,
        flags=dict(contender.flags),
        seed=seed,
        clock=lambda: clock.now,
        leg=leg,
        reports=reports,
    )


def measured(
    shape: Shape, contender: Contender, seed: int, *, keys: bool = True
) -> tuple[list[Record], Figures]:
    """One run and what it comes to."""
    records = simulate(shape, contender, seed, keys=keys)
    return records, Figures.of(records, shape)
