"""What the layers that protect requests cost while nothing goes wrong:
`python -m perf.layers_cost`.

Gateways before the same two workers take turns with the small request: without any layer, with
retries and circuit breakers (the default), with a concurrency limit and a queue besides, and with
priority classes in the place of that limit. Each is compared with the first, round by round.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import uvloop

from perf.observability_cost import as_gateway, by_turns, start_workers
from perf.processes import running
from perf.stats import median

BOUND_PERCENT = 15

_QUIET = ("--log-level", "warn")
_BARE = ("--disable-retries", "--disable-circuit-breaker")
_LIMIT = ("--max-concurrent-requests", "256", "--queue-size", "1000")
GATEWAYS: dict[str, tuple[str, ...]] = {
    "no layers": _BARE,
    "retries, breakers": (),
    "and a limit": _LIMIT,
    "and priorities": (*_LIMIT, "--priority-scheduler-enabled"),
}


async def cost(options: argparse.Namespace, directory: Path) -> list[list[float]]:
    """CPU microseconds per small request: rounds of one figure per gateway."""
    with running([]) as programs:
        workers = await start_workers(programs, directory)
        gateways = [
            as_gateway(name, ("-m", "smg", "launch"), (*_QUIET, *flags))
            for name, flags in GATEWAYS.items()
        ]
        return await by_turns(gateways, workers, options, directory)


def verdicts(rounds: Sequence[Sequence[float]]) -> bool:
    """Prints the table; whether the bound holds. `rounds`: microseconds by gateway."""
    print(f"\n{'':20}{'us/request':>12}{'lowest':>9}{'highest':>9}{'added':>9}{'bound':>7}")
    good = True
    for number, name in enumerate(GATEWAYS):
        values = [found[number] for found in rounds]
        line = f"{name:20}{median(values):12.1f}{min(values):9.1f}{max(values):9.1f}"
        if number:
            added = 100 * (median([found[number] / found[0] for found in rounds]) - 1)
            held = added <= BOUND_PERCENT
            good = good and held
            line += f"{added:8.1f}%{BOUND_PERCENT:6.0f}%  {'pass' if held else 'MISS'}"
        print(line)
    return good


def main() -> None:
    parser = argparse.ArgumentParser(prog="perf.layers_cost", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--requests", type=int, default=6_000, help="of a round, by turns of 3,000")
    parser.add_argument("--must-hold", action="store_true", help="exit 1 if the bound is missed")
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="perf-"))  # stays when something goes wrong
    rounds = uvloop.run(asyncio.wait_for(cost(options, directory), 1800))
    if not verdicts(rounds) and options.must_hold:
        sys.exit(1)


if __name__ == "__main__":
    main()
