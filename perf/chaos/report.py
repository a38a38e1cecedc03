"""Tables, bounds, JSON and plot of chaos runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perf.chaos.run import Outcome
from perf.chaos.tally import Tally
from perf.chaos.verdict import Verdict
from perf.gateways import GATEWAYS

LEAST_SUCCESS = 0.999
LOOP_TARGET_MS = 10.0

COLOURS = {
    Verdict.RIGHT: "#1b7f5c", Verdict.LEFT: "#9aa0a6", Verdict.CUT: "#b58b3a",
    Verdict.FAILED: "#c0504d", Verdict.HUNG: "#7d5ba6", Verdict.WRONG: "#000000",
}  # fmt: skip


@dataclass(frozen=True)
class Bound:
    """A thing that must hold, and whether it does."""

    name: str
    found: str
    held: bool

    def __str__(self) -> str:
        return f"{'pass' if self.held else 'MISS'}  {self.name}: {self.found}"


def bounds(tally: Tally, strays: int, left: dict[str, Any], *, ended: bool = False) -> list[Bound]:
    """What must hold after a chaos run or a soak."""
    success = tally.success
    wrong = tally[Verdict.WRONG] + strays
    return [
        Bound(
            f"right answers to requests that could be retried, at least {LEAST_SUCCESS:.1%}",
            f"{percent(success)} of {tally.retryable:,}",
            success >= LEAST_SUCCESS,
        ),
        Bound("wrong bodies", f"{wrong}", wrong == 0),
        Bound("hung requests", f"{tally[Verdict.HUNG]}", tally[Verdict.HUNG] == 0),
        Bound("left behind in the gateway", f"{left or 'nothing'}", not left),
        Bound("the gateway's process", "ended" if ended else "lives", not ended),
    ]


def verdict_lines(outcome: Outcome) -> list[str]:
    """The bounds of a run; the loop's delay is a target, because it depends on the machine."""
    found = bounds(outcome.tally, outcome.strays, outcome.left, ended=outcome.ended)
    lines = [str(bound) for bound in found]
    if not math.isnan(outcome.loop_p99_ms):
        mark = "pass" if outcome.loop_p99_ms <= LOOP_TARGET_MS else "over"
        value = f"{outcome.loop_p99_ms:.1f} ms (target {LOOP_TARGET_MS:g})"
        lines.append(f"{mark}  loop delay p99: {value}")
    return lines


def held(outcome: Outcome) -> bool:
    return all(
        bound.held
        for bound in bounds(outcome.tally, outcome.strays, outcome.left, ended=outcome.ended)
    )


def percent(share: float) -> str:
    """Three digits: 99.9 % is the bound."""
    return "-" if math.isnan(share) else f"{100 * share:.3f} %"


def number(value: float, form: str = "{:.1f}") -> str:
    return "-" if math.isnan(value) else form.format(value)


def label(name: str) -> str:
    return GATEWAYS[name].label


def tables(outcomes: Sequence[Outcome]) -> str:
    """One column per gateway; then what each fault cost; then the reasons."""
    header = ["", *(label(outcome.gateway) for outcome in outcomes)]
    rows = [
        [title, *(form(outcome) for outcome in outcomes)]
        for title, form in (
            ("requests", lambda one: f"{one.sent:,}"),
            ("right", lambda one: f"{one.tally[Verdict.RIGHT]:,}"),
            ("clients that left", lambda one: f"{one.tally[Verdict.LEFT]:,}"),
            ("could be retried: success", lambda one: percent(one.tally.success)),
            ("failed before a byte", lambda one: f"{one.tally[Verdict.FAILED]:,}"),
            ("cut, and told so", lambda one: f"{one.tally[Verdict.CUT]:,}"),
            ("hung", lambda one: f"{one.tally[Verdict.HUNG]:,}"),
            ("wrong bodies", lambda one: f"{one.tally[Verdict.WRONG] + one.strays:,}"),
            ("right, of all that waited", lambda one: percent(one.tally.right_of_all)),
            ("left behind", lambda one: f"{sum_of(one.left)}"),
            ("right answers p50 ms", lambda one: number(one.tally.milliseconds(50), "{:.0f}")),
            ("right answers p99 ms", lambda one: number(one.tally.milliseconds(99), "{:.0f}")),
            ("right answers longest ms", lambda one: number(one.tally.milliseconds(100), "{:.0f}")),
            ("retries", lambda one: number(one.retries, "{:,.0f}")),
            ("loop delay p99 ms", lambda one: number(one.loop_p99_ms)),
            (
                "RSS MB before / most / after",
                lambda one: " / ".join(f"{x:.0f}" for x in one.rss_mb),
            ),
            ("CPU, % of a core", lambda one: number(one.cpu_percent)),
            ("lines in the log", lambda one: f"{one.log_lines:,}"),
            ("load generator late p99 ms", lambda one: number(one.late_p99_ms)),
        )
    ]
    lines = _table(header, rows)
    faults: dict[str, None] = {}
    for outcome in outcomes:
        faults.update(dict.fromkeys(outcome.tally.by_fault))
    lines += ["", "failed / cut / hung / wrong by fault", ""]
    lines += _table(
        ["fault", *header[1:]],
        [
            [fault, *(_cell(outcome.tally, fault) for outcome in outcomes)]
            for fault in sorted(faults)
        ],
    )
    for outcome in outcomes:
        lines += ["", f"{label(outcome.gateway)}, reasons:"]
        lines += [
            f"  {count:7,}  {reason}" for reason, count in outcome.tally.named_reasons().items()
        ]
        lines += [f"  left behind: {what}: {value}" for what, value in outcome.left.items()]
    return "\n".join(lines)


