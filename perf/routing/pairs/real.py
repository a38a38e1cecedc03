"""The real driver for pairs: how workers and gateway of a contender are started, and what the
prefill workers, whom clients do not see, tell afterwards.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from perf.gateways import Start
from perf.processes import HOST, NotReady, Program, call, fetch, start, wait_port
from perf.routing.contenders import Contender
from perf.routing.figures import Figures
from perf.routing.pairs.figures import PairFigures, Tally
from perf.routing.pairs.fleet import Timing
from perf.routing.pairs.shapes import PairShape
from perf.routing.real import Stage, free_ports, sim_flags, wait_ready
from perf.routing.records import Record
from smg.sim.cache import CHARACTERS_PER_TOKEN

#: gateways that are started for pairs here
ABLE = ("ours", "reference")
CONNECTOR = "NixlConnector"


@dataclass(frozen=True)
class Ports:
    """Where the workers of one contender listen."""

    prefill: Sequence[int]
    bootstrap: Sequence[int]
    decode: Sequence[int]


@dataclass
class PairStage(Stage):
    """As of single workers."""

    prefills: Sequence[int]

    async def figures(self, records: Sequence[Record]) -> Figures:
        assert isinstance(self.shape, PairShape)
        states = [json.loads(await fetch(port, "/sim/state")) for port in self.prefills]
        return PairFigures.of_pairs(records, self.shape, list(map(tally, states)))


def tally(state: dict[str, Any]) -> Tally:
    """From `/sim/state` of a prefill worker."""
    return Tally(state["completed"], state["prompt_tokens"], state["cached_tokens"])


def fleet_command(shape: PairShape, speed: float, ports: Ports) -> list[str]:
    timing = Timing(
        slowdown=shape.slowdown,
        transfer_seconds=CHARACTERS_PER_TOKEN / shape.transfer_per_second / speed,
        cache_blocks=shape.decode_cache_blocks,
        places=shape.places,
    )

    def words(some: Sequence[int]) -> str:
        return ",".join(map(str, some))

    return [
        sys.executable, "-m", "perf.routing.pairs.fleet",
        "--prefill-ports", words(ports.prefill),
        "--bootstrap-ports", words(ports.bootstrap),
        "--decode-ports", words(ports.decode),
        "--pairs", json.dumps(asdict(timing)),
        "--engine", shape.engine, "--host", HOST, *sim_flags(shape, speed),
    ]  # fmt: skip


def gateway_command(
    contender: Contender, start: Start, shape: PairShape, ports: Ports, speed: float
) -> list[str] | None:
    """None: not installed. Prefill workers of vLLM are not on it: see `register`."""
    if contender.who not in ABLE:
        raise NotReady("not started for pairs here")
    gateway = contender.gateway
    program = gateway.program() if gateway else None
    if program is None:
        return None
    prefill, decode = contender.legs
    roles = [word for port in ports.decode for word in ("--decode", url(port))]
    if shape.engine == "sglang":
        for port, bootstrap in zip(ports.prefill, ports.bootstrap, strict=True):
            roles += ["--prefill", url(port), str(bootstrap)]
    policies = ["--policy", prefill.policy]
    if decode != prefill:
        policies = ["--prefill-policy", prefill.policy, "--decode-policy", decode.policy]
    return [
        program, "launch", "--pd-disaggregation", *roles, *policies,
        "--log-level", "warn", "--host", start.host, "--port", str(start.port),
        "--prometheus-port", str(start.metrics_port), *contender.words(speed),
    ]  # fmt: skip


def url(port: int) -> str:
    return f"http://{HOST}:{port}"


async def register(port: int, ports: Ports) -> None:
    """vLLM does not tell its connector over HTTP: the gateway is told."""
    for prefill in ports.prefill:
        body = {"url": url(prefill), "worker_type": "prefill", "kv_connector": CONNECTOR}
        status, answer = await call(port, "POST", "/workers", body)
        if status >= 300:
            raise NotReady(f"a prefill worker was refused: {status} {answer}")


async def prepare(
    programs: list[Program],
    contender: Contender,
    shape: PairShape,
    speed: float,
    directory: Path,
) -> PairStage:
    """Workers and gateway; NotReady if one does not come up."""
    name = f"{contender.who}-{contender.policy.replace('/', '-')}-{len(programs)}"
    own = directory / name
    own.mkdir()
    ports = Ports(free_ports(shape.workers), free_ports(shape.workers), free_ports(shape.decodes))
    port, metrics_port = free_ports(2)
    listening = Start(HOST, port, metrics_port, [], own)
    command = gateway_command(contender, listening, shape, ports, speed)
    if command is None:
        raise NotReady("not installed (perf/peers.sh)")
    fleet = start(f"{name}-workers", fleet_command(shape, speed, ports), directory)
    programs.append(fleet)
    await wait_port(fleet, ports.decode[-1])
    program = start(name, command, directory)
    programs.append(program)
    if shape.engine == "vllm":
        await wait_port(program, port)
        await register(port, ports)
    await wait_ready(program, port, shape.workers + shape.decodes)
    return PairStage(contender, shape, port, [], ports.prefill)
