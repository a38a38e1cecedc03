"""Everything at once for a few seconds: afterwards nothing is left, and the gateway is as good as
new.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.doubles.gateway import Gateway
from tests.doubles.raw_client import ClosedEarly, RawClient, request_bytes
from tests.doubles.sim import SimWorker
from tests.doubles.traffic import CHAT, MESSAGES, USER, nothing_left, until

FAULTS = (
    "status=500",
    "status=429",
    "close",
    "partial-head",
    "garbage",
    "length-short",
    "length-long",
    "big-head",
    "cut=2",
    "cut-mid-frame=2",
    "cut-mid-chunk=2",
    "bad-chunk-size=2",
    "error-frame=1",
    "reset=2",
    "stall-after=1,seconds=0.1",
)
SEED = 20_240_601
VISITORS = 24
REQUESTS = 40


class Visitor:
    """One client after the other, each doing a random thing."""

    def __init__(self, gateway: Gateway, dice: random.Random, seen: Counter[str]) -> None:
        self.gateway = gateway
        self.dice = dice
        self.seen = seen

    async def run(self) -> None:
        for _ in range(REQUESTS):
            name = self.dice.choice(
                ["plain", "stream", "fault", "leave", "half", "garbage", "pipeline", "kept", "slow"]
            )
            self.seen[name] += 1
            async with await self.gateway.connect() as client:
                try:
                    await getattr(self, name)(client)
                except (ClosedEarly, ConnectionError):
                    self.seen["broken off"] += 1

    def body(self, *, stream: bool) -> dict[str, object]:
        tokens = self.dice.randint(1, 30)
        return {"model": "sim", "messages": USER, "max_tokens": tokens, "stream": stream}

    def wire(self, *, stream: bool = False, fault: str = "") -> bytes:
        headers = {"X-Request-Id-Sim-Fault": fault} if fault else {}
        path = self.dice.choice([CHAT, CHAT, MESSAGES])
        version = self.dice.choice(["1.1", "1.1", "1.0"])
        body = self.body(stream=stream)
        return request_bytes("POST", path, body, headers, version=version)

    async def plain(self, client: RawClient) -> None:
        await client.send(self.wire())
        assert (await client.answer()).status == 200

    async def stream(self, client: RawClient) -> None:
        await client.send(self.wire(stream=True))
        answer = await client.answer()
        assert answer.status == 200
        assert b"data: " in answer.body

    async def fault(self, client: RawClient) -> None:
        fault = self.dice.choice(FAULTS)
        await client.send(self.wire(stream=self.dice.random() < 0.7, fault=fault))
        answer = await client.answer()
        self.seen[f"{fault} {answer.status}"] += 1

    async def leave(self, client: RawClient) -> None:
        await client.send(
            self.wire(stream=True, fault=self.dice.choice(["", "dribble", "stall=60"]))
        )
        for _ in range(self.dice.randint(0, 5)):
            await asyncio.sleep(0)
        if self.dice.random() < 0.5:
            client.reset()

    async def half(self, client: RawClient) -> None:
        wire = self.wire(stream=True)
        await client.send(wire[: self.dice.randrange(1, len(wire))])

    async def garbage(self, client: RawClient) -> None:
        await client.send(self.dice.randbytes(self.dice.randint(1, 200)) + b"\r\n\r\n")
        await client.ended()

    async def pipeline(self, client: RawClient) -> None:
        requests = [
            request_bytes("POST", CHAT, self.body(stream=self.dice.random() < 0.5))
            for _ in range(self.dice.randint(2, 6))
        ]
        await client.send(b"".join(requests))
        for _ in range(self.dice.randint(0, len(requests))):
            assert (await client.answer()).status == 200

    async def kept(self, client: RawClient) -> None:
        for _ in range(3):
            answer = await client.request("POST", CHAT, self.body(stream=True))
            assert answer.events()[-1] == "[DONE]"

    async def slow(self, client: RawClient) -> None:
        await client.send(request_bytes("POST", CHAT, self.body(stream=True)))
        head = await client.read_head()
        for _ in range(3):
            await asyncio.sleep(0)
        assert await client.read_body(head)


async def test_churn_leaves_nothing_behind() -> None:
    dice = random.Random(SEED)
    seen: Counter[str] = Counter()
    async with SimWorker(token_latency_ms=1.0) as one, SimWorker(token_latency_ms=1.0) as two:
        config: dict[str, Any] = {"worker_urls": [one.url, two.url], "sse_keepalive_secs": 1}
        async with Gateway(**config) as gateway:
            visitors = [
                Visitor(gateway, random.Random(dice.random()), seen) for _ in range(VISITORS)
            ]
            await asyncio.gather(*(visitor.run() for visitor in visitors))
            await nothing_left(gateway, 10.0)
            assert min(seen[name] for name in ("plain", "fault", "leave", "pipeline")) > 20
            # as good as new: every worker takes requests
            await gateway.ready()
            await until(lambda: all(w.status.value == "ready" for w in gateway.registry.all()), 30)
            for _ in range(20):
                body = {"model": "sim", "messages": USER}
                assert (await gateway.post(CHAT, body)).status == 200
            await nothing_left(gateway)
            for worker in (one, two):
                await until(_no_jobs(worker), 10.0)


def _no_jobs(worker: SimWorker) -> Callable[[], bool]:
    return lambda: not worker.engine.jobs
