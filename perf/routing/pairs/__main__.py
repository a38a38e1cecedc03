"""The command line: `python -m perf.routing.pairs --help`."""

from __future__ import annotations

import sys
from pathlib import Path

from perf.routing.__main__ import main
from perf.routing.contenders import REFERENCE_RULE
from perf.routing.kinds import Kind
from perf.routing.pairs.figures import PairFigures
from perf.routing.pairs.real import prepare
from perf.routing.pairs.report import HEADER, pair_row
from perf.routing.pairs.shapes import PAIR_SHAPES
from perf.routing.pairs.virtual import measured

VIRTUAL = (
    "ours:round_robin",
    "ours:cache_aware",
    "ours:cache_aware/least_load",
    "ours:cache_aware/perf.routing.experiments:LeastInFlight",
    "ours:cache_aware/round_robin",
    "ours:least_load/cache_aware",
    REFERENCE_RULE,
)
REAL = (
    "ours:round_robin",
    "ours:cache_aware",
    "ours:cache_aware/least_load",
    "reference:cache_aware",
)

PAIRS = Kind(
    command="python -m perf.routing.pairs",
    about="""Policies for prefill and decode workers, measured by what users feel.

As python -m perf.routing, over pairs: prefill workers with prefix caches, decode workers that take
the KV cache over a link and speak slower the more answers they speak. Gateways run as processes
side by side (the default), or policies alone on a virtual clock (--virtual). The shapes are
described in perf/routing/pairs/shapes.py.
""",
    shapes=PAIR_SHAPES,
    virtual=VIRTUAL,
    real=REAL,
    figures=PairFigures,
    simulate=measured,
    prepare=prepare,
    header=HEADER,
    row=pair_row,
    speed=2.0,  # answers are longer here, so there are more pieces to carry
    budgets=Path(__file__).with_name("budgets.toml"),
)

if __name__ == "__main__":
    sys.exit(main(PAIRS))
