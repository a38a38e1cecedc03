"""What observing costs: `python -m perf.observability_cost`.

Four gateways before the same two workers take turns with the small request: nothing observed,
metrics, the access log besides (info, JSON, into a file), traces besides (1 % sampled, to a
collector in a process of its own). Each step is compared with the one before, round by round, as a
share of the cost with nothing observed. In a round the four take short turns, there and back (A B C
D D C B A ...), so that a machine that slows down meanwhile slows all alike; it counts until lines
are written and spans have left. Every round starts them anew: two gateways with the same flags have
differed by a tenth over a whole run, and rounds of the same few processes would not show it. Behind
the median stands how far it can be trusted.

`--instructions` counts instructions in user space instead, which do not depend on what else the
machine does (callgrind; no sockets, so every share is of less than a request and comes out larger;
spans are encoded but not sent).

Then one gateway with 1,000 workers is scraped while it serves: how late does its event loop run
during scrapes, and how late in pauses of the same length between them? The difference of the
longest is what scrapes are to blame for at most; the rest is the machine. What other threads of the
gateway computed while the loop was late is shown too: a stall without that was the machine's.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import uvloop

from perf import cpu
from perf.fleet_size import addresses, register
from perf.gateways import ROOT, Gateway, Start
from perf.load import ClosedLoop
from perf.messages import chat_body, request
from perf.processes import (
    HOST,
    NotReady,
    Program,
    Running,
    fetch,
    free_ports,
    running,
    start,
    start_gateway,
    wait_port,
)
from perf.stats import median, percentile
from perf.workloads import WORKLOADS

SCRAPE_BOUND_MS = 5.0


#: until the log thread has written and the exporter has sent what the last requests left (seconds)
DRAIN = 0.7
#: requests until a gateway that was just started costs what it will
WARM_UP = 1_000
#: requests of one turn: long enough that caches are warm for nearly all of it
TURN = 3_000


@dataclass(frozen=True)
class Step:
    """A gateway that observes more than the one before; `bound` in per cent of nothing observed.
    `observe` is what `perf.micro.bench_request` calls the same.
    """

    name: str
    words: tuple[str, ...]
    flags: tuple[str, ...]
    observe: str
    bound: float = 0.0


def steps(collector: int) -> list[Step]:
    quiet = ("--log-level", "warn")
    logs = ("--log-level", "info", "--log-json")
    traces = (
        *("--enable-trace", "--trace-sampling-ratio", "0.01"),
        *("--otlp-traces-endpoint", f"{HOST}:{collector}"),
    )
    ours = ("-m", "smg", "launch")
    return [
        Step("nothing", ("-m", "perf.observed_gateway", "off"), quiet, "bare"),
        Step("metrics", ours, quiet, "none", 15),
        Step("access log", ours, logs, "log", 35),
        Step("traces at 1 %", ours, (*logs, *traces), "log-trace", 10),
    ]


def as_gateway(name: str, words: Sequence[str], flags: Sequence[str]) -> Gateway:
    def arguments(begin: Start) -> list[str]:
        return [
            *words, "--worker-urls", *begin.workers, "--policy", "round_robin", *flags,
            "--host", begin.host, "--port", str(begin.port),
            "--prometheus-host", begin.host, "--prometheus-port", str(begin.metrics_port),
        ]  # fmt: skip

    return Gateway(name.replace(" ", "-"), name, lambda: sys.executable, arguments)


async def start_workers(programs: list[Program], directory: Path) -> list[int]:
    ports = free_ports(2)
    for number, port in enumerate(ports):
        command = [sys.executable, "-m", "perf.worker", "--host", "0.0.0.0", "--port", str(port)]
        programs.append(start(f"worker{number}", command, directory))
        await wait_port(programs[-1], port)
    return ports


async def cost(options: argparse.Namespace, directory: Path) -> bool:
    """CPU per small request, step by step."""
    with running([]) as programs:
        workers = await start_workers(programs, directory)
        (collector,) = free_ports(1)
        command = [sys.executable, "-m", "perf.observed_gateway", "collect", str(collector)]
        programs.append(start("collector", command, directory))
        await wait_port(programs[-1], collector)
        plan = steps(collector)
        gateways = [as_gateway(step.name, step.words, step.flags) for step in plan]
        rounds = await by_turns(gateways, workers, options, directory)
    return verdicts(plan, rounds)


async def by_turns(
    gateways: Sequence[Gateway],
    workers: Sequence[int],
    options: argparse.Namespace,
    directory: Path,
) -> list[list[float]]:
    """CPU microseconds per small request: rounds of one figure per gateway."""
    rounds: list[list[float]] = []
    for number in range(1, options.rounds + 1):
        own = directory / f"round{number}"
        own.mkdir()
        rounds.append(await one_round(gateways, workers, options, own))
        line = "  ".join(f"{value:.1f}" for value in rounds[-1])
        print(f"round {number}: {line}", flush=True)
    return rounds


async def one_round(
    gateways: Sequence[Gateway],
    workers: Sequence[int],
    options: argparse.Namespace,
    directory: Path,
) -> list[float]:
    """As `by_turns`, of gateways that are started for it."""
    workload = WORKLOADS["small"]
    with running([]) as programs:
        started = await asyncio.gather(
            *(start_gateway(programs, one, list(workers), directory) for one in gateways)
        )
        loads = [
            ClosedLoop(
                HOST,
                gateway.port,
                request(chat_body(workload.body), HOST, gateway.port),
                connections=workload.connections,
                total=options.requests,
            )
            for gateway in started
        ]
        for load in loads:
            await load.connect()
            await load.burst(WARM_UP)
        await asyncio.sleep(DRAIN)
        meters = [cpu.Meter(gateway.program.pid) for gateway in started]
        for meter in meters:
            meter.start()
        turns = max(1, options.requests // TURN)
        for turn in range(turns):
            for load in loads if turn % 2 == 0 else reversed(loads):
                await load.burst(TURN)
        await asyncio.sleep(DRAIN)
        found = [meter.stop() * 1e6 / (turns * TURN) for meter in meters]
        for load, gateway in zip(loads, started, strict=True):
            load.close()
            if load.result.errors:
                raise NotReady(f"{gateway.gateway.label}: {load.result.describe_errors()}")
    return found


def verdicts(plan: Sequence[Step], rounds: Sequence[Sequence[float]], unit: str = "us") -> bool:
    """Prints the table; whether all bounds hold. `rounds`: cost of a request by step, in `unit`."""
    title = f"{unit}/request"
    print(
        f"\n{'':15}{title:>21}{'lowest':>10}{'highest':>10}{'added':>9}{'between':>16}{'bound':>7}"
    )
    good = True
    for number, step in enumerate(plan):
        values = [found[number] for found in rounds]
        line = f"{step.name:15}{median(values):21,.1f}{min(values):10,.1f}{max(values):10,.1f}"
        if number:
            shares = [100 * (r[number] - r[number - 1]) / r[0] for r in rounds]
            low, high = around_median(shares)
            held = median(shares) <= step.bound
            good = good and held
            between = f"{low:.1f} .. {high:.1f}"
            line += f"{median(shares):8.1f}%{between:>16}{step.bound:6.0f}%"
            line += f"  {'pass' if held else 'MISS'}"
        print(line)
    return good


def around_median(values: Sequence[float]) -> tuple[float, float]:
    """What the true median is between in 19 of 20 cases, by rank, whatever the noise is like."""
    ordered = sorted(values)
    below = max(0, math.floor((len(ordered) - 1.96 * math.sqrt(len(ordered))) / 2))
    return ordered[below], ordered[len(ordered) - 1 - below]


async def instructions(options: argparse.Namespace, directory: Path) -> bool:
    """Instructions per small request, step by step; one round, for they do not vary."""
    if shutil.which("valgrind") is None:
        raise NotReady("valgrind is not installed (apt-get install valgrind)")
    plan = steps(0)
    found = [instructions_of(step.observe) for step in plan]
    return verdicts(plan, [found], "instructions")


def instructions_of(observe: str) -> float:
    """Counted by perf/instructions.sh."""
    command = [str(ROOT / "perf" / "instructions.sh"), sys.executable, "--observe", observe]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return float(output.split()[0])


async def scrapes(options: argparse.Namespace, directory: Path) -> bool:
    """How late the loop runs while a large fleet's metrics are read."""
    late = directory / "late.txt"
    with running([]) as programs:
        workers = await start_workers(programs, directory)
        words = ("-m", "perf.observed_gateway", "probe", str(late))
        row = as_gateway("scraped", words, ("--log-level", "warn"))
        gateway = await start_gateway(programs, row, workers, directory)
        await register(gateway, addresses(options.workers - len(workers), workers))
        data = request(chat_body(), HOST, gateway.port)
        # Enough for every worker to have its series before it counts.
        await load(gateway, data, options, 3 * options.workers)
        stop = asyncio.Event()
        serving = asyncio.ensure_future(keep_loading(gateway, data, options, stop))
        during, between, size = [], [], 0
        for _ in range(options.scrapes):
            begun = time.time()
            size = len(await fetch(gateway.metrics_port, "/metrics", timeout=30))
            ended = time.time()
            during.append((begun, ended))
            await asyncio.sleep(0.05)
            between.append((time.time(), time.time() + ended - begun))
            await asyncio.sleep(ended - begun + 0.05)
        stop.set()
        await serving
    lines = [tuple(map(float, line.split())) for line in late.read_text().splitlines()]
    worst = [longest(lines, windows) for windows in (during, between)]
    took = median([end - begin for begin, end in during])
    print(f"\n{options.workers:,} workers, {size / 1e6:.1f} MB, {took * 1e3:.0f} ms a scrape")
    for name, found in zip(("during scrapes", "between them"), worst, strict=True):
        top = max(found, key=lateness)
        print(
            f"  loop late, {name:15} longest {lateness(top) * 1e3:6.2f} ms"
            f" (other threads computed for {top[2] * 1e3:.2f}),"
            f" median of the longest {percentile(list(map(lateness, found)), 50) * 1e3:6.2f} ms"
        )
    with_scrapes, without = (max(map(lateness, found)) for found in worst)
    blame = max(0.0, with_scrapes - without) * 1e3
    shares = [min(late, others) for at, late, others in lines if inside(at, late, during)]
    most = max(shares, default=0.0) * 1e3
    print(f"  of no lateness did other threads compute for more than {most:.2f} ms")
    held = blame <= SCRAPE_BOUND_MS
    verdict = "pass" if held else "MISS"
    print(f"{verdict}  {blame:.2f} ms because of scrapes (at most {SCRAPE_BOUND_MS})")
    return held


