"""Fuzzing by mutation, without tools: `python -m tests.fuzz.run framing --seconds 10 --seed 1`.

Every input has a seed of its own; a failure prints it, and `--case SEED` runs that input alone.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Sequence

from tests.fuzz.targets import TARGETS


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 1 when an input fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=[*TARGETS, "all"])
    parser.add_argument("--seconds", type=float, default=10, help="per target")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--case", type=int, default=None, help="one input, by its printed seed")
    options = parser.parse_args(arguments)
    seed = random.randrange(1 << 32) if options.seed is None else options.seed
    for name in TARGETS if options.target == "all" else [options.target]:
        target = TARGETS[name]
        if options.case is not None:
            target(random.Random(options.case))
            continue
        seeds = random.Random(seed)
        end = time.monotonic() + options.seconds
        count = 0
        while time.monotonic() < end:
            case = seeds.getrandbits(48)
            count += 1
            try:
                target(random.Random(case))
            except Exception as error:
                print(f"{name}: failed after {count} inputs of seed {seed}: --case {case}\n{error}")
                return 1
        print(f"{name}: {count} inputs, seed {seed}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
