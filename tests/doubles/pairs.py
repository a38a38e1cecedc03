"""A gateway over simulated prefill/decode pairs, and what must be true when a test is over.

async with pairs("sglang") as fleet: answer = await fleet.gateway.post(CHAT, chat())
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from tests.doubles.gateway import Gateway
from tests.doubles.raw_server import RawServer, Script
from tests.doubles.sim import SimWorker
from tests.doubles.traffic import left_over

MODEL = "test-model"


@dataclass
class Fleet:
    """What runs."""

    gateway: Gateway
    prefills: list[SimWorker]
    decodes: list[SimWorker]

    @property
    def held(self) -> int:
        """KV blocks that are held anywhere."""
        return sum(worker.kv.held for worker in self.prefills)

    def kv(self, name: str) -> int:
        """Sum of a counter over the prefill workers."""
        return sum(worker.kv.report()[name] for worker in self.prefills)

    async def at_rest(self, seconds: float = 5.0) -> None:
        """Wait until no KV block is held and nothing is in flight anywhere; every load is 0."""
        end = asyncio.get_running_loop().time() + seconds
        while left := self._left():
            if asyncio.get_running_loop().time() > end:
                raise AssertionError(f"left over: {left}")
            await asyncio.sleep(0.005)

    def _left(self) -> dict[str, int]:
        backend = self.gateway.product.backend
        engines = [worker.engine for worker in (*self.prefills, *self.decodes)]
        slots = backend.slots
        left = {
            **left_over(self.gateway),
            "KV blocks": self.held,
            "decodes that wait": self.kv("waiting"),
            "jobs": sum(engine.running for engine in engines),
            "kept decode legs": len(backend.kept),
            "draining prefill legs": len(backend.draining),
            "prefill slots": 0 if slots is None else slots.inflight,
            "requests that wait for one": 0 if slots is None else slots.waiting,
        }
        return {name: count for name, count in left.items() if count}


@contextlib.asynccontextmanager
async def pairs(
    engine: str = "sglang",
    *,
    prefills: int = 1,
    decodes: int = 1,
    sim: dict[str, Any] | None = None,
    prefill_sim: dict[str, Any] | None = None,
    decode_sim: dict[str, Any] | None = None,
    connector: str | None = None,
    kv_engine_id: str | None = "sim-engine",
    wait: bool = True,
    **config: Any,
) -> AsyncIterator[Fleet]:
    """`connector`: of vLLM's prefill workers, which are then registered through the worker API.
    `wait`: until the gateway is ready.
    """
    common: dict[str, Any] = {"engine": engine, "models": (MODEL,), **(sim or {})}
    async with contextlib.AsyncExitStack() as stack:

        async def start(role: str, more: dict[str, Any] | None) -> SimWorker:
            options = {**common, "role": role, "bootstrap_port": 0, **(more or {})}
            return await stack.enter_async_context(SimWorker(**options))

        fleet = [await start("prefill", prefill_sim) for _ in range(prefills)]
        others = [await start("decode", decode_sim) for _ in range(decodes)]
        config.setdefault("pd_disaggregation", True)
        named = [] if connector else fleet
        config["prefill"] = tuple((worker.url, worker.kv.port) for worker in named)
        config["decode"] = tuple(worker.url for worker in others)
        gateway = await stack.enter_async_context(Gateway(wait_ready=False, **config))
        for worker in fleet if connector else ():
            spec = {
                "url": worker.url,
                "worker_type": "prefill",
                "bootstrap_port": worker.kv.port,
                "kv_connector": connector,
                "kv_role": "kv_producer",
            }
            if kv_engine_id is not None:
                spec["kv_engine_id"] = kv_engine_id
            answer = await gateway.post("/workers", spec)
            assert answer.status == 202, answer
        while len(gateway.registry.all()) < prefills + decodes:
            await asyncio.sleep(0.005)
        if wait:
            await gateway.ready()
        yield Fleet(gateway, fleet, others)


class RawEngine(RawServer):
    """A scripted worker that says which engine it is."""

    def __init__(self, script: Script, engine: str) -> None:
        super().__init__(script)
        self._engine = engine

    @property
    def _probes(self) -> dict[str, Any]:
        probes = super()._probes
        probes["/v1/models"]["data"][0]["owned_by"] = self._engine
        return probes


@contextlib.asynccontextmanager
async def raw_pair(
    prefill: Script, decode: Script, *, engine: str = "sglang", **config: Any
) -> AsyncIterator[tuple[Gateway, RawServer, RawServer]]:
    """A gateway over one scripted worker per role. Every connection runs its script from the start,
    with probes answered on the way.
    """
    async with RawEngine(prefill, engine) as first, RawEngine(decode, engine) as second:
        urls: dict[str, Any] = {"prefill": ((first.url, 8998),), "decode": (second.url,)}
        config = {"pd_disaggregation": True, **urls, **config}
        async with Gateway(wait_ready=True, **config) as gateway:
            yield gateway, first, second
