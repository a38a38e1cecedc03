"""How late the event loop ran during the fault runs, from the gateways' own histograms."""

from __future__ import annotations

from collections.abc import Iterable

from tests.doubles.metrics_text import Samples

_BUCKETS = "smg_event_loop_delay_seconds_bucket"


class Delays:
    """Sums of histograms of many gateways; one gateway is added once, when its run is over."""

    def __init__(self) -> None:
        self.runs = 0
        self._buckets: dict[float, float] = {}

    def add(self, samples: Samples) -> None:
        """What one gateway measured."""
        rows = [(labels["le"], value) for name, labels, value in samples.rows if name == _BUCKETS]
        self.merge(1, [(float(bound.replace("+Inf", "inf")), value) for bound, value in rows])

    def merge(self, runs: int, buckets: Iterable[tuple[float, float]]) -> None:
        """Sums of another process, as `state` tells them."""
        self.runs += runs
        for bound, value in buckets:
            self._buckets[bound] = self._buckets.get(bound, 0.0) + value

    def state(self) -> tuple[int, list[tuple[float, float]]]:
        """For `merge`."""
        return self.runs, list(self._buckets.items())

    def p99(self) -> float:
        """Upper bound of the bucket that holds the 99th percentile, in seconds; 0 before any."""
        total = max(self._buckets.values(), default=0.0)
        for bound, count in sorted(self._buckets.items()):
            if count >= 0.99 * total:
                return bound
        return 0.0

    def line(self) -> str:
        """For the report."""
        timers = max(self._buckets.values(), default=0.0)
        return (
            f"fault runs: loop delay p99 at most {self.p99() * 1000:g} ms"
            f" ({timers:.0f} timers of {self.runs} gateways; target 10 ms)"
        )


DELAYS = Delays()
