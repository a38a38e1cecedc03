"""What goes wrong with a worker, in which order, and the one who does it.

One worker at a time: it fails for a while, is healed, and everything is calm for a while.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

CALM_SECS = 2.5
CALM = "none"


class Victim(Protocol):
    """A worker that can be harmed; `heal` undoes whatever was done and returns when it serves."""

    async def arm(self, spec: str) -> None:
        """Arm a fault of the simulated engine (docs/guide/simulated-engine.md)."""

    async def kill(self) -> None:
        """End at once; connections are reset, later ones refused."""

    async def restart(self) -> None:
        """End in order and begin anew."""

    async def freeze(self) -> None:
        """Do nothing any more; the kernel goes on accepting connections."""

    async def heal(self) -> None:
        """See the class."""


@dataclass(frozen=True)
class Fault:
    """One way to fail, for `secs`: `deed` is a method of a victim. What is armed is the name."""

    name: str
    deed: str = "arm"
    secs: float = 2.5

    async def strike(self, victim: Victim) -> None:
        if self.deed == "arm":
            await victim.arm(self.name)
        else:
            await getattr(victim, self.deed)()


def _armed(*specs: str) -> tuple[Fault, ...]:
    return tuple(map(Fault, specs))


#: `length-short` is missing: an answer that is short by its worker's own word is whole for a relay.
#: A worker that fails at random keeps its breaker closed, so more requests meet it.
FAULTS = (
    # killed
    Fault("kill -9", "kill"),
    Fault("restart", "restart"),
    *_armed("refuse,times=40", "close", "reset=3", "reset=3,probability=0.3"),
    # hung, or as good as
    Fault("SIGSTOP", "freeze", secs=5.0),
    *_armed("stall", "stall,probability=0.2", "stall-after=5", "dribble=64,seconds=0.01"),
    # garbled
    *_armed("garbage", "garbage,probability=0.3", "partial-head", "big-head", "length-long"),
    *_armed("bad-chunk-size=3", "cut=3", "cut=3,probability=0.3"),
    *_armed("cut-mid-frame=3", "cut-mid-chunk=3", "error-frame=3"),
    *_armed("status=500", "status=500,probability=0.5", "status=503,retry-after=1", "status=429"),
)


@dataclass(frozen=True)
class Event:
    """`fault` strikes worker number `worker` at `at` and is healed at `until`, seconds from the
    start.
    """

    at: float
    until: float
    worker: int
    fault: Fault


def schedule(
    seed: int,
    seconds: float,
    *,
    workers: int = 3,
    faults: Sequence[Fault] = FAULTS,
    calm: float = CALM_SECS,
    pace: float = 1.0,
) -> Iterator[Event]:
    """Events that begin and are healed within `seconds`, `calm` apart.

    Every fault comes once, in an order given by the seed, before one comes again. `pace` divides
    all times: tests cannot wait.
    """
    dice = random.Random(seed)
    calm /= pace
    at = calm
    while True:
        for fault in dice.sample(faults, len(faults)):
            until = at + fault.secs / pace
            if until + calm > seconds:
                return
            yield Event(at, until, dice.randrange(workers), fault)
            at = until + calm


class Injector:
    """Carries events out; `label` names the fault that holds, or held last."""

    def __init__(self, victims: Sequence[Victim]) -> None:
        self.victims = victims
        self.label = CALM
        self.done: list[Event] = []

    async def run(self, events: Iterator[Event]) -> None:
        """Returns after the last event; the worker at hand is healed also when cancelled."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        for event in events:
            await asyncio.sleep(begun + event.at - loop.time())
            self.label = event.fault.name
            victim = self.victims[event.worker]
            try:
                await event.fault.strike(victim)
                await asyncio.sleep(begun + event.until - loop.time())
            finally:
                await victim.heal()
            self.done.append(event)
