"""A panel per shape: mean TTFT as bars, p99 as a mark."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from perf.routing.report import short
from perf.routing.result import Result

COLOURS = {"ours": "#1b7f5c", "reference": "#c0504d"}
PALE = {"ours": "#8fc3ae", "reference": "#e2aaa8"}  # everything but cache_aware


def colour(name: str) -> str:
    who, _, policy = name.partition(":")
    return (COLOURS if policy.startswith("cache_aware") else PALE).get(who, "#9aa0a6")


def plot(result: Result, path: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    # No date and no random ids in the file: equal figures give an equal file.
    matplotlib.rcParams["svg.hashsalt"] = "perf"
    matplotlib.rcParams["svg.fonttype"] = "none"
    from matplotlib import pyplot

    shapes = list(result.samples)
    columns = min(2, len(shapes))
    lines = math.ceil(len(shapes) / columns)
    figure: Any
    figure, axes = pyplot.subplots(
        lines, columns, figsize=(5.4 * columns, 1.9 * lines), squeeze=False
    )
    for number, axis in enumerate(axes.flat):
        if number >= len(shapes):
            axis.set_visible(False)
            continue
        _panel(axis, result, shapes[number])
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot.close(figure)


def _panel(axis: Any, result: Result, shape: str) -> None:
    names = list(result.samples[shape])
    found = [result.middle(shape, name) for name in names]
    means = [figures.mean_ms if figures else math.nan for figures in found]
    tails = [figures.p99_ms if figures else math.nan for figures in found]
    places = range(len(names))
    bars = axis.barh(places, means, color=[colour(name) for name in names])
    axis.bar_label(bars, labels=[f" {mean:.0f}" for mean in means], fontsize=7)
    axis.plot(tails, places, "|", color="#444444", markersize=9)
    axis.set_yticks(places, [short(name) for name in names])
    axis.invert_yaxis()
    axis.margins(x=0.1)
    axis.set_title(shape, fontsize=9)
    axis.set_xlabel("TTFT ms: mean (bar), p99 (mark)", fontsize=7)
    axis.tick_params(labelsize=7)
    axis.spines[["top", "right"]].set_visible(False)
