"""What happened between two scrapes of the gateway's metrics. Pure functions.

A counter that went down was started anew, with the gateway: what it shows now is what happened. A
series that was not there before began at 0, because the gateway writes a series when it first
counts something.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

Labels = frozenset[tuple[str, str]]

STARTED = "process_start_time_seconds"
_INFINITE = math.inf


@dataclass(frozen=True)
class Scrape:
    """The samples of one moment: by name, then by labels. `at` is monotonic time in seconds."""

    at: float
    series: Mapping[str, Mapping[Labels, float]]

    def has(self, name: str) -> bool:
        """Whether there is any series of that name."""
        return bool(self.series.get(name))

    def total(self, name: str) -> float | None:
        """The sum over all series of a gauge; None when there is none."""
        samples = self.series.get(name)
        return sum(samples.values()) if samples else None

    def mean(self, name: str) -> float | None:
        """The mean over all series of a gauge; None when there is none."""
        samples = self.series.get(name)
        return sum(samples.values()) / len(samples) if samples else None

    def label(self, name: str, label: str) -> str | None:
        """The label of the first series of that name that has it."""
        for labels in self.series.get(name, {}):
            for key, value in labels:
                if key == label:
                    return value
        return None


def parse(text: str, at: float) -> Scrape:
    """Read Prometheus text. Samples that are no finite number are left out. Raises ValueError."""
    from prometheus_client.parser import text_string_to_metric_families

    series: dict[str, dict[Labels, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if math.isfinite(sample.value):
                labels = frozenset(sample.labels.items())
                series.setdefault(sample.name, {})[labels] = sample.value
    return Scrape(at, series)


def window(scrapes: Sequence[Scrape], seconds: float) -> tuple[Scrape, Scrape] | None:
    """The newest scrape, and before it the oldest that is at most `seconds` older, at least the
    one before. None when there are no two.
    """
    if len(scrapes) < 2:
        return None
    newest = scrapes[-1]
    for scrape in scrapes[:-2]:
        if newest.at - scrape.at <= seconds:
            return scrape, newest
    return scrapes[-2], newest


def increases(before: Scrape, after: Scrape, name: str) -> dict[Labels, float]:
    """How much each series of a counter grew; never less than 0."""
    old = {} if _restarted(before, after) else before.series.get(name, {})
    grown = {}
    for labels, value in after.series.get(name, {}).items():
        base = old.get(labels, 0.0)
        grown[labels] = max(0.0, value - base if value >= base else value)
    return grown


def increase(before: Scrape, after: Scrape, name: str, **where: str) -> float:
    """How much a counter grew, over all series that carry the labels `where`."""
    wanted = where.items()
    grown = increases(before, after, name)
    return sum(value for labels, value in grown.items() if wanted <= dict(labels).items())


def per_second(before: Scrape, after: Scrape, name: str, **where: str) -> float | None:
    """The rate of a counter; None when no time has passed."""
    return divided(increase(before, after, name, **where), after.at - before.at)


def divided(part: float, whole: float) -> float | None:
    """`part` of `whole`; None when there is no whole."""
    return part / whole if whole > 0 else None


def share(before: Scrape, after: Scrape, part: str, whole: str) -> float | None:
    """What part of the events of counter `whole` counter `part` counted, 0 to 1; None when there
    were none.
    """
    value = divided(increase(before, after, part), increase(before, after, whole))
    return None if value is None else min(1.0, value)


def quantile(before: Scrape, after: Scrape, name: str, q: float) -> float | None:
    """The `q` quantile (0 to 1) of what histogram `name` saw, over all its series; None when it saw
    nothing. Inside a bucket values are taken to be spread evenly; beyond the last bound the answer
    is that bound.
    """
    buckets: dict[float, float] = {}
    for labels, value in increases(before, after, f"{name}_bucket").items():
        bound = _bound(dict(labels).get("le"))
        if bound is not None:
            buckets[bound] = buckets.get(bound, 0.0) + value
    return _interpolated(sorted(buckets.items()), q)


def _interpolated(buckets: Iterable[tuple[float, float]], q: float) -> float | None:
    """The quantile of cumulative buckets in ascending order."""
    rows = list(buckets)
    total = max((count for _, count in rows), default=0.0)
    if total <= 0:
        return None
    rank = min(max(q, 0.0), 1.0) * total
    below, seen = 0.0, 0.0
    for bound, count in rows:
        count = max(count, seen)  # a counter that was started anew may stand out of line
        if count >= rank and count > seen:
            if bound == _INFINITE:
                return below
            low = min(below, bound)
            return low + (bound - low) * max(0.0, rank - seen) / (count - seen)
        below, seen = bound, count
    return below


def _bound(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else None
    except ValueError:
        return None
    return None if value is None or math.isnan(value) else value


def _restarted(before: Scrape, after: Scrape) -> bool:
    old, new = before.series.get(STARTED), after.series.get(STARTED)
    return bool(old) and bool(new) and old != new
