"""Ages of requests in flight, counted into twelve gauges (operations 1.5).

The buckets are not cumulative, and all of them are always there. The owner of the requests calls
`update` every 20 seconds; nothing is kept per request.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from smg.observability.metrics import GaugeFamily

BOUNDS = (30, 60, 180, 300, 600, 1200, 3600, 7200, 14400, 28800, 86400)
INTERVAL = 20.0


class InflightAges:
    """Owns the series of a family with the labels `gt` and `le`."""

    def __init__(self, family: GaugeFamily) -> None:
        lower = ("0", *map(str, BOUNDS))
        upper = (*map(str, BOUNDS), "+Inf")
        self._gauges = [family.labels(gt, le) for gt, le in zip(lower, upper, strict=True)]
        self.update(())

    def update(self, ages: Iterable[float]) -> None:
        """Replace all counts by those of `ages`, in seconds; an age is cut to whole seconds."""
        counts = [0] * len(self._gauges)
        for age in ages:
            counts[bisect_left(BOUNDS, int(age))] += 1
        for gauge, count in zip(self._gauges, counts, strict=True):
            gauge.set(count)
