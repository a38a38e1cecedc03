"""The real driver: gateways as processes, each before simulated workers of its own.

All contenders of a round run at the same time on the same sessions, so that the noise of the
machine hits all alike. Everything is started anew for every shape and run: caches and routing trees
are cold.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import random
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perf.gateways import Start
from perf.processes import HOST, NotReady, Program, fetch, running, start, wait_port
from perf.routing.contenders import Contender, load_interval
from perf.routing.crowd import MODEL, Crowd
from perf.routing.figures import Figures
from perf.routing.records import Record
from perf.routing.sessions import sessions
from perf.routing.shapes import Shape
from perf.routing.virtual import LOST
from perf.stats import percentile
from smg.sim.cache import CHARACTERS_PER_TOKEN

READY_SECONDS = 15.0
# A gateway that has not yet heard the loads of all its workers distrusts some: it must have asked
# once more than at registration.
SETTLE_SECONDS = 1.0
LAG_STEP = 0.01
# Below the ports that systems give to outgoing connections: those take listeners' ports away.
_ports = itertools.cycle(range(random.randrange(12_000, 30_000), 32_000))


def free_ports(count: int) -> list[int]:
    """Ports that nobody has, and that this process has not given out before."""
    found: list[int] = []
    for port in _ports:
        with socket.socket() as one, contextlib.suppress(OSError):
            one.bind((HOST, port))
            found.append(port)
        if len(found) == count:
            break
    return found


@dataclass
class Stage:
    """A gateway that is ready, and the workers' processes that the shape will lose."""

    contender: Contender
    shape: Shape
    port: int
    victims: list[Program]

    async def figures(self, records: Sequence[Record]) -> Figures:
        """What the run came to; all workers but the victims still answer."""
        return Figures.of(records, self.shape)


@dataclass
class Round:
    """What one round brought: records of those that ran, reasons of those that did not."""

    records: dict[Contender, list[Record]]
    figures: dict[Contender, Figures]
    skipped: dict[Contender, str]
    lag_ms: float  # p99 delay of the client's own timers, unscaled like all figures


def sim_flags(shape: Shape, speed: float) -> list[str]:
    return [
        "--model", MODEL,
        "--cache-blocks", str(shape.cache_blocks),
        "--prefill-tokens-per-second",
        str(shape.prefill_per_second / CHARACTERS_PER_TOKEN * speed),
        "--token-latency-ms", str(shape.token_ms / speed),
        "--tick-ms", "1",
        "--keep-requests", "1",
    ]  # fmt: skip


def start_workers(
    programs: list[Program], shape: Shape, speed: float, name: str, directory: Path
) -> tuple[list[int], list[Program]]:
    """Ports of all workers, and their processes: the first holds all, but for one that is to be
    lost; that is alone in a second.
    """
    ports = free_ports(shape.workers)
    alone = [ports[LOST]] if shape.lose_worker else []
    fleets = []
    for number, some in enumerate(([port for port in ports if port not in alone], alone)):
        if some:
            command = [
                sys.executable, "-m", "perf.routing.fleet",
                "--ports", ",".join(map(str, some)), "--host", HOST, *sim_flags(shape, speed),
            ]  # fmt: skip
            fleets.append(start(f"{name}-workers{number}", command, directory))
    programs += fleets
    return ports, fleets


async def wait_ready(program: Program, port: int, workers: int) -> None:
    """Until the gateway counts all its workers healthy."""
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until and program.process.poll() is None:
        with contextlib.suppress(OSError, EOFError, ValueError, asyncio.TimeoutError):
            state = json.loads(await fetch(port, "/readiness"))
            if state.get("healthy_workers") == workers:
                return
        await asyncio.sleep(0.05)
    # The most telling line of a program that refuses its command line is the last one.
    lines = [line for line in program.log.read_text(errors="replace").splitlines() if line.strip()]
    said = lines[-1].strip() if lines else f"no output in {program.log}"
    raise NotReady(said)


async def prepare(
    programs: list[Program], contender: Contender, shape: Shape, speed: float, directory: Path
) -> Stage:
    """Workers and gateway; NotReady if one does not come up."""
    name = f"{contender.who}-{contender.policy}-{len(programs)}"
    ports, fleets = start_workers(programs, shape, speed, name, directory)
    port, metrics_port = free_ports(2)
    own = directory / name
    own.mkdir()
    urls = [f"http://{HOST}:{worker}" for worker in ports]
    for fleet, one in zip(fleets, (ports[0], ports[LOST]), strict=False):
        await wait_port(fleet, one)
    command = contender.command(Start(HOST, port, metrics_port, urls, own), speed)
    if command is None:
        raise NotReady("not installed (perf/peers.sh)")
    program = start(name, command, directory)
    programs.append(program)
    await wait_ready(program, port, shape.workers)
    return Stage(contender, shape, port, fleets[1:])


Prepare = Callable[[list[Program], Contender, Any, float, Path], Awaitable[Stage]]


async def measure_lag(delays: list[float]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LAG_STEP
        await asyncio.sleep(LAG_STEP)
        delays.append(loop.time() - due)


def kill(*programs: Program) -> None:
    """As a machine that loses power: no goodbye."""
    for program in programs:
        if program.process.poll() is None:
            os.killpg(program.pid, signal.SIGKILL)


async def play(
    contenders: Sequence[Contender],
    shape: Shape,
    seed: int,
    speed: float,
    directory: Path,
    *,
    keys: bool = True,
    prepare: Prepare = prepare,
) -> Round:
    """One run of one shape by all `contenders` at the same time."""
    result = Round({}, {}, {}, 0.0)
    with running([]) as programs:
        stages = await asyncio.gather(
            *(prepare(programs, one, shape, speed, directory) for one in contenders),
            return_exceptions=True,
        )
        ready: dict[Contender, Stage] = {}
        crowds: dict[Contender, Crowd] = {}
        for contender, stage in zip(contenders, stages, strict=True):
            if isinstance(stage, NotReady):
                result.skipped[contender] = str(stage)
            elif isinstance(stage, BaseException):
                raise stage
            else:
                ready[contender] = stage
                crowds[contender] = Crowd(
                    shape,
                    sessions(shape, seed),
                    stage.port,
                    speed,
                    keys,
                    at_half=lambda victims=stage.victims: kill(*victims),  # type: ignore[misc]
                )
        await asyncio.sleep(load_interval(speed) + SETTLE_SECONDS)
        delays: list[float] = []
        lag = asyncio.create_task(measure_lag(delays))
        await asyncio.gather(*(crowd.run() for crowd in crowds.values()))
        lag.cancel()
        result.lag_ms = percentile(delays, 99) * 1e3 * speed
        result.records = {contender: crowd.records for contender, crowd in crowds.items()}
        for contender, stage in ready.items():
            result.figures[contender] = await stage.figures(result.records[contender])
        kill(*programs)  # nobody waits for their farewells
    return result
