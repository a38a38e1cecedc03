"""What is computed from records."""

from __future__ import annotations

import math

import pytest

from perf.routing.figures import Figures, middle, peak, spread, variation
from perf.routing.records import Record
from perf.routing.shapes import Shape

SHAPE = Shape("test", "", workers=2, sessions=2, turns=2, prefill_per_second=4_000.0)


def record(
    sent: float, first: float, ended: float, worker: str = "a", cached: int = 0, errors: int = 0
) -> Record:
    return Record("s", 0, sent, first, ended, worker, 1_000, cached, errors)


def test_figures_of_records() -> None:
    records = [
        record(0.0, 1.0, 2.0),
        record(1.0, 1.5, 3.0, cached=750),
        record(2.0, 2.1, 4.0, worker="b", cached=1_000, errors=2),
        Record("s", 1, 4.0, errors=20),  # given up
    ]
    figures = Figures.of(records, SHAPE)
    assert figures.requests == 4
    assert figures.mean_ms == pytest.approx(1_600 / 3)
    assert figures.p50_ms == pytest.approx(500)
    assert figures.p99_ms == pytest.approx(990)
    assert figures.hit == pytest.approx(1_750 / 3_000)
    assert figures.spread == pytest.approx(4 / 3)
    assert figures.peak == 2
    # 1,250 tokens of 4 characters at 4,000 characters/s on two workers, the last sent after 4 s
    assert figures.busy == pytest.approx(1.25 / 2 / 4)
    assert figures.seconds == 4.0
    assert (figures.errors, figures.unanswered) == (22, 1)


def test_nothing_answered_is_no_figure() -> None:
    figures = Figures.of([Record("s", 0, 0.0, errors=1)], SHAPE)
    assert math.isnan(figures.mean_ms)
    assert math.isnan(figures.hit)
    assert math.isnan(figures.spread)
    assert figures.unanswered == 4


def test_idle_workers_count_in_the_spread() -> None:
    assert spread([10, 10, 10, 10]) == 1.0
    assert spread([40, 0, 0, 0]) == 4.0
    assert variation([5, 5]) == 0.0
    assert variation([10, 0]) == 1.0


def test_peak_is_per_worker_and_ends_come_first() -> None:
    assert peak([record(0, 0, 1), record(1, 1, 2)]) == 1
    assert peak([record(0, 0, 2), record(1, 1, 2), record(1, 1, 2, worker="b")]) == 2


def test_over_runs_medians_but_errors_are_summed() -> None:
    runs = [Figures.of([record(0.0, ttft, 10.0, errors=1)], SHAPE) for ttft in (0.1, 9.0, 0.3)]
    figures = middle(runs)
    assert figures.mean_ms == pytest.approx(300)
    assert figures.errors == 3
