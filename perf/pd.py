"""What a request to a prefill/decode pair costs, ours beside the reference's in one run:
`python -m perf.pd`.

Stub workers, two per role, which answer at once: the gateways' own work is all that differs. They
take turns as in `perf.bench`. `--must-hold`: ours costs at most 0.45 of the reference's.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import uvloop

from perf.gateways import GATEWAYS, Gateway, Start
from perf.processes import (
    Program,
    Running,
    free_ports,
    running,
    start,
    start_gateway,
    wait_port,
    worker_command,
)
from perf.workloads import WORKLOADS, Sample, Workload, measure

#: of the reference's CPU time per request
BOUND = 0.45
PER_ROLE = 2
NAMES = ("small", "stream", "32k")


def pair_flags(command: Sequence[str], start: Start) -> list[str]:
    """The first half of the workers are for prefill."""
    half = len(start.workers) // 2
    roles = [f for url in start.workers[:half] for f in ("--prefill", url, "8998")]
    roles += [f for url in start.workers[half:] for f in ("--decode", url)]
    return [
        *command, "--pd-disaggregation", *roles,
        "--policy", start.policy, "--log-level", "warn",
        "--host", start.host, "--port", str(start.port),
        "--prometheus-port", str(start.metrics_port),
    ]  # fmt: skip


def in_pairs(name: str) -> Gateway:
    """A gateway of the table, started for pairs."""
    return replace(GATEWAYS[name], arguments=functools.partial(pair_flags, ["launch"]))


async def start_all(
    programs: list[Program], engine: str, names: Sequence[str], directory: Path
) -> list[Running]:
    ports = free_ports(2 * PER_ROLE)
    for number, port in enumerate(ports):
        command = [*worker_command("raw", port), "--engine", engine]
        programs.append(start(f"worker{number}", command, directory))
        await wait_port(programs[-1], port)
    # A decode worker's name is in the answer, a prefill worker's is not.
    return [
        await start_gateway(programs, in_pairs(name), ports, directory, named=False)
        for name in names
    ]


async def measured(options: argparse.Namespace, engine: str) -> dict[str, dict[str, list[Sample]]]:
    samples: dict[str, dict[str, list[Sample]]] = {}
    directory = Path(tempfile.mkdtemp(prefix="perf-pd-"))
    with running([]) as programs:
        gateways = await start_all(programs, engine, options.gateways, directory)
        for name in options.workloads:
            workload: Workload = WORKLOADS[name].quick() if options.quick else WORKLOADS[name]
            for gateway in gateways:  # connections, outside the measurement
                warm = replace(workload, requests=workload.connections * 2)
                await measure(warm, gateway.port, gateway.program.pid)
            for turn in range(1, options.rounds + 1):
                for gateway in gateways:
                    sample = await measure(workload, gateway.port, gateway.program.pid)
                    who = gateway.gateway.name
                    samples.setdefault(name, {}).setdefault(who, []).append(sample)
                    print(
                        f"{engine:7} {name:7} round {turn}/{options.rounds} {who:10}"
                        f" {sample.cpu_us:8.1f} us/request {sample.per_second:9,.0f}/s"
                        + (f"  ERRORS {sample.errors}" if sample.errors else ""),
                        file=sys.stderr,
                        flush=True,
                    )
                    await asyncio.sleep(0.1)
    shutil.rmtree(directory, ignore_errors=True)
    return samples


def report(engine: str, samples: dict[str, dict[str, list[Sample]]]) -> bool:
    """Print medians; whether the bound holds."""
    held = True
    for name, by_gateway in samples.items():
        cost = {
            who: statistics.median(sample.cpu_us for sample in rounds if not sample.errors)
            for who, rounds in by_gateway.items()
            if any(not sample.errors for sample in rounds)
        }
        line = ", ".join(f"{who} {value:.1f} us" for who, value in cost.items())
        ratio = cost.get("smg", 0.0) / cost["reference"] if "reference" in cost else 0.0
        if ratio:
            good = "smg" in cost and ratio <= BOUND
            held = held and good
            line += f", ratio {ratio:.2f} (at most {BOUND}: {'yes' if good else 'NO'})"
        print(f"{engine} {name}: {line}")
    return held


def main() -> int:
    parser = argparse.ArgumentParser(prog="perf.pd", description=__doc__)
    parser.add_argument("--engines", nargs="+", default=["sglang", "vllm"])
    parser.add_argument("--gateways", nargs="+", default=["smg", "reference"])
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, default=list(NAMES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="an eighth of the requests")
    parser.add_argument("--must-hold", action="store_true", help=f"fail above {BOUND}")
    options = parser.parse_args()
    held = True
    for engine in options.engines:
        held = report(engine, uvloop.run(measured(options, engine))) and held
    return 0 if held or not options.must_hold else 1


if __name__ == "__main__":
    sys.exit(main())
