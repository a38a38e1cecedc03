"""The columns of a table about pairs."""

from __future__ import annotations

import math

from perf.routing.figures import Figures
from perf.routing.pairs.figures import PairFigures
from perf.routing.report import errors, number, short
from perf.stats import ratio

HEADER = [
    "gateway:prefill/decode", "TTFT mean ms", "p50", "p99", "hit %", "prefill max/mean",
    "decode max/mean", "peak", "ms/token", "p99", "decode hit %", "errors", "x RR mean",
    "x ref mean",
]  # fmt: skip


def pair_row(name: str, figures: Figures, base: Figures | None, rival: Figures | None) -> list[str]:
    assert isinstance(figures, PairFigures)
    return [
        short(name),
        number(figures.mean_ms),
        number(figures.p50_ms),
        number(figures.p99_ms),
        number(figures.hit * 100, "{:.1f}"),
        number(figures.prefill_spread, "{:.2f}"),
        number(figures.spread, "{:.2f}"),
        number(figures.peak),
        number(figures.token_ms, "{:.1f}"),
        number(figures.token_p99_ms, "{:.1f}"),
        number(figures.decode_hit * 100, "{:.1f}"),
        errors(figures),
        number(ratio(figures.mean_ms, base.mean_ms) if base else math.nan, "{:.2f}"),
        number(ratio(figures.mean_ms, rival.mean_ms) if rival else math.nan, "{:.2f}"),
    ]
