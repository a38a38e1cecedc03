"""The users of a virtual run: who asks what when, and asks again what failed. And their clock.

Knows nothing of workers or policies; what becomes of a question is for the driver to say.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from perf.routing.records import Record
from perf.routing.sessions import Conversation, Session
from perf.routing.shapes import Shape
from smg.sim import prompts
from smg.sim.text import answer_tokens, seed_of

RETRY_SECONDS = 0.1  # a user whose turn failed asks again after this
MOST_TRIES = 20  # then the user goes


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
class Question:
    """One turn, until it is answered."""

    conversation: Conversation
    record: Record
    prompt: str
    key: bytes | None  # the routing key

    @property
    def answer(self) -> tuple[str, ...]:
        """The tokens that any worker answers."""
        return answer_tokens(seed_of(self.prompt), self.record.answer_tokens)


class Users:
    """All sessions of a run; `records` in the order of asking. Drivers define `_send`, which has to
    end in one call of `_answered` or `_failed`.
    """

    def __init__(self, shape: Shape, sessions: list[Session], clock: Clock, keys: bool) -> None:
        self.shape = shape
        self.sessions = sessions
        self.clock = clock
        self.keys = keys  # whether clients send a routing key
        self.records: list[Record] = []
        self.answered = 0
        self._gone = 0
        # In an open loop nobody waits for a place.
        self._waiting = deque(sessions[shape.at_once :] if shape.at_once else ())

    def run(self) -> list[Record]:
        first = self.shape.at_once or len(self.sessions)
        for session in self.sessions[:first]:
            self.clock.at(session.starts, lambda one=session: self._begin(one))  # type: ignore[misc]
        self.clock.run()
        return self.records

    def _send(self, question: Question) -> None:
        raise NotImplementedError

    def _answered(self, question: Question) -> None:
        question.record.ended = self.clock.now
        self.answered += 1
        conversation = question.conversation
        if conversation.answered("".join(question.answer)):
            pause = conversation.session.thinks[conversation.turn]
            self.clock.at(self.clock.now + pause, lambda: self._ask(conversation))
        else:
            self._next_session()

    def _failed(self, question: Question, reason: str) -> None:
        record = question.record
        record.errors += 1
        record.reason = reason
        if record.errors == MOST_TRIES:
            self._next_session()
            return
        self.clock.at(self.clock.now + RETRY_SECONDS, lambda: self._send(question))

    @property
    def over(self) -> bool:
        """All sessions have ended."""
        return self._gone == len(self.sessions)

    def _next_session(self) -> None:
        self._gone += 1
        if self._waiting:
            self._begin(self._waiting.popleft())

    def _begin(self, session: Session) -> None:
        self._ask(Conversation(session))

    def _ask(self, conversation: Conversation) -> None:
        session = conversation.session
        record = Record(session.key, conversation.turn, self.clock.now)
        record.answer_tokens = conversation.answer_tokens
        self.records.append(record)
        prompt = prompts.chat_prompt(conversation.ask())
        key = session.key.encode() if self.keys else None
        self._send(Question(conversation, record, prompt, key))
