"""The little statistics the reports need; medians, because a shared machine has outliers to one
side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


def percentile(values: Sequence[float], percent: float) -> float:
    """Linear interpolation between the closest ranks; NaN for nothing measured."""
    if not values:
        return math.nan
    ordered = sorted(values)
    rank = (len(ordered) - 1) * percent / 100.0
    low = math.floor(rank)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (rank - low)


def median(values: Sequence[float]) -> float:
    return percentile(values, 50.0)


def ratio(value: float, base: float) -> float:
    """NaN (shown as a dash) where either side is missing or the base is zero."""
    if math.isnan(value) or math.isnan(base) or base == 0.0:
        return math.nan
    return value / base


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Of the straight line with the least squares through (x, y); NaN without two different x."""
    if not points:
        return math.nan
    middle_x = sum(x for x, _ in points) / len(points)
    middle_y = sum(y for _, y in points) / len(points)
    spread = sum((x - middle_x) ** 2 for x, _ in points)
    if spread == 0.0:
        return math.nan
    return sum((x - middle_x) * (y - middle_y) for x, y in points) / spread


@dataclass(frozen=True)
class Spread:
    """Median with the extremes beside it."""

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        if not values:
            return cls(math.nan, math.nan, math.nan, 0)
        return cls(median(values), min(values), max(values), len(values))


def histogram_percentile(buckets: Sequence[tuple[float, float]], percent: float) -> float:
    """Of a Prometheus histogram as (upper bound, cumulative count), like `histogram_quantile`."""
    ordered = sorted(buckets)
    if not ordered or ordered[-1][1] <= 0:
        return math.nan
    wanted = ordered[-1][1] * percent / 100.0
    lower, below = 0.0, 0.0
    for bound, count in ordered:
        if count >= wanted:
            if math.isinf(bound):
                return lower
            inside = count - below
            return bound if inside <= 0 else lower + (bound - lower) * (wanted - below) / inside
        lower, below = bound, count
    return lower
