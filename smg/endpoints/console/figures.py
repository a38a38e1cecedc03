"""What happened between two looks at the gateway's own metrics: rates, shares and quantiles.

A look is a copy of a few sums. It is taken when somebody asks for the console's data and at no
other time; the first answer covers the time since the start, later ones up to a minute.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smg.observability.families import GatewayMetrics
    from smg.observability.metrics import CounterFamily, GaugeFamily, HistogramFamily

WINDOW = 60.0  # seconds
_MOST_LOOKS = 64
#: series added up before others have their turn
SLICE = 200


@dataclass(slots=True)
class Look:
    """Sums of one moment. `at` is monotonic, seconds; histograms as `Histogram.snapshot`."""

    at: float
    requests: float = 0.0
    errors: float = 0.0
    input_tokens: float = 0.0
    output_tokens: float = 0.0
    placed: float = 0.0
    hits: float = 0.0
    latency: list[float] = field(default_factory=list)
    ttft: list[float] = field(default_factory=list)
    overhead: list[float] = field(default_factory=list)
    #: requests that ended, by worker URL
    workers: dict[str, float] = field(default_factory=dict)


def take(metrics: GatewayMetrics, look: Look) -> Iterable[None]:
    """Fill `look`; a step for every `SLICE` series or so, so that a loop can do others' work
    between two of them.
    """
    for family, name in (
        (metrics.router_request_duration, "latency"),
        (metrics.router_ttft, "ttft"),
        (metrics.gateway_overhead, "overhead"),
    ):
        sums: list[float] = []
        for number, child in enumerate(family.children().values()):
            found = child.snapshot()
            sums = [a + b for a, b in zip(sums, found, strict=True)] if sums else found
            if number % SLICE == SLICE - 1:
                yield
        setattr(look, name, sums)
        yield
    look.requests = total(metrics.router_requests)
    look.errors = total(metrics.router_request_errors)
    look.input_tokens = total(metrics.router_tokens, token_type="input")
    look.output_tokens = total(metrics.router_tokens, token_type="output")
    look.placed = total(metrics.cache_aware_branch)
    look.hits = total(metrics.cache_aware_branch, branch="hit")
    yield


def total(family: CounterFamily | GaugeFamily, **where: str) -> float:
    """The sum over all series that carry the labels `where`, those read at scrapes included."""
    names = family.label_names
    wanted = where.items()
    children = (
        child.value
        for values, child in family.children().items()
        if not where or wanted <= dict(zip(names, values, strict=True)).items()
    )
    if where:
        return sum(children)
    return sum(children) + sum(read() for read in family.tracked().values())


class Looks:
    """The looks of the last minute."""

    def __init__(self, started: float) -> None:
        self._looks: deque[Look] = deque([Look(started)], maxlen=_MOST_LOOKS)

    def add(self, look: Look) -> Look:
        """Keep `look`; returns the one to compare it with: the oldest of the last minute, else the
        newest before.
        """
        looks = self._looks
        while len(looks) > 1 and looks[0].at < look.at - WINDOW:
            looks.popleft()
        before = looks[0]
        looks.append(look)
        return before


def per_second(before: float, after: float, seconds: float) -> float | None:
    """A counter's rate; None when no time passed."""
    return (after - before) / seconds if seconds > 0 else None


def share(part: float, whole: float) -> float | None:
    """`part` of `whole`, 0 to 1; None when there is no whole."""
    return min(1.0, part / whole) if whole > 0 else None


def quantiles(
    before: Sequence[float], after: Sequence[float], family: HistogramFamily
) -> dict[str, float | None]:
    """Median, 90th and 99th percentile of what a histogram saw between two looks, in its unit; None
    when it saw nothing.
    """
    counts = list(after[:-1])
    if before:
        counts = [new - old for new, old in zip(counts, before, strict=False)]
    return {f"p{q * 100:.0f}": _quantile(counts, family.bounds, q) for q in (0.5, 0.9, 0.99)}


def _quantile(counts: Sequence[float], bounds: Sequence[float], q: float) -> float | None:
    rank = q * sum(counts)
    if rank <= 0:
        return None
    low = 0.0
    for count, high in zip(counts, bounds, strict=False):
        if count >= rank:
            return low + (high - low) * rank / count  # values are taken to be spread evenly
        rank -= count
        low = high
    return bounds[-1]  # beyond the last bound nobody knows how far