def longest(
    lines: Sequence[Sequence[float]], windows: Sequence[tuple[float, float]]
) -> list[Sequence[float]]:
    """The line of the greatest lateness that was seen in each window."""
    return [
        max(
            (line for line in lines if inside(line[0], line[1], [window])),
            key=lateness,
            default=(window[0], 0.0, 0.0),
        )
        for window in windows
    ]


def inside(at: float, late: float, windows: Sequence[tuple[float, float]]) -> bool:
    """Whether a timer that came `late` was so in one of the windows."""
    # A stall is seen at its end: one that began in the window may be seen after it.
    return any(begin <= at and at - late <= end for begin, end in windows)


def lateness(line: Sequence[float]) -> float:
    """Seconds, of a line of `perf.observed_gateway`."""
    return line[1]


async def load(gateway: Running, data: bytes, options: argparse.Namespace, total: int) -> None:
    loop = ClosedLoop(HOST, gateway.port, data, connections=options.connections, total=total)
    result = await loop.run()
    if result.errors:
        raise NotReady(f"errors under load: {result.describe_errors()}")


async def keep_loading(
    gateway: Running, data: bytes, options: argparse.Namespace, stop: asyncio.Event
) -> None:
    while not stop.is_set():
        await load(gateway, data, options, 500)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="perf.observability_cost",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--requests", type=int, default=6_000, help="of a round, by turns of 3,000")
    parser.add_argument("--workers", type=int, default=1000, help="of the gateway that is scraped")
    parser.add_argument("--scrapes", type=int, default=20)
    parser.add_argument("--connections", type=int, default=8, help="while it is scraped")
    parser.add_argument("--only", choices=("cost", "scrapes"))
    parser.add_argument(
        "--instructions", action="store_true", help="count instructions of the steps, nothing else"
    )
    parser.add_argument("--must-hold", action="store_true", help="exit 1 above a bound")
    options = parser.parse_args()
    good = True
    parts = [("cost", cost), ("scrapes", scrapes)]
    if options.instructions:
        parts, options.only = [("instructions", instructions)], None
    for name, part in parts:
        if options.only in (None, name):
            directory = Path(tempfile.mkdtemp(prefix="perf-"))
            try:
                good = uvloop.run(part(options, directory)) and good
            except NotReady as problem:
                print(problem, file=sys.stderr)
                return 2
    return 0 if good or not options.must_hold else 1


if __name__ == "__main__":
    sys.exit(main())