def sum_of(left: dict[str, Any]) -> str:
    """Short form of what was left."""
    return "0" if not left else ", ".join(f"{value} {what}" for what, value in left.items())


def _cell(tally: Tally, fault: str) -> str:
    counts = tally.by_fault.get(fault)
    if counts is None:
        return "-"
    bad = (Verdict.FAILED, Verdict.CUT, Verdict.HUNG, Verdict.WRONG)
    return " / ".join(str(counts[verdict]) for verdict in bad)


def _table(header: list[str], rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]

    def line(cells: list[str]) -> str:
        first, *rest = zip(cells, widths, strict=True)
        return "| " + " | ".join([first[0].ljust(first[1]), *(c.rjust(w) for c, w in rest)]) + " |"

    rule = "|-" + "-|".join("-" * width for width in widths)
    return [line(header), f"{rule}:|" if len(header) > 1 else f"{rule}-|", *map(line, rows)]


def document(
    outcomes: Sequence[Outcome], machine: dict[str, str], **settings: Any
) -> dict[str, Any]:
    """Everything of a run, for JSON."""
    return {"machine": machine, **settings, "gateways": [_figures(one) for one in outcomes]}


def _figures(outcome: Outcome) -> dict[str, Any]:
    tally = outcome.tally
    return {
        "gateway": outcome.gateway,
        "sent": outcome.sent,
        **{verdict.value: tally[verdict] for verdict in Verdict},
        "strays": outcome.strays,
        "retryable": tally.retryable,
        "success": tally.success,
        "right_of_all": tally.right_of_all,
        "left_behind": outcome.left,
        "latency_ms": {str(p): tally.milliseconds(p) for p in (50, 99, 100)},
        "retries": outcome.retries,
        "loop_p99_ms": outcome.loop_p99_ms,
        "late_p99_ms": outcome.late_p99_ms,
        "cpu_percent": outcome.cpu_percent,
        "rss_mb": outcome.rss_mb,
        "log_lines": outcome.log_lines,
        "reasons": tally.named_reasons(),
        "by_fault": {
            fault: {verdict.value: count for verdict, count in counts.items()}
            for fault, counts in tally.by_fault.items()
        },
        "events": [
            {
                "at": event.at,
                "until": event.until,
                "worker": event.worker,
                "fault": event.fault.name,
            }
            for event in outcome.events
        ],
    }


def plot(outcomes: Sequence[Outcome], path: Path) -> None:
    """Answers by second and verdict, with the faults behind them; memory below."""
    import matplotlib

    matplotlib.use("agg")
    # No date and no random ids in the file: equal figures give an equal file.
    matplotlib.rcParams["svg.hashsalt"] = "perf"
    matplotlib.rcParams["svg.fonttype"] = "none"
    from matplotlib import pyplot

    figure: Any
    figure, axes = pyplot.subplots(
        len(outcomes) + 1,
        1,
        figsize=(9, 2.2 * len(outcomes) + 1.6),
        sharex=True,
        squeeze=False,
        height_ratios=[2.2] * len(outcomes) + [1.4],
    )
    panels = [row[0] for row in axes]
    for axis, outcome in zip(panels, outcomes, strict=False):
        _panel(axis, outcome)
    for outcome in outcomes:
        panels[-1].plot(outcome.rss_by_second, label=label(outcome.gateway), linewidth=1)
    panels[-1].set_ylabel("RSS, MB", fontsize=8)
    panels[-1].set_ylim(bottom=0)
    panels[-1].set_xlabel("seconds", fontsize=8)
    panels[-1].legend(fontsize=7, frameon=False)
    for axis in panels:
        axis.tick_params(labelsize=7)
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot.close(figure)


def _panel(axis: Any, outcome: Outcome) -> None:
    seconds = range(max(outcome.tally.by_second, default=0) + 1)
    by_second = outcome.tally.by_second
    for event in outcome.events:
        axis.axvspan(event.at, event.until, color="#e8e8e8", linewidth=0)
        axis.text(
            event.at,
            1.01,
            event.fault.name,
            fontsize=5,
            rotation=30,
            transform=axis.get_xaxis_transform(),
        )
    shown = [verdict for verdict in COLOURS if outcome.tally[verdict]]
    axis.stackplot(
        [second + 0.5 for second in seconds],
        [
            [by_second[second][verdict] if second in by_second else 0 for second in seconds]
            for verdict in shown
        ],
        labels=[verdict.value for verdict in shown],
        colors=[COLOURS[verdict] for verdict in shown],
    )
    axis.set_ylabel(f"{label(outcome.gateway)}\nanswers/s", fontsize=8)
    axis.legend(fontsize=6, loc="lower left", ncols=6, frameon=False)
