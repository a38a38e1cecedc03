"""A table per shape, and what must hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from perf.report import read_budgets
from perf.routing.figures import Figures
from perf.routing.result import OURS, Result
from perf.routing.shapes import SHAPES
from perf.stats import ratio

BUDGETS = Path(__file__).with_name("budgets.toml")

HEADER = [
    "gateway:policy", "TTFT mean ms", "p50", "p99", "hit %", "max/mean", "CoV", "peak", "busy %",
    "errors", "x RR mean", "x ref mean", "x ref p99",
]  # fmt: skip


#: a row of a table: name, figures, those of round_robin and of the reference
Row = Callable[[str, Figures, Figures | None, Figures | None], list[str]]


def number(value: float, form: str = "{:.0f}") -> str:
    return "-" if math.isnan(value) else form.format(value)


def short(name: str) -> str:
    """Classes by their own names; of pairs each half."""
    halves = (half.rpartition(":") for half in name.split("/"))
    return "/".join(policy if "." in who else who + colon + policy for who, colon, policy in halves)


def tables(result: Result, header: list[str] = HEADER, row: Row | None = None) -> str:
    """`row` fills the columns of `header`."""
    row = row or single_row
    lines: list[str] = []
    for shape, contenders in result.samples.items():
        title = result.shapes.get(shape, {}).get("title")
        if title is None:
            title = SHAPES[shape].title if shape in SHAPES else ""
        lines += ["", f"### {shape}: {title}", ""]
        base = result.middle(shape, result.base(shape))
        rival = result.middle(shape, result.rival(shape))
        rows = []
        for name in contenders:
            figures = result.middle(shape, name)
            if figures is not None:
                rows.append(row(name, figures, base, rival))
        lines += markdown(header, rows)
        lines += _errors(result.errors.get(shape, {}))
    return "\n".join([*lines, *([""] if result.notes else []), *result.notes])


def _errors(contenders: Mapping[str, Mapping[str, int]]) -> list[str]:
    lines = [""] if contenders else []
    for name, reasons in contenders.items():
        said = ", ".join(f"{reason} x{count}" for reason, count in reasons.items())
        lines.append(f"turns of {short(name)} that failed: {said}")
    return lines


def single_row(
    name: str, figures: Figures, base: Figures | None, rival: Figures | None
) -> list[str]:
    return [
        short(name),
        number(figures.mean_ms),
        number(figures.p50_ms),
        number(figures.p99_ms),
        number(figures.hit * 100, "{:.1f}"),
        number(figures.spread, "{:.2f}"),
        number(figures.variation, "{:.2f}"),
        number(figures.peak),
        number(figures.busy * 100),
        errors(figures),
        number(ratio(figures.mean_ms, base.mean_ms) if base else math.nan, "{:.2f}"),
        number(ratio(figures.mean_ms, rival.mean_ms) if rival else math.nan, "{:.2f}"),
        number(ratio(figures.p99_ms, rival.p99_ms) if rival else math.nan, "{:.2f}"),
    ]


def errors(figures: Figures) -> str:
    """Failed attempts and what they led to."""
    text = number(figures.errors)
    return f"{text} ({number(figures.unanswered)} given up)" if figures.unanswered else text


def markdown(header: list[str], rows: list[list[str]]) -> list[str]:
    """Lines up in a terminal too."""
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]

    def line(cells: list[str]) -> str:
        first = cells[0].ljust(widths[0])
        rest = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
        return "| " + " | ".join([first, *rest]) + " |"

    rule = f"|{'-' * (widths[0] + 2)}|" + "".join(f"{'-' * (width + 1)}:|" for width in widths[1:])
    return [line(header), rule, *map(line, rows)]


@dataclass(frozen=True)
class Verdict:
    """`measured` must stay below `bound`."""

    name: str
    measured: float
    bound: float
    detail: str

    @property
    def held(self) -> bool:
        return self.measured < self.bound  # NaN holds nothing

    def __str__(self) -> str:
        mark = "pass" if self.held else "MISS"
        measured = number(self.measured, "{:.3f}")
        return f"{mark}  {self.name}: {measured} (below {self.bound:.2f}); {self.detail}"


def check(result: Result, budgets: Mapping[str, Mapping[str, float]]) -> list[Verdict]:
    """A verdict per bound and measured shape; `default` stands for shapes without a row."""
    return [verdict for shape in result.samples for verdict in _check_shape(result, shape, budgets)]


def _check_shape(
    result: Result, shape: str, budgets: Mapping[str, Mapping[str, float]]
) -> Iterator[Verdict]:
    ours = result.middle(shape, OURS)
    if "unanswered" in budgets and ours:
        most = budgets["unanswered"]["default"]
        yield Verdict(f"{shape}, unanswered", ours.unanswered, most, "turns given up by users")
    for section, field, against in (
        ("mean_of_round_robin", "mean_ms", result.base(shape)),
        ("mean_of_reference", "mean_ms", result.rival(shape)),
        ("p99_of_reference", "p99_ms", result.rival(shape)),
    ):
        bounds = budgets.get(section, {})
        bound = bounds.get(shape, bounds.get("default"))
        if bound is None:
            continue
        other = result.middle(shape, against)
        mine = getattr(ours, field) if ours else math.nan
        theirs = getattr(other, field) if other else math.nan
        detail = f"ours {number(mine)} ms, {short(against or 'nobody')} {number(theirs)} ms"
        by_run = result.ratio(shape, OURS, against, field)
        detail += f"; run by run {number(by_run, '{:.3f}')}"
        yield Verdict(f"{shape}, {section}", ratio(mine, theirs), bound, detail)


def read_bounds(path: Path = BUDGETS) -> dict[str, dict[str, float]]:
    return read_budgets(path)
