"""What the command line measures: a kind of fleet, with its shapes, drivers, figures and bounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from perf.routing import contenders, report, virtual
from perf.routing.figures import Figures
from perf.routing.real import Prepare, prepare
from perf.routing.records import Record
from perf.routing.report import Row
from perf.routing.shapes import SHAPES, Shape


@dataclass(frozen=True)
class Kind:
    """`virtual` and `real` are the contenders of a run that names none. `simulate` is one run in
    virtual time: (shape, contender, seed, *, keys); it raises UnknownPolicy. `prepare` starts
    workers and gateway of a real one; it raises NotReady. `row` fills the columns of `header`.
    `speed`: of real runs that name none.
    """

    command: str
    about: str
    shapes: Mapping[str, Shape]
    virtual: Sequence[str]
    real: Sequence[str]
    figures: type[Figures]
    simulate: Callable[..., tuple[list[Record], Figures]]
    prepare: Prepare
    header: list[str]
    row: Row
    budgets: Path
    speed: float = 4.0


SINGLE = Kind(
    command="python -m perf.routing",
    about="""Routing policies measured by what users feel.

Multi-turn chat sessions over simulated workers with prefix caches: time to first token, cache hits,
load spread, errors. Gateways run as processes side by side (the default), or policies alone on a
virtual clock (--virtual). The shapes are described in perf/routing/shapes.py. Prefill/decode pairs:
python -m perf.routing.pairs.
""",
    shapes=SHAPES,
    virtual=contenders.VIRTUAL,
    real=contenders.REAL,
    figures=Figures,
    simulate=virtual.measured,
    prepare=prepare,
    header=report.HEADER,
    row=report.single_row,
    budgets=report.BUDGETS,
)
