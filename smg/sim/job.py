"""One paced answer: waits for its prefill, then says a token each time the wheel calls.

`FaultyJob` does the same until its fault strikes. Both are the consumers of their exchange: a
client that leaves frees the job's place in the same loop turn, a slow reader holds it back.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from smg.sim.answers import STREAM_HEADERS
from smg.sim.misbehaviour import chunked_message, dribble, strike_body, strike_stream

if TYPE_CHECKING:
    from smg.server import Exchange
    from smg.sim.answers import Answer
    from smg.sim.engine import Engine
    from smg.sim.faults import Fault


class Outcome(enum.Enum):
    """How a job ended; `STRUCK`: its fault ended it, nobody else did."""

    COMPLETED = "completed"
    ABORTED = "aborted"
    STRUCK = "struck"


class Job:
    """See the module. `running` is False while it waits for a place; `reading` is the loop time at
    which its prompt begins to be read; `fetched`: another engine has read it.
    """

    __slots__ = (
        "_begun",
        "_cached",
        "_due",
        "_engine",
        "_exchange",
        "_held",
        "_paused",
        "_place",
        "answer",
        "ended",
        "fetched",
        "reading",
        "running",
    )

    def __init__(self, engine: Engine, exchange: Exchange, answer: Answer) -> None:
        self._engine = engine
        self._exchange = exchange
        self.answer = answer
        self.running = False
        self.reading = 0.0
        self.ended = False
        self.fetched = False
        self._begun = False
        self._place = 0
        self._cached = 0
        self._due = 0.0
        self._paused = exchange.conn.is_write_paused
        self._held = False

    def admitted(self, cached: int, reading: float, ready: float) -> None:
        """The engine took the request; its prompt is read from loop time `reading` on and its first
        token comes at `ready`.
        """
        self.running = True
        self.reading = reading
        self._cached = cached
        engine = self._engine
        if not self.answer.stream:
            ready += self.answer.steps * engine.token_latency
        self._due = ready
        if ready <= engine.loop.time():
            self.fire(ready)
        else:
            engine.wheel.at(ready, self)

    def fire(self, now: float) -> None:
        """Called by the wheel: the next token, or the whole answer."""
        if self.ended or self._hold():
            return
        if not self.answer.stream:
            self._respond()
        else:
            while self._step():
                if self._hold():
                    return

    def _hold(self) -> bool:
        """True while the client reads slowly; `resume` goes on from there."""
        self._held = self._paused
        return self._paused

    @property
    def written(self) -> int:
        """Tokens said so far."""
        return self._place

    def _respond(self) -> None:
        answer = self.answer
        self._place = answer.completion_tokens
        exchange = self._exchange
        self._end()
        exchange.respond(200, answer.body(self._cached))

    def _step(self) -> bool:
        """Say one token per choice; True when the next one is due at once.

        The hot path of paced streams: nothing is counted here, `written` is read when asked for.
        """
        exchange = self._exchange
        answer = self.answer
        place = self._place
        if not self._begun:
            self._begin()
        tails = answer.tails
        head = answer.head
        if answer.width == 1:
            tail = tails[place]
            if exchange.framed:
                exchange.write_raw(b"%x\r\n%b%b\r\n" % (len(head) + len(tail), head, tail))
            else:
                exchange.write(head + tail)
            place += 1
        else:
            for tail in tails[place : place + answer.width]:
                exchange.write(head + tail)
            place = min(place + answer.width, len(tails))
        self._place = place
        if place < len(tails):
            return self._again()
        for frame in answer.closing(self._cached):
            exchange.write(frame)
        self._end()
        exchange.finish()
        return False

    def _begin(self) -> None:
        self._begun = True
        exchange = self._exchange
        exchange.start(200, STREAM_HEADERS)
        for frame in self.answer.opening(self._cached):
            exchange.write(frame)

    def _again(self) -> bool:
        engine = self._engine
        if not engine.token_latency:
            return True
        self._due += engine.token_latency
        # A job that was held back goes on at its pace; it does not catch up in a burst.
        now = engine.loop.time()
        if self._due < now:
            self._due = now
        engine.wheel.at(self._due, self)
        return False

    def _end(self, outcome: Outcome = Outcome.COMPLETED) -> None:
        if not self.ended:
            self.ended = True
            self._engine.released(self, outcome)

    # -- told by the server -----------------------------------------------------------------------

    def client_gone(self) -> None:
        """The client left: free the place."""
        self._end(Outcome.ABORTED)

    def pause(self) -> None:
        """Say nothing until the client caught up."""
        self._paused = True

    def resume(self) -> None:
        """Go on at the next tick."""
        self._paused = False
        if self._held:
            self._held = False
            engine = self._engine
            engine.wheel.at(engine.loop.time(), self)


# Faults during which the job keeps its place.
LASTING = ("stall-after", "dribble")


class FaultyJob(Job):
    """A job whose answer goes wrong after `fault.at` tokens."""

    __slots__ = ("_fault", "_stalled")

    def __init__(self, engine: Engine, exchange: Exchange, answer: Answer, fault: Fault) -> None:
        super().__init__(engine, exchange, answer)
        self._fault = fault
        self._stalled = False

    def _respond(self) -> None:
        body = self.answer.body(self._cached)
        if self._fault.kind not in LASTING:
            self._end(Outcome.STRUCK)
        strike_body(self._exchange, self._fault, body, self._engine.wheel, self._end)

    def _step(self) -> bool:
        fault = self._fault
        if fault.kind == "dribble":
            message = chunked_message(self.answer.frames(self._cached))
            dribble(self._exchange, fault, message, self._engine.wheel, self._end)
            return False
        # It strikes before the last token at the latest: a fault that was asked for always shows.
        if self._stalled or self._place < min(fault.at, self.answer.steps - 1) * self.answer.width:
            return super()._step()
        if not self._begun:
            self._begin()
        self._strike()
        return False

    def _strike(self) -> None:
        fault = self._fault
        engine = self._engine
        if fault.kind == "stall-after":
            self._stalled = True
            if fault.seconds is not None:
                self._due = engine.loop.time() + fault.seconds
                engine.wheel.at(self._due, self)
            return
        self._end(Outcome.STRUCK)
        strike_stream(
            self._exchange, fault, self.answer.head + self.answer.tails[self._place], engine.wheel
        )
