"""The traffic and the faults of perf.chaos for a long time: `python -m perf.soak --seconds 1800`.

Samples memory, connections, tasks and loop delay of the gateway. After the warm-up its memory must
not grow by more than 1 MB a minute (line of least squares), and the bounds of a chaos run hold.

Every sample is written at once, one JSON object a line: a run that is cut still reports, by
`--from-json`. SIGINT and SIGTERM end the traffic and report what there is.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import json
import math
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TextIO

import uvloop

from perf import cpu
from perf.chaos import report
from perf.chaos.run import SETTLE_SECS, Experiment, experiment
from perf.chaos.tally import Tally
from perf.chaos.verdict import Verdict
from perf.chaos.watch import Look, left_behind, look
from perf.processes import NotReady
from perf.stats import median, percentile, slope

MOST_GROWTH = 1.0  # MB per minute
#: The routing tree remembers 64 Mi characters by default and would fill, and grow the process, for
#: minutes. A small one is full at once, and what grows afterwards is a leak.
FLAGS = ("--max-tree-size", str(4 << 20))


@dataclass(frozen=True)
class Sample:
    """The gateway at one moment, and what its clients saw since the start; NaN is unknown."""

    at: float  # seconds since the start
    rss_mb: float
    sockets: int
    clients: float
    upstream: float
    tasks: float
    loop_p99_ms: float  # since the sample before
    late_p99_ms: float  # of the load generator: when both are late, it is the machine
    counts: dict[str, int]  # by verdict
    reasons: dict[str, int]  # "verdict: reason"
    strays: int

    def tally(self) -> Tally:
        """The counts as the bounds want them."""
        tally = Tally()
        for name, count in self.counts.items():
            tally.verdicts[Verdict(name)] = count
        for name, count in self.reasons.items():
            verdict, _, reason = name.partition(": ")
            tally.reasons[Verdict(verdict), reason] = count
        return tally

    def line(self) -> str:
        """Progress."""
        bad = " ".join(f"{name} {count}" for name, count in self.counts.items())
        return (
            f"{self.at:6.0f} s  RSS {self.rss_mb:6.1f} MB  sockets {self.sockets:3}"
            f"  clients {self.clients:3.0f}  workers {self.upstream:3.0f}  tasks {self.tasks:3.0f}"
            f"  loop p99 {self.loop_p99_ms:5.1f} ms  (own {self.late_p99_ms:5.1f})  {bad}"
        )


@dataclass
class Run:
    """A soak, finished or not."""

    settings: dict[str, Any]
    samples: list[Sample] = field(default_factory=list)
    left: dict[str, Any] | None = None  # None: it was cut before that was known
    ended: bool = False

    @property
    def warm(self) -> list[Sample]:
        """The samples after the warm-up."""
        return [sample for sample in self.samples if sample.at >= self.settings["warm_up"]]

    def growth(self) -> float:
        """Of resident memory after the warm-up in MB per minute; NaN without two samples."""
        return slope([(sample.at / 60, sample.rss_mb) for sample in self.warm])

    def bounds(self) -> list[report.Bound]:
        """What must hold."""
        last = self.samples[-1]
        left = {"unknown": "the run was cut"} if self.left is None else self.left
        growth = self.growth()
        return [
            report.Bound(
                f"growth of memory after {self.settings['warm_up']:g} s,"
                f" at most {MOST_GROWTH:g} MB/min",
                f"{report.number(growth, '{:+.3f}')}",
                growth <= MOST_GROWTH,
            ),
            *report.bounds(last.tally(), last.strays, left, ended=self.ended),
        ]

    def lines(self) -> list[str]:
        """The report."""
        last, warm = self.samples[-1], self.warm or self.samples
        delays = [one.loop_p99_ms for one in warm if not math.isnan(one.loop_p99_ms)]
        late = [one.late_p99_ms for one in warm]
        lines = [
            f"{last.at:.0f} s of {self.settings['seconds']:g} s, {self.settings['rate']:g}"
            f" requests/s, seed {self.settings['seed']}, {len(self.samples)} samples",
            "answers: " + ", ".join(f"{count:,} {name}" for name, count in last.counts.items()),
            *(f"  {count:7,}  {reason}" for reason, count in last.reasons.items()),
            f"RSS {warm[0].rss_mb:.1f} MB after the warm-up, {max(s.rss_mb for s in warm):.1f} at"
            f" most, {last.rss_mb:.1f} at the end",
            f"sockets {warm[0].sockets} after the warm-up, {max(s.sockets for s in warm)} at most;"
            f" tasks {min(s.tasks for s in warm):.0f} to {max(s.tasks for s in warm):.0f}",
        ]
        if delays:
            lines.append(
                f"loop delay p99 of a sample: {median(delays):.1f} ms in the middle,"
                f" {max(delays):.1f} ms at worst (target {report.LOOP_TARGET_MS:g}); the load"
                f" generator's own: {median(late):.1f} and {max(late):.1f} ms"
            )
        return lines + [str(bound) for bound in self.bounds()]


def write_line(file: TextIO, **value: Any) -> None:
    """One object, there for a reader at once."""
    file.write(json.dumps(value) + "\n")
    file.flush()


def read(path: Path) -> Run:
    """A run from its file; the last line may be cut."""
    run: Run | None = None
    names = {one.name for one in fields(Sample)}
    for line in path.read_text().splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            break
        if "settings" in value:
            run = Run(value["settings"])
        elif run is not None and "left" in value:
            run.left, run.ended = value["left"], value["ended"]
        elif run is not None and names <= value.keys():
            run.samples.append(Sample(**{name: value[name] for name in names}))
    if run is None or not run.samples:
        raise SystemExit(f"{path}: no samples")
    return run


def sample(one: Experiment, now: Look, before: Look, since: int) -> Sample:
    """Of this moment; `before` is the look of the sample before, `since` its count of requests."""
    tally = one.traffic.tally
    return Sample(
        at=asyncio.get_running_loop().time() - one.traffic.started,
        rss_mb=now.rss_mb,
        sockets=now.sockets,
        clients=now.clients,
        upstream=now.upstream,
        tasks=now.tasks,
        loop_p99_ms=now.loop_p99_ms(before),
        late_p99_ms=percentile(one.traffic.lateness[since:], 99) * 1e3,
        counts={verdict.value: tally[verdict] for verdict in Verdict},
        reasons=tally.named_reasons(),
        strays=one.traffic.strays,
    )


class Sampler:
    """Takes samples of a gateway and hands them to `take`."""

    def __init__(self, one: Experiment, take: Callable[[Sample], None]) -> None:
        self.one, self.take = one, take
        self.last = one.before
        self.sent = 0

    async def now(self) -> None:
        """One more."""
        now = await look(self.one.gateway)
        self.take(sample(self.one, now, self.last, self.sent))
        self.last, self.sent = now, self.one.traffic.sent

    async def run(self, every: float) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(every)
            await self.now()


async def soak(options: argparse.Namespace, file: TextIO) -> Run:
    """The whole run. Raises NotReady."""
    settings = {
        "seconds": options.seconds,
        "rate": options.rate,
        "seed": options.seed,
        "warm_up": options.warm_up,
        "flags": list(FLAGS),
        "date": datetime.date.today().isoformat(),
        "machine": cpu.machine(),
    }
    run = Run(settings)
    write_line(file, settings=settings)

    def take(taken: Sample) -> None:
        run.samples.append(taken)
        write_line(file, **asdict(taken))
        print(taken.line(), flush=True)

    directory = Path(tempfile.mkdtemp(prefix="soak-"))
    print(f"output of the programs, kept if a bound is missed: {directory}", flush=True)
    async with experiment(
        "smg",
        directory,
        rate=options.rate,
        seed=options.seed,
        pace=options.pace,
        settle=options.settle,
        extra=FLAGS,
    ) as one:
        loop = asyncio.get_running_loop()
        work = asyncio.ensure_future(one.run(options.seconds))
        sampler = Sampler(one, take)
        sampling = asyncio.ensure_future(sampler.run(options.every))
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, work.cancel)
        await asyncio.wait({work, sampling}, return_when=asyncio.FIRST_COMPLETED)
        for task in (sampling, work):
            task.cancel()
        await asyncio.wait({work, sampling})
        for task in (sampling, work):
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error
        await sampler.now()
        run.left = await left_behind(one.gateway, one.before)
        run.ended = one.gateway.program.process.poll() is not None
    write_line(file, left=run.left, ended=run.ended)
    if all(bound.held for bound in run.bounds()):
        shutil.rmtree(directory, ignore_errors=True)
    return run


def plot(run: Run, path: Path) -> None:
    """Memory with its line, connections, tasks, loop delay, answers that were not right."""
    import matplotlib

    matplotlib.use("agg")
    # No date and no random ids in the file: equal figures give an equal file.
    matplotlib.rcParams["svg.hashsalt"] = "perf"
    matplotlib.rcParams["svg.fonttype"] = "none"
    from matplotlib import pyplot

    figure: Any
    figure, axes = pyplot.subplots(5, 1, figsize=(8, 8), sharex=True)
    minutes = [one.at / 60 for one in run.samples]
    memory, connections, tasks, delay, answers = axes
    memory.plot(minutes, [one.rss_mb for one in run.samples], linewidth=1, color="#1b7f5c")
    _fit(memory, run)
    memory.set_ylim(0, 1.2 * max(one.rss_mb for one in run.samples))
    for name, title in (("clients", "clients"), ("upstream", "workers"), ("sockets", "sockets")):
        values = [getattr(one, name) for one in run.samples]
        connections.plot(minutes, values, linewidth=1, label=title)
    connections.legend(fontsize=7, frameon=False, ncols=3)
    tasks.plot(minutes, [one.tasks for one in run.samples], linewidth=1)
    tasks.set_ylim(bottom=0)
    delay.plot(minutes, [one.loop_p99_ms for one in run.samples], linewidth=1)
    own = [one.late_p99_ms for one in run.samples]
    delay.plot(minutes, own, linewidth=0.7, color="#9aa0a6", label="load generator")
    delay.legend(fontsize=7, frameon=False)
    delay.axhline(report.LOOP_TARGET_MS, color="#c0504d", linewidth=0.7, linestyle="--")
    delay.set_ylim(bottom=0)
    for verdict in (Verdict.CUT, Verdict.FAILED, Verdict.HUNG, Verdict.WRONG):
        values = [one.counts[verdict.value] for one in run.samples]
        colour = report.COLOURS[verdict]
        answers.plot(minutes, values, linewidth=1, label=verdict.value, color=colour)
    answers.legend(fontsize=7, frameon=False, ncols=4)
    answers.set_xlabel("minutes", fontsize=8)
    titles = ("RSS, MB", "connections", "tasks", "loop delay p99, ms", "answers, in all")
    for axis, title in zip(axes, titles, strict=True):
        axis.set_ylabel(title, fontsize=8)
        axis.tick_params(labelsize=7)
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot.close(figure)


def _fit(axis: Any, run: Run) -> None:
    growth = run.growth()
    if math.isnan(growth):
        return
    warm = run.warm
    minutes = [one.at / 60 for one in warm]
    middle = sum(minutes) / len(minutes)
    level = sum(one.rss_mb for one in warm) / len(warm)
    ends = [minutes[0], minutes[-1]]
    axis.plot(
        ends,
        [level + growth * (end - middle) for end in ends],
        linewidth=1,
        linestyle="--",
        color="#444444",
        label=f"{growth:+.3f} MB/min",
    )
    axis.legend(fontsize=7, frameon=False)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m perf.soak",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add("--seconds", type=float, default=1800.0, help="of traffic (1800)")
    add("--rate", type=float, default=200.0, help="requests per second (200)")
    add("--every", type=float, default=10.0, help="seconds between two samples (10)")
    add("--warm-up", type=float, help="seconds (a quarter of the run, at most 300)")
    add("--seed", type=int, default=1, help="of requests and faults (1)")
    add("--pace", type=float, default=1.0, help="faults come and go this much faster (1)")
    add("--settle", type=float, default=SETTLE_SECS, help="seconds before the first look (4)")
    add("--json", type=Path, help="write the samples here, one a line (a temporary file)")
    add("--plot", type=Path, help="write an SVG or PNG here")
    add("--from-json", type=Path, help="report on an earlier run, cut or not; measure nothing")
    return made


def main() -> int:
    """Exit code 1 when a bound is missed."""
    options = parser().parse_args()
    if options.warm_up is None:
        options.warm_up = min(300.0, options.seconds / 4)
    if options.from_json:
        run = read(options.from_json)
    else:
        path = options.json or Path(tempfile.mkstemp(prefix="soak-", suffix=".jsonl")[1])
        path.parent.mkdir(parents=True, exist_ok=True)
        print(f"samples: {path}", flush=True)
        try:
            with path.open("w") as file:
                run = uvloop.run(soak(options, file))
        except NotReady as problem:
            print(problem, file=sys.stderr)
            return 2
    print("", *run.lines(), sep="\n")
    if options.plot:
        plot(run, options.plot)
    return 0 if all(bound.held for bound in run.bounds()) else 1


if __name__ == "__main__":
    sys.exit(main())
