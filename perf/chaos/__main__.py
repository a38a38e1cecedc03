"""Requests at a steady rate while workers fail: `python -m perf.chaos --seconds 60`.

Three simulated workers; one at a time is killed, hung or garbled and healed again. Every answer is
checked for being the right one. Gateways take turns, with the same requests and the same faults.
What counts as what: perf/chaos/verdict.py; the faults: perf/chaos/faults.py.
"""

from __future__ import annotations

import argparse
import datetime
import json
import shutil
import sys
import tempfile
from pathlib import Path

import uvloop

from perf import cpu
from perf.chaos import report
from perf.chaos.run import SETTLE_SECS, Outcome, measure
from perf.gateways import GATEWAYS
from perf.processes import NotReady


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _gateways(text: str) -> list[str]:
    names = [name for name in text.split(",") if name]
    unknown = [name for name in names if name not in ("smg", "reference")]
    if unknown or not names:
        raise argparse.ArgumentTypeError("smg, reference, or both")
    return names


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m perf.chaos",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add("--seconds", type=float, default=60.0, help="of traffic, per gateway (60)")
    add("--rate", type=float, default=200.0, help="requests per second (200)")
    add("--seed", type=int, default=1, help="of requests and faults (1)")
    add("--pace", type=float, default=1.0, help="faults come and go this much faster (1)")
    add("--gateways", type=_gateways, default=["smg", "reference"], metavar="A,B")
    add("--settle", type=float, default=SETTLE_SECS, help="seconds before the first look (4)")
    add("--must-hold", action="store_true", help="exit 1 if SMG misses a bound")
    add("--json", type=Path, help="write all figures here")
    add("--plot", type=Path, help="write an SVG or PNG here")
    return made


async def chaos(options: argparse.Namespace) -> list[Outcome]:
    # The directory stays when something goes wrong: it holds the programs' output.
    directory = Path(tempfile.mkdtemp(prefix="chaos-"))
    outcomes = []
    for name in options.gateways:
        if GATEWAYS[name].program() is None:
            say(f"{name} is left out: not installed (perf/peers.sh)")
            continue
        here = directory / f"run-{name}"
        here.mkdir()
        try:
            outcome = await measure(
                name,
                here,
                seconds=options.seconds,
                rate=options.rate,
                seed=options.seed,
                pace=options.pace,
                settle=options.settle,
                say=say,
            )
        except NotReady as problem:
            say(f"{name} is left out: {problem}")
            continue
        outcomes.append(outcome)
        if not report.held(outcome):
            say(f"{name}: bounds missed; its output and the workers': {here}")
    if outcomes and all(map(report.held, outcomes)):
        shutil.rmtree(directory, ignore_errors=True)
    return outcomes


def main() -> int:
    options = parser().parse_args()
    outcomes = uvloop.run(chaos(options))
    if not outcomes:
        return 2
    machine = cpu.machine()
    today = datetime.date.today().isoformat()
    print(f"{today}, {machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}\n")
    print(report.tables(outcomes))
    for outcome in outcomes:
        print("", report.label(outcome.gateway), *report.verdict_lines(outcome), sep="\n")
    if options.json:
        written = report.document(
            outcomes,
            machine,
            date=today,
            seconds=options.seconds,
            rate=options.rate,
            seed=options.seed,
        )
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(written, indent=1) + "\n")
    if options.plot:
        report.plot(outcomes, options.plot)
    ours = [outcome for outcome in outcomes if outcome.gateway == "smg"]
    if options.must_hold and not (ours and all(map(report.held, ours))):
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
