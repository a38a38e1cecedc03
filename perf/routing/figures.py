"""What a run of one shape under one policy comes to."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

from perf.routing.records import Record
from perf.routing.shapes import Shape
from perf.stats import median, percentile
from smg.sim.cache import CHARACTERS_PER_TOKEN


@dataclass(frozen=True)
class Figures:
    """Times in milliseconds of the modelled workers, whatever the speed of the run.

    TTFT: from a user's asking to the first piece of the answer, over all turns. `hit`: share of all
    prompt tokens that were cached. `spread`: answers of the busiest worker over the mean of all;
    `variation`: their standard deviation over their mean. `peak`: most requests one worker had at
    once. `busy`: share of the workers' time spent on prompts until the last was sent. `errors`:
    failed attempts, each was asked again. `unanswered`: turns given up.
    """

    requests: float
    mean_ms: float
    p50_ms: float
    p99_ms: float
    hit: float
    spread: float
    variation: float
    peak: float
    busy: float
    seconds: float
    errors: float
    unanswered: float

    @classmethod
    def of(cls, records: Sequence[Record], shape: Shape) -> Figures:
        times = [record.ttft * 1e3 for record in records if not math.isnan(record.first)]
        answered = [record for record in records if record.answered]
        asked = sum(record.prompt_tokens for record in answered)
        cached = sum(record.cached_tokens for record in answered)
        per_worker = list(Counter(record.worker for record in answered).values())
        per_worker += [0] * (shape.workers - len(per_worker))
        read_seconds = (asked - cached) * CHARACTERS_PER_TOKEN / shape.prefill_per_second
        last_sent = max((record.sent for record in records), default=0.0)
        return cls(
            requests=len(records),
            mean_ms=sum(times) / len(times) if times else math.nan,
            p50_ms=percentile(times, 50),
            p99_ms=percentile(times, 99),
            hit=cached / asked if asked else math.nan,
            spread=spread(per_worker),
            variation=variation(per_worker),
            peak=peak(answered),
            busy=read_seconds / shape.workers / last_sent if last_sent else math.nan,
            seconds=max((record.ended for record in answered), default=math.nan),
            errors=sum(record.errors for record in records),
            unanswered=shape.requests - len(answered),
        )


F = TypeVar("F", bound=Figures)


def spread(counts: Sequence[int]) -> float:
    """The largest over the mean; 1 is even, the number of counts is one-sided."""
    total = sum(counts)
    return max(counts) * len(counts) / total if total else math.nan


def variation(counts: Sequence[int]) -> float:
    """Standard deviation over mean."""
    total = sum(counts)
    if not total:
        return math.nan
    mean = total / len(counts)
    return math.sqrt(sum((count - mean) ** 2 for count in counts) / len(counts)) / mean


def peak(records: Sequence[Record]) -> int:
    """Most requests that one worker had at once, from asking to the last piece of the answer."""
    events: list[tuple[float, int, str]] = []
    for record in records:
        events += [(record.sent, 1, record.worker), (record.ended, -1, record.worker)]
    now: Counter[str] = Counter()
    most = 0
    for _, change, worker in sorted(events):  # at one moment, ends come before beginnings
        now[worker] += change
        most = max(most, now[worker])
    return most


def middle(samples: Sequence[F]) -> F:
    """Field by field the median over the runs; of `errors` and `unanswered` the sum."""
    values: dict[str, float] = {}
    kind = type(samples[0])
    for one in fields(kind):
        column = [getattr(sample, one.name) for sample in samples]
        total = one.name in ("errors", "unanswered")
        values[one.name] = sum(column) if total else median([x for x in column if x == x])
    return kind(**values)
