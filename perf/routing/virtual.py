"""The virtual driver: sessions, policy and workers in one process, on a clock that jumps.

Deterministic for a seed. What a gateway adds (microseconds) and what a network does is left out;
load reports are not published. A worker that is lost fails the requests in its queue at once and is
not available any more from that moment on.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from perf.routing.contenders import Contender
from perf.routing.model import WorkerModel
from perf.routing.policies import Chooser, UnknownPolicy, View, make_policy
from perf.routing.records import Record
from perf.routing.sessions import Conversation, Session, sessions
from perf.routing.shapes import Shape
from smg.sim import prompts
from smg.sim.text import answer_tokens, seed_of
from smg.workers import Worker

RETRY_SECONDS = 0.1  # a user whose turn failed asks again after this
MOST_TRIES = 20  # then the user goes
LOST = 1  # index of the worker that a shape loses


class Clock:
    """Virtual time, and what is to happen when."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = 0

    def at(self, when: float, call: Callable[[], None]) -> None:
        self._serial += 1
        heapq.heappush(self._due, (when, self._serial, call))

    def run(self) -> None:
        while self._due:
            self.now, _, call = heapq.heappop(self._due)
            call()


@dataclass(eq=False)
class Turn:
    """A request in flight."""

    conversation: Conversation
    record: Record
    worker: Worker
    view: View
    answer: str
    over: bool = False
    read: bool = False  # the first byte of the answer came
    failed: bool = False


@dataclass(eq=False)
class Run:
    """One shape under one policy; `records` in the order of asking."""

    shape: Shape
    sessions: list[Session]
    policy: Chooser
    clock: Clock
    keys: bool = True  # whether clients send a routing key
    records: list[Record] = field(default_factory=list)

    def __post_init__(self) -> None:
        shape = self.shape
        self.workers = tuple(Worker(f"http://10.0.0.{n + 1}") for n in range(shape.workers))
        self.models = {worker: WorkerModel(shape) for worker in self.workers}
        self.available = self.workers
        # In an open loop nobody waits for a place.
        self.waiting = deque(self.sessions[shape.at_once :] if shape.at_once else ())
        self.in_flight: dict[Turn, None] = {}
        self.answered = 0
        for worker in self.workers:
            self._tell("worker_added", worker)
        self._tell("look_into", self.models)

    def _tell(self, what: str, *arguments: Any) -> None:
        told = getattr(self.policy, what, None)
        if told is not None:
            told(*arguments)

    def run(self) -> list[Record]:
        first = self.shape.at_once or len(self.sessions)
        for session in self.sessions[:first]:
            self.clock.at(session.starts, lambda one=session: self._begin(one))  # type: ignore[misc]
        self.clock.run()
        return self.records

    def _next_session(self) -> None:
        if self.waiting:
            self._begin(self.waiting.popleft())

    def _begin(self, session: Session) -> None:
        self._ask(Conversation(session))

    def _ask(self, conversation: Conversation) -> None:
        record = Record(conversation.session.key, conversation.turn, self.clock.now)
        self.records.append(record)
        prompt = prompts.chat_prompt(conversation.ask())
        self._send(conversation, record, prompt)

    def _send(self, conversation: Conversation, record: Record, prompt: str) -> None:
        now = self.clock.now
        key = conversation.session.key.encode() if self.keys else None
        headers = [(b"x-smg-routing-key", key)] if key else []
        view = View(prompt, key, now, headers=headers)
        worker = self.policy.select(self.available, view)
        if worker is None:
            self._failed(conversation, record, prompt, "no worker")
            return
        worker.acquire()
        words = answer_tokens(seed_of(prompt), self.shape.answer_tokens)
        admission = self.models[worker].admit(now, prompt, len(words))
        record.prompt_tokens, record.cached_tokens = (
            admission.prompt_tokens,
            admission.cached_tokens,
        )
        record.worker = worker.url
        turn = Turn(conversation, record, worker, view, "".join(words))
        self.in_flight[turn] = None
        self.clock.at(admission.first, lambda: self._first(turn))
        self.clock.at(admission.ended, lambda: self._ended(turn))

    def _first(self, turn: Turn) -> None:
        if turn.over:
            return
        turn.read = True
        self._tell("first_byte", turn.worker, turn.view)
        if math.isnan(turn.record.first):
            turn.record.first = self.clock.now

    def _release(self, turn: Turn) -> None:
        turn.over = True
        del self.in_flight[turn]
        turn.worker.release()
        if not turn.read:
            self._tell("first_byte", turn.worker, turn.view)
        self._tell("ended", turn.worker, turn.view)

    def _ended(self, turn: Turn) -> None:
        if turn.over:
            return
        self._release(turn)
        turn.record.ended = self.clock.now
        self.answered += 1
        conversation = turn.conversation
        if conversation.answered(turn.answer):
            pause = conversation.session.thinks[conversation.turn]
            self.clock.at(self.clock.now + pause, lambda: self._ask(conversation))
        else:
            self._next_session()
        if self.shape.lose_worker and self.answered == self.shape.requests // 2:
            self._lose(self.workers[LOST])

    def _lose(self, worker: Worker) -> None:
        self.available = tuple(one for one in self.available if one is not worker)
        for turn in [turn for turn in self.in_flight if turn.worker is worker]:
            self._release(turn)
            self._failed(turn.conversation, turn.record, turn.view.prompt, "worker lost")

    def _failed(self, conversation: Conversation, record: Record, prompt: str, reason: str) -> None:
        record.errors += 1
        record.reason = reason
        if record.errors == MOST_TRIES:
            self._next_session()
            return
        again = self.clock.now + RETRY_SECONDS
        self.clock.at(again, lambda: self._send(conversation, record, prompt))


def simulate(shape: Shape, contender: Contender, seed: int, *, keys: bool = True) -> list[Record]:
    """One run. UnknownPolicy if the contender is none that can be asked directly."""
    name = contender.virtual_name
    if name is None:
        raise UnknownPolicy("a program, it cannot run on a virtual clock")
    clock = Clock()
    policy = make_policy(name, flags=dict(contender.flags), seed=seed, clock=lambda: clock.now)
    return Run(shape, sessions(shape, seed), policy, clock, keys).run()
