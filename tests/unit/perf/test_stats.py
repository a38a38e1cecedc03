"""The statistics of the benchmark reports."""

from __future__ import annotations

import math

import pytest

from perf.stats import Spread, histogram_percentile, median, percentile, ratio, slope


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([5.0], 99, 5.0),
        ([1.0, 2.0], 50, 1.5),
        ([3.0, 1.0, 2.0], 0, 1.0),
        ([3.0, 1.0, 2.0], 100, 3.0),
        (list(range(101)), 99, 99.0),
        ([0.0, 10.0], 25, 2.5),
    ],
)
def test_percentile(values: list[float], percent: float, expected: float) -> None:
    assert percentile(values, percent) == pytest.approx(expected)


def test_percentile_of_nothing_is_nan() -> None:
    assert math.isnan(percentile([], 50))
    assert math.isnan(median([]))


def test_median_ignores_one_outlier() -> None:
    assert median([10.0, 11.0, 5000.0]) == 11.0


def test_ratio() -> None:
    assert ratio(30.0, 200.0) == pytest.approx(0.15)
    assert math.isnan(ratio(1.0, 0.0))
    assert math.isnan(ratio(math.nan, 2.0))
    assert math.isnan(ratio(1.0, math.nan))


def test_spread() -> None:
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0, 3)
    assert Spread.of([]).count == 0


def test_histogram_percentile_interpolates_inside_a_bucket() -> None:
    buckets = [(0.001, 50.0), (0.002, 100.0), (math.inf, 100.0)]
    assert histogram_percentile(buckets, 75) == pytest.approx(0.0015)
    assert histogram_percentile(buckets, 50) == pytest.approx(0.001)


def test_histogram_percentile_beyond_the_last_bound_is_that_bound() -> None:
    assert histogram_percentile([(0.001, 1.0), (math.inf, 100.0)], 99) == 0.001


def test_histogram_percentile_of_nothing_is_nan() -> None:
    assert math.isnan(histogram_percentile([], 99))
    assert math.isnan(histogram_percentile([(0.1, 0.0), (math.inf, 0.0)], 99))


def test_slope_of_a_line_and_of_noise_around_it() -> None:
    assert slope([(x, 3.0 - 2.0 * x) for x in range(5)]) == pytest.approx(-2.0)
    noisy = [(0.0, 1.0), (1.0, 0.0), (2.0, 3.0), (3.0, 2.0)]
    assert slope(noisy) == pytest.approx(0.6)  # by hand: 3.0 / 5.0


@pytest.mark.parametrize("points", [[], [(1.0, 2.0)], [(1.0, 2.0), (1.0, 5.0)]])
def test_slope_needs_two_places(points: list[tuple[float, float]]) -> None:
    assert math.isnan(slope(points))
