"""Workers fail, one at a time, in every way the simulated engine knows, while clients ask, stay and
leave: every answer is right, or says that it is not; nothing is left behind.

The same traffic and checks as `python -m perf.chaos`, in fast motion.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from perf.chaos.asks import asks
from perf.chaos.faults import FAULTS, Injector, schedule
from perf.chaos.traffic import Traffic
from perf.chaos.verdict import Verdict
from tests.doubles.gateway import Gateway
from tests.doubles.sim import SimWorker
from tests.doubles.traffic import nothing_left, until

SEED = 5
SECONDS = 5.0
PACE = 28.0
RATE = 200.0
TOKEN_MS = 4.0
# A process is needed to freeze one.
HERE = tuple(fault for fault in FAULTS if fault.deed != "freeze")


class SimVictim:
    """A simulated worker of this process, for the injector."""

    def __init__(self) -> None:
        self.sim = SimWorker(token_latency_ms=TOKEN_MS)
        self.port = 0  # chosen by the system, and kept
        self.down = True

    async def begin(self) -> None:
        if self.port:
            self.sim = SimWorker(token_latency_ms=TOKEN_MS, port=self.port)
        await self.sim.__aenter__()
        self.port = self.sim.port
        self.down = False

    async def arm(self, spec: str) -> None:
        self.sim.fault(spec)

    async def kill(self) -> None:
        await self.sim.close()
        self.down = True

    async def restart(self) -> None:
        await self.sim.worker.close(0.1)
        await self.begin()

    async def freeze(self) -> None:
        raise NotImplementedError

    async def heal(self) -> None:
        if self.down:
            await self.begin()
        self.sim.engine.faults.clear()


@contextlib.asynccontextmanager
async def three_victims() -> AsyncIterator[list[SimVictim]]:
    victims = [SimVictim() for _ in range(3)]
    for victim in victims:
        await victim.begin()
    try:
        yield victims
    finally:
        for victim in victims:
            await victim.sim.close()


async def test_every_answer_is_right_or_says_that_it_is_not() -> None:
    async with three_victims() as victims:
        config: dict[str, Any] = {
            "worker_urls": [victim.sim.url for victim in victims],
            "policy": "cache_aware",
            "disable_retries": False,
            "request_timeout_secs": 20,
            "upstream_first_byte_timeout_secs": 1,
            "upstream_idle_timeout_secs": 1,
            "cb_timeout_duration_secs": 0.25,  # in fast motion, too
        }
        async with Gateway(**config) as gateway:
            injector = Injector(victims)
            events = list(schedule(SEED, SECONDS, faults=HERE, pace=PACE))
            assert {event.fault.name for event in events} == {fault.name for fault in HERE}
            traffic = Traffic(
                "127.0.0.1",
                gateway.port,
                asks(SEED),
                rate=RATE,
                patience=30.0,
                label=lambda: injector.label,
                model="sim",
            )
            await asyncio.gather(traffic.run(SECONDS), injector.run(iter(events)))
            tally = traffic.tally
            story = f"{dict(tally.reasons)}"
            assert tally.ended == traffic.sent > 0.5 * RATE * SECONDS
            assert tally[Verdict.WRONG] == 0, story
            assert tally[Verdict.HUNG] == 0, story
            assert traffic.strays == 0
            # The bound is 99.9 %; with a thousand requests that is one. So: none.
            assert tally[Verdict.FAILED] == 0, story
            assert tally.success == 1.0, story
            # the faults did reach the gateway
            assert tally[Verdict.CUT] > 0
            assert tally[Verdict.LEFT] > 0
            samples = await gateway.metrics()
            assert samples.value("smg_worker_retries_total") > 20
            await nothing_left(gateway)
            await until(lambda: not any(victim.sim.engine.jobs for victim in victims))
