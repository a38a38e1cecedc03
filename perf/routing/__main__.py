"""The command line: `python -m perf.routing --help`. What is measured is a `Kind`."""

from __future__ import annotations

import argparse
import asyncio
import datetime
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import uvloop

from perf import cpu
from perf.routing import contenders, report
from perf.routing.contenders import Contender
from perf.routing.figures import Figures
from perf.routing.kinds import SINGLE, Kind
from perf.routing.policies import UnknownPolicy
from perf.routing.real import play
from perf.routing.result import Result, read_json, write_json
from perf.routing.shapes import Shape
from perf.stats import median


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _contenders(text: str) -> list[Contender]:
    try:
        return [Contender.parse(name) for name in text.split(",") if name]
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None


def _shapes(kind: Kind) -> Callable[[str], list[Shape]]:
    def shapes(text: str) -> list[Shape]:
        names = [name for name in text.split(",") if name]
        unknown = [name for name in names if name not in kind.shapes]
        if unknown:
            known = ", ".join(kind.shapes)
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; of {known}")
        return [kind.shapes[name] for name in names]

    return shapes


def parser(kind: Kind = SINGLE) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog=kind.command,
        description=kind.about,
        epilog=contenders.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add("--virtual", action="store_true", help="no processes: policies on a virtual clock")
    add("--policy", type=_contenders, metavar="A,B", help="who competes; see below")
    add("--shapes", type=_shapes(kind), metavar="A,B", default=list(kind.shapes.values()))
    add(
        "--runs",
        type=int,
        default=3,
        help="runs per shape, each with its own seed (3); shapes that scatter take more",
    )
    add("--seed", type=int, default=1, help="of the first run (1)")
    faster = f"real: model this many times faster ({kind.speed:g})"
    add("--speed", type=float, default=kind.speed, help=faster)
    add("--together", type=int, default=4, help="real: gateways at the same time (4)")
    add("--no-routing-key", action="store_true", help="clients send no x-smg-routing-key")
    add("--json", type=Path, help="write all figures here")
    add("--from-json", type=Path, help="report on an earlier run, measure nothing")
    add("--plot", type=Path, help="write an SVG or PNG here")
    add(
        "--must-hold",
        action="store_true",
        help=f"exit 1 if a bound of {kind.budgets.name} is missed",
    )
    return made


def chosen(options: argparse.Namespace, kind: Kind = SINGLE) -> list[Contender]:
    if options.policy:
        return list(options.policy)
    return [Contender.parse(name) for name in (kind.virtual if options.virtual else kind.real)]


def new_result(options: argparse.Namespace) -> Result:
    return Result(
        mode="virtual" if options.virtual else "real",
        speed=1.0 if options.virtual else options.speed,
        date=datetime.date.today().isoformat(),
        machine=cpu.machine(),
        shapes={shape.name: asdict(shape) for shape in options.shapes},
    )


def seeds(options: argparse.Namespace, shape: Shape) -> Iterator[int]:
    return iter(range(options.seed, options.seed + options.runs * shape.runs))


def shown(shape: Shape, seed: int, contender: Contender, figures: Figures) -> str:
    return (
        f"{shape.name:12} seed {seed} {report.short(str(contender)):24} mean {figures.mean_ms:6.0f}"
        f" p99 {figures.p99_ms:6.0f} ms, hit {figures.hit:.2f}, {figures.seconds:.0f} s"
        + (f", ERRORS {figures.errors:.0f}" if figures.errors else "")
    )


def virtual(options: argparse.Namespace, kind: Kind = SINGLE) -> Result:
    result = new_result(options)
    for contender in chosen(options, kind):
        for shape in options.shapes:
            for seed in seeds(options, shape):
                try:
                    records, figures = kind.simulate(
                        shape, contender, seed, keys=not options.no_routing_key
                    )
                except UnknownPolicy as problem:
                    result.note(f"skipped: {contender}: {problem}")
                    continue
                result.add(shape.name, str(contender), figures)
                result.count_errors(shape.name, str(contender), records)
    return result


def batches(some: Sequence[Contender], size: int) -> list[list[Contender]]:
    return [list(some[place : place + size]) for place in range(0, len(some), size)]


async def real(options: argparse.Namespace, kind: Kind = SINGLE) -> Result:
    result = new_result(options)
    directory = Path(tempfile.mkdtemp(prefix="routing-"))
    able = chosen(options, kind)
    lags: dict[str, float] = {}
    for shape in options.shapes:
        for seed in seeds(options, shape):
            for batch in batches(able, options.together):
                here = directory / f"{shape.name}-{seed}-{able.index(batch[0])}"
                here.mkdir()
                done = await play(
                    batch,
                    shape,
                    seed,
                    options.speed,
                    here,
                    keys=not options.no_routing_key,
                    prepare=kind.prepare,
                )
                lags[f"{shape.name} seed {seed}"] = done.lag_ms
                for contender, figures in done.figures.items():
                    result.add(shape.name, str(contender), figures)
                    result.count_errors(shape.name, str(contender), done.records[contender])
                    say(shown(shape, seed, contender, figures))
                for contender, reason in done.skipped.items():
                    result.note(f"skipped: {contender}, first at {shape.name}: {reason}")
                    say(result.notes[-1])
                    able = [one for one in able if one != contender]
                await asyncio.sleep(0.2)  # closings are the next round's noise otherwise
    worst = max(lags, key=lambda one: lags[one])
    usual = median(list(lags.values()))
    result.note(
        f"lateness of the client's own timers, p99 of a round in unscaled ms: {usual:.0f} in the"
        f" middle, {lags[worst]:.0f} at worst ({worst})"
    )
    if not any(note.startswith("skipped") for note in result.notes):
        shutil.rmtree(directory, ignore_errors=True)
    return result


def main(kind: Kind = SINGLE) -> int:
    options = parser(kind).parse_args()
    if options.from_json:
        result = read_json(options.from_json, kind.figures)
    else:
        result = virtual(options, kind) if options.virtual else uvloop.run(real(options, kind))
    machine = result.machine
    pace = f", {result.speed:g} times faster" if result.speed != 1 else ""
    print(f"{result.date}, {result.mode}{pace}, {machine['cpu']}, {machine['cores']} cores")
    print(report.tables(result, kind.header, kind.row))
    if options.json:
        write_json(options.json, result)
    if options.plot:
        from perf.routing.plot import plot

        plot(result, options.plot)
    if not options.must_hold:
        return 0
    verdicts = report.check(result, report.read_bounds(kind.budgets))
    print("", *verdicts, sep="\n")
    return 0 if verdicts and all(verdict.held for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
