"""Measures gateways side by side in one run: `python -m perf.bench`, or `make bench`.

All gateways are started once, stand before the same two workers, and take turns (A B C A B C ...),
so that the noise of the machine hits all alike. Ratios are what to compare; see
docs/performance.md.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import json
import shutil
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

import uvloop

from perf import cpu, report
from perf.gateways import DEFAULT, GATEWAYS
from perf.processes import NotReady, Program, Running, running, start_gateway, start_workers
from perf.workloads import WORKLOADS, Sample, Workload, measure

BUDGETS = Path(__file__).with_name("budgets.toml")


def budgets_of(policy: str) -> Path:
    """The bounds for a policy; those of `budgets.toml` are for round_robin."""
    own = BUDGETS.with_name(f"budgets-{policy.replace('_', '-')}.toml")
    return own if own.exists() else BUDGETS


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _names(known: dict[str, object]) -> type:
    """An argparse type: a comma list of known names."""

    def parse(text: str) -> list[str]:
        names = [name for name in text.split(",") if name]
        unknown = [name for name in names if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(
                f"unknown: {', '.join(unknown)}; of {', '.join(known)}"
            )
        return names

    return parse  # type: ignore[return-value]


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="perf.bench", description=__doc__)
    parser.add_argument("--gateways", type=_names(dict(GATEWAYS)), default=list(DEFAULT))
    parser.add_argument("--workloads", type=_names(dict(WORKLOADS)), default=list(WORKLOADS))
    parser.add_argument("--policy", default="round_robin", help="of gateways that have policies")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--paced-rounds", type=int, default=3, help="the paced workload takes long")
    parser.add_argument("--requests", type=int, help="per round, instead of each workload's own")
    parser.add_argument("--streams", type=int, help="paced streams at once (2000)")
    parser.add_argument("--worker", default="raw", help="raw, sim, or a command with {host} {port}")
    parser.add_argument("--quick", action="store_true", help="an eighth of the work, 2 rounds")
    parser.add_argument("--json", type=Path, help="write all samples here")
    parser.add_argument("--from-json", type=Path, help="report on an earlier run, measure nothing")
    parser.add_argument("--plot", type=Path, help="write an SVG here")
    parser.add_argument("--must-hold", action="store_true", help="compare with perf/budgets.toml")
    return parser


def chosen(options: argparse.Namespace) -> list[Workload]:
    workloads = []
    for name in options.workloads:
        workload = WORKLOADS[name].quick() if options.quick else WORKLOADS[name]
        if options.requests and not workload.streams:
            workload = replace(workload, requests=options.requests)
        if options.streams and workload.streams:
            workload = replace(workload, streams=options.streams)
        if workload.streams and options.worker != "raw":
            # Pace and length come from the prompt, which only the raw worker reads.
            say(f"{name}: left out, needs --worker raw")
            continue
        if workload.stream and options.worker != "raw":
            say(f"{name}: left out, needs --worker raw")
            continue
        workloads.append(workload)
    return workloads


async def start_all(
    options: argparse.Namespace, programs: list[Program], directory: Path, result: report.Run
) -> tuple[list[Running], list[int]]:
    worker_ports = await start_workers(programs, options.worker, 2, directory)
    gateways = []
    for name in options.gateways:
        try:
            gateway = await start_gateway(
                programs,
                GATEWAYS[name],
                worker_ports,
                directory,
                # Other policies may keep to one worker for equal prompts.
                named=options.worker == "raw" and options.policy == "round_robin",
                policy=options.policy,
            )
        except NotReady as problem:
            say(f"skipped: {problem}")
            continue
        result.ready_s[name] = gateway.seconds_to_ready
        gateways.append(gateway)
    await asyncio.sleep(0.5)
    for gateway in gateways:
        result.idle_mb[gateway.gateway.name] = cpu.rss_bytes(gateway.program.pid) / 1e6
    return gateways, worker_ports


async def bench(options: argparse.Namespace) -> report.Run:
    result = report.Run(machine=cpu.machine(), date=datetime.date.today().isoformat())
    rounds = 2 if options.quick else options.rounds
    # The directory stays when something goes wrong: it holds the programs' output.
    directory = Path(tempfile.mkdtemp(prefix="perf-"))
    with running([]) as programs:
        gateways, worker_ports = await start_all(options, programs, directory, result)
        if not gateways:
            raise SystemExit("no gateway to measure; run perf/peers.sh")
        targets: list[tuple[str, int, int | None]] = [
            (gateway.gateway.name, gateway.port, gateway.program.pid) for gateway in gateways
        ]
        for workload in chosen(options):
            turns = min(rounds, options.paced_rounds) if workload.streams else rounds
            direct: list[tuple[str, int, int | None]] = [("direct", worker_ports[0], None)]
            everyone = direct + targets if workload.name == "latency" else targets
            for _, port, pid in targets:
                if not workload.streams:  # connections and caches, outside the measurement
                    await measure(replace(workload, requests=workload.connections * 2), port, pid)
            for turn in range(1, turns + 1):
                for name, port, pid in everyone:
                    sample = await measure(workload, port, pid)
                    result.add(workload.name, name, sample)
                    say(
                        f"{workload.name:8} round {turn}/{turns} {name:10} {sample.cpu_us:8.1f} us/"
                        f"{workload.unit} {sample.per_second:10,.0f}/s"
                        + (f"  ERRORS {sample.errors}" if sample.errors else "")
                    )
                    await asyncio.sleep(0.1)  # closings are the next gateway's noise otherwise
        dead = [
            gateway.gateway.name
            for gateway in gateways
            if gateway.program.process.poll() is not None
        ]
    if dead:
        say(f"ended during the run: {', '.join(dead)}; output in {directory}")
    elif len(gateways) == len(options.gateways) and not result.errors():
        shutil.rmtree(directory, ignore_errors=True)
    return result


def write_json(path: Path, run: report.Run) -> None:
    document = {
        "date": run.date,
        "machine": run.machine,
        "rss_idle_mb": run.idle_mb,
        "ready_s": run.ready_s,
        "samples": {
            workload: {
                name: [asdict(sample) for sample in samples] for name, samples in gateways.items()
            }
            for workload, gateways in run.samples.items()
        },
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n")


def read_json(path: Path) -> report.Run:
    document = json.loads(path.read_text())
    run = report.Run(
        idle_mb=document["rss_idle_mb"],
        ready_s=document["ready_s"],
        machine=document["machine"],
        date=document["date"],
    )
    for workload, gateways in document["samples"].items():
        for gateway, samples in gateways.items():
            for sample in samples:
                run.add(workload, gateway, Sample(**sample))
    return run


def main() -> int:
    options = parser().parse_args()
    run = read_json(options.from_json) if options.from_json else uvloop.run(bench(options))
    machine = run.machine
    print(f"{run.date}, {machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}")
    print(report.tables(run))
    if options.json:
        write_json(options.json, run)
    if options.plot:
        report.plot(run, options.plot)
    failed = False
    errors = run.errors()
    if errors:
        failed = True
        print("\nerrors; these rounds are not in the figures:", *errors, sep="\n  ")
    if options.must_hold:
        verdicts = report.check(run, report.read_budgets(budgets_of(options.policy)))
        print("", *verdicts, sep="\n")
        failed = failed or not verdicts or not all(verdict.held for verdict in verdicts)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
