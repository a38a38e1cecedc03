"""Tables, bounds and the plot, from the samples of one run."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from perf.gateways import GATEWAYS
from perf.stats import Spread, ratio
from perf.workloads import WORKLOADS, Sample

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass
class Run:
    """Everything measured, in the order of measuring."""

    samples: dict[str, dict[str, list[Sample]]] = field(default_factory=dict)  # workload, gateway
    idle_mb: dict[str, float] = field(default_factory=dict)
    ready_s: dict[str, float] = field(default_factory=dict)
    machine: dict[str, str] = field(default_factory=dict)
    date: str = ""

    def add(self, workload: str, gateway: str, sample: Sample) -> None:
        self.samples.setdefault(workload, {}).setdefault(gateway, []).append(sample)

    def spread(self, workload: str, gateway: str, value: Callable[[Sample], float]) -> Spread:
        """Over the rounds without errors: a wrong answer may be a cheap one."""
        samples = self.samples.get(workload, {}).get(gateway, [])
        numbers = [value(sample) for sample in samples if not sample.errors]
        return Spread.of([number for number in numbers if not math.isnan(number)])

    def cpu(self, workload: str, gateway: str) -> Spread:
        return self.spread(workload, gateway, lambda sample: sample.cpu_us)

    def paced_rss(self, gateway: str) -> Spread:
        return self.spread("paced", gateway, lambda sample: sample.rss_mb)

    def errors(self) -> list[str]:
        return [
            f"{workload} {gateway} round {number}: {sample.errors}"
            for workload, gateways in self.samples.items()
            for gateway, samples in gateways.items()
            for number, sample in enumerate(samples, 1)
            if sample.errors
        ]


def _number(value: float, form: str = "{:.1f}") -> str:
    return "-" if math.isnan(value) else form.format(value)


def _rows(header: list[str], rows: list[list[str]]) -> list[str]:
    """A Markdown table that also lines up in a terminal."""
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]

    def line(cells: list[str]) -> str:
        padded = [
            cell.ljust(width) if number == 0 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "| " + " | ".join(padded) + " |"

    rule = "|" + "|".join(
        "-" * (width + 2) if number == 0 else "-" * (width + 1) + ":"
        for number, width in enumerate(widths)
    )
    return [line(header), rule + "|", *(line(row) for row in rows)]


def tables(run: Run) -> str:
    lines: list[str] = []
    for name, gateways in run.samples.items():
        workload = WORKLOADS[name]
        lines += ["", f"### {name}: {workload.title}", ""]
        rows = []
        for gateway in gateways:
            cpu = run.cpu(name, gateway)

            def mid(
                value: Callable[[Sample], float], name: str = name, who: str = gateway
            ) -> float:
                return run.spread(name, who, value).median

            latency = (
                [_number(mid(lambda s: s.first_p50_ms)), _number(mid(lambda s: s.gap_p99_ms))]
                if workload.streams
                else [
                    _number(mid(lambda s: s.p50_ms), "{:.3f}"),
                    _number(mid(lambda s: s.p99_ms), "{:.3f}"),
                ]
            )
            rows.append(
                [
                    label(gateway),
                    _number(cpu.median),
                    f"{_number(cpu.low)}-{_number(cpu.high)}" if cpu.count else "-",
                    _number(ratio(cpu.median, run.cpu(name, "reference").median), "{:.2f}"),
                    _number(ratio(cpu.median, run.cpu(name, "haproxy").median), "{:.2f}"),
                    _number(mid(lambda s: s.per_second), "{:,.0f}"),
                    *latency,
                    _number(mid(lambda s: s.rss_mb), "{:.0f}"),
                ]
            )
        timing = ["first p50 ms", "gap p99 ms"] if workload.streams else ["p50 ms", "p99 ms"]
        header = [
            "gateway", f"CPU us/{workload.unit}", "min-max", "x reference", "x HAProxy",
            f"{workload.unit}s/s", *timing, "RSS MB",
        ]  # fmt: skip
        lines += _rows(header, rows)
    lines += _latency(run)
    lines += ["", "### memory and start", ""]
    lines += _rows(
        ["gateway", "RSS idle MB", "RSS paced MB", "ready s"],
        [
            [
                label(gateway),
                _number(idle, "{:.0f}"),
                _number(run.paced_rss(gateway).median, "{:.0f}"),
                _number(run.ready_s.get(gateway, math.nan), "{:.2f}"),
            ]
            for gateway, idle in run.idle_mb.items()
        ],
    )
    return "\n".join(lines)


def _latency(run: Run) -> list[str]:
    """What a gateway adds at one connection, against the worker asked directly."""
    direct = run.spread("latency", "direct", lambda s: s.p50_ms).median
    direct99 = run.spread("latency", "direct", lambda s: s.p99_ms).median
    if math.isnan(direct):
        return []
    rows = []
    for gateway in run.samples["latency"]:
        if gateway != "direct":
            p50 = run.spread("latency", gateway, lambda s: s.p50_ms).median - direct
            p99 = run.spread("latency", gateway, lambda s: s.p99_ms).median - direct99
            rows.append(
                [label(gateway), _number(p50 * 1e3, "{:.0f}"), _number(p99 * 1e3, "{:.0f}")]
            )
    title = "### added latency at one connection, microseconds"
    return ["", title, "", *_rows(["gateway", "p50", "p99"], rows)]


def label(gateway: str) -> str:
    return GATEWAYS[gateway].label if gateway in GATEWAYS else gateway


@dataclass(frozen=True)
class Verdict:
    name: str
    measured: float
    bound: float

    @property
    def held(self) -> bool:
        return self.measured <= self.bound  # NaN holds nothing

    def __str__(self) -> str:
        mark = "pass" if self.held else "MISS"
        return f"{mark}  {self.name}: {_number(self.measured, '{:.2f}')} (at most {self.bound:.2f})"


def check(run: Run, budgets: Mapping[str, Mapping[str, float]], ours: str = "smg") -> list[Verdict]:
    """One verdict per bound whose workload was in the run."""
    verdicts = []
    for section, bounds in budgets.items():
        for peer, bound in bounds.items():
            if section == "paced_rss":
                if "paced" not in run.samples:
                    continue
                measured = ratio(run.paced_rss(ours).median, run.paced_rss(peer).median)
            elif section not in run.samples:
                continue
            else:
                measured = ratio(run.cpu(section, ours).median, run.cpu(section, peer).median)
            verdicts.append(Verdict(f"{section} / {peer}", measured, bound))
    return verdicts


def read_budgets(path: Path) -> dict[str, dict[str, float]]:
    with path.open("rb") as file:
        return tomllib.load(file)


_COLOURS = {
    "smg": "#1b7f5c", "reference": "#c0504d", "haproxy": "#4f6d9c",
    "haproxy-nodelay": "#8ba3c7", "sglang": "#b58b3a",
    "vllm": "#7d5ba6", "prototype": "#9aa0a6",
}  # fmt: skip


def plot(run: Run, path: Path) -> None:
    """One panel per workload, CPU per unit, whiskers from least to most."""
    import matplotlib

    matplotlib.use("svg")
    # No date and no random ids in the file: equal figures give an equal file.
    matplotlib.rcParams["svg.hashsalt"] = "perf"
    matplotlib.rcParams["svg.fonttype"] = "none"  # text stays text: a quarter of the size
    from matplotlib import pyplot

    names = [name for name in run.samples if name != "latency"]
    columns = min(3, len(names))
    lines = math.ceil(len(names) / columns)
    figure: Any
    figure, axes = pyplot.subplots(
        lines, columns, figsize=(4.2 * columns, 2.8 * lines), squeeze=False
    )
    for number, axis in enumerate(axes.flat):
        if number >= len(names):
            axis.set_visible(False)
            continue
        name = names[number]
        gateways = [gateway for gateway in run.samples[name] if run.cpu(name, gateway).count]
        spreads = [run.cpu(name, gateway) for gateway in gateways]
        middles = [spread.median for spread in spreads]
        whiskers = [
            [spread.median - spread.low for spread in spreads],
            [spread.high - spread.median for spread in spreads],
        ]
        bars = axis.barh(
            [label(gateway) for gateway in gateways],
            middles,
            xerr=whiskers,
            color=[_COLOURS.get(gateway, "#888888") for gateway in gateways],
            error_kw={"elinewidth": 1, "ecolor": "#444444"},
        )
        axis.bar_label(bars, labels=[f" {value:.0f}" for value in middles], fontsize=8)
        axis.invert_yaxis()
        axis.margins(x=0.18)
        axis.set_title(WORKLOADS[name].title, fontsize=10)
        axis.set_xlabel(f"CPU microseconds per {WORKLOADS[name].unit}", fontsize=8)
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
