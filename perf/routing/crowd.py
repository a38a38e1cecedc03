"""All users of one gateway, in real time. `speed` times faster than the shape says; what is noted
is in the shape's seconds.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import orjson

from perf.processes import HOST
from perf.routing.client import Answer, AskFailed, Connection
from perf.routing.records import Record
from perf.routing.sessions import Conversation, Session
from perf.routing.shapes import Shape
from perf.routing.users import MOST_TRIES, RETRY_SECONDS

MODEL = "sim"
TIMEOUT = 60.0  # real seconds


@dataclass(eq=False)
class Crowd:
    """`at_half` is called once, when half of the turns are answered."""

    shape: Shape
    sessions: list[Session]
    port: int
    speed: float = 1.0
    keys: bool = True
    at_half: Callable[[], None] = lambda: None
    records: list[Record] = field(default_factory=list)

    async def run(self) -> list[Record]:
        self._loop = asyncio.get_running_loop()
        self._idle: list[Connection] = []
        first = self.shape.at_once or len(self.sessions)
        self._waiting = deque(self.sessions[first:])
        self._answered = 0
        self._begun = self._loop.time()
        users = [self._place(session) for session in self.sessions[:first]]
        await asyncio.gather(*users)
        for connection in self._idle:
            connection.close()
        return self.records

    @property
    def _now(self) -> float:
        return self._noted(self._loop.time())

    def _noted(self, loop_time: float) -> float:
        return (loop_time - self._begun) * self.speed

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self.speed)

    async def _place(self, session: Session) -> None:
        """One session after the other; in an open loop just the one."""
        await self._sleep(session.starts)
        await self._converse(session)
        while self._waiting:
            await self._converse(self._waiting.popleft())

    async def _converse(self, session: Session) -> None:
        conversation = Conversation(session)
        while True:
            if pause := session.thinks[conversation.turn]:
                await self._sleep(pause)
            answer = await self._turn(conversation)
            if answer is None or not conversation.answered(answer.text):
                return

    async def _turn(self, conversation: Conversation) -> Answer | None:
        request = self._request(conversation)
        record = Record(conversation.session.key, conversation.turn, self._now)
        record.answer_tokens = conversation.answer_tokens
        self.records.append(record)
        for _ in range(MOST_TRIES):
            try:
                answer = await self._ask(request)
            except AskFailed as problem:
                self._note_first(record, problem.first)
                record.errors += 1
                record.reason = str(problem)
                await self._sleep(RETRY_SECONDS)
                continue
            self._note_first(record, answer.first)
            record.ended = self._now
            record.worker = answer.worker
            record.prompt_tokens = answer.prompt_tokens
            record.cached_tokens = answer.cached_tokens
            self._answered += 1
            if self._answered == self.shape.requests // 2:
                self.at_half()
            return answer
        return None

    def _note_first(self, record: Record, loop_time: float | None) -> None:
        if loop_time is not None and math.isnan(record.first):
            record.first = self._noted(loop_time)

    async def _ask(self, request: bytes) -> Answer:
        connection = await self._connection()
        answer = await connection.ask(request, TIMEOUT)
        self._idle.append(connection)
        return answer

    async def _connection(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.open:
                return connection
        try:
            _, connection = await self._loop.create_connection(
                lambda: Connection(self._loop), HOST, self.port
            )
        except OSError as problem:
            raise AskFailed(f"connect: {problem.strerror}") from None
        return connection

    def _request(self, conversation: Conversation) -> bytes:
        body = orjson.dumps(
            {
                "model": MODEL,
                "stream": True,
                "stream_options": {"include_usage": True},
                "max_tokens": conversation.answer_tokens,
                "messages": conversation.ask(),
            }
        )
        key = conversation.session.key
        routing_key = f"X-SMG-Routing-Key: {key}\r\n" if self.keys else ""
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: {HOST}:{self.port}\r\n{routing_key}"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body
