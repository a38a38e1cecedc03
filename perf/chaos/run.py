"""One gateway before three workers that fail: started, put through it, looked at."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from perf import cpu
from perf.chaos.asks import asks
from perf.chaos.faults import Event, Injector, schedule
from perf.chaos.fleet import WorkerProcess
from perf.chaos.tally import Tally
from perf.chaos.traffic import Traffic
from perf.chaos.watch import Look, family, left_behind, look
from perf.gateways import GATEWAYS
from perf.processes import HOST, Running, free_ports, running, start_gateway
from perf.stats import percentile

WORKERS = 3
REQUEST_SECS = 10
#: A client waits longer than the gateway may take: 10 s for everything, and what it takes to tell.
PATIENCE_SECS = 20.0
#: Longer than gateways keep an idle connection to a worker: the sockets counted before are all.
SETTLE_SECS = 4.0
POLICY = "cache_aware"

#: What an operator sets who wants a hang noticed in seconds; everything else as documented.
BOTH = (
    "--request-timeout-secs", str(REQUEST_SECS),
    "--health-check-interval-secs", "1",
    "--health-check-timeout-secs", "1",
    "--cb-timeout-duration-secs", "2",
)  # fmt: skip
#: The run is over when it is measured.
QUICK_END = ("--shutdown-grace-period-secs", "0")
#: The reference has no such flags.
OURS = (
    "--upstream-connect-timeout-secs", "1",
    "--upstream-first-byte-timeout-secs", "2",
    "--upstream-idle-timeout-secs", "2",
)  # fmt: skip


def flags(name: str) -> list[str]:
    """Flags of the run for a gateway of perf/gateways.py."""
    return [*BOTH, *(OURS if name == "smg" else ())]


@dataclass
class Experiment:
    """A gateway under way, with its traffic and its injector."""

    gateway: Running
    traffic: Traffic
    injector: Injector
    before: Look
    seed: int
    pace: float

    async def run(self, seconds: float) -> None:
        """Traffic and faults for `seconds`, until every answer has ended."""
        events = schedule(self.seed, seconds, workers=WORKERS, pace=self.pace)
        tasks = [
            asyncio.ensure_future(self.traffic.run(seconds)),
            asyncio.ensure_future(self.injector.run(events)),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in tasks:
                if task.done():
                    task.result()  # raises what went wrong
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


@contextlib.asynccontextmanager
async def experiment(
    name: str,
    directory: Path,
    *,
    rate: float,
    seed: int,
    pace: float,
    settle: float,
    extra: Sequence[str] = (),
) -> AsyncIterator[Experiment]:
    """Starts workers and gateway; stops them at the end. Raises NotReady.

    Faults come and go `pace` times faster than usual; `settle` are the seconds before the first
    look at the gateway.
    """
    with running([]) as programs:
        workers = [WorkerProcess(port, programs, directory) for port in free_ports(WORKERS)]
        for worker in workers:
            await worker.begin()
        gateway = await start_gateway(
            programs,
            GATEWAYS[name],
            [worker.port for worker in workers],
            directory,
            named=False,
            policy=POLICY,
            extra=[*flags(name), *QUICK_END, *extra],
        )
        await asyncio.sleep(settle)
        injector = Injector(workers)
        traffic = Traffic(
            HOST,
            gateway.port,
            asks(seed),
            rate=rate,
            patience=PATIENCE_SECS,
            label=lambda: injector.label,
        )
        yield Experiment(gateway, traffic, injector, await look(gateway), seed, pace)


@dataclass
class Outcome:
    """A chaos run of one gateway."""

    gateway: str
    tally: Tally
    sent: int
    strays: int
    left: dict[str, Any]  # what the gateway still held at the end
    loop_p99_ms: float
    late_p99_ms: float  # of the load generator itself
    cpu_percent: float
    rss_mb: list[float]  # before, highest, after
    retries: float
    log_lines: int
    ended: bool  # the gateway's process ended during the run
    events: list[Event] = field(default_factory=list)
    rss_by_second: list[float] = field(default_factory=list)


async def _sample_rss(pid: int, samples: list[float]) -> None:
    while True:
        samples.append(cpu.rss_bytes(pid) / 1e6)
        await asyncio.sleep(1)


async def measure(
    name: str,
    directory: Path,
    *,
    seconds: float,
    rate: float,
    seed: int,
    pace: float,
    settle: float,
    say: Callable[[str], None],
) -> Outcome:
    """The whole run of one gateway. Raises NotReady."""
    async with experiment(name, directory, rate=rate, seed=seed, pace=pace, settle=settle) as one:
        pid = one.gateway.program.pid
        say(f"{name}: {rate:g} requests/s for {seconds:g} s")
        rss: list[float] = []
        sampling = asyncio.ensure_future(_sample_rss(pid, rss))
        meter = cpu.Meter(pid)
        meter.start()
        begun = time.monotonic()
        try:
            await one.run(seconds)
        finally:
            sampling.cancel()
        took = time.monotonic() - begun
        used = meter.stop()
        after = await look(one.gateway)
        left = await left_behind(one.gateway, one.before)
        return Outcome(
            gateway=name,
            tally=one.traffic.tally,
            sent=one.traffic.sent,
            strays=one.traffic.strays,
            left=left,
            loop_p99_ms=after.loop_p99_ms(one.before),
            late_p99_ms=percentile(one.traffic.lateness, 99) * 1e3,
            cpu_percent=100 * used / took,
            rss_mb=[one.before.rss_mb, max(rss), after.rss_mb],
            retries=family(after.exposition, "smg_worker_retries_total"),
            log_lines=one.gateway.program.log.read_bytes().count(b"\n"),
            ended=one.gateway.program.process.poll() is not None,
            events=one.injector.done,
            rss_by_second=rss,
        )
