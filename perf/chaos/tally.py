"""Counts of a run: what the clients saw, in all, by fault and by second."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from perf.chaos.verdict import NOTHING_CAME, Verdict
from perf.stats import percentile


@dataclass(frozen=True)
class Record:
    """One request that has ended."""

    verdict: Verdict
    reason: str
    fault: str  # the fault that held, or held last, when it ended (when it began, if it hung)
    at: float  # when it ended, seconds since the start of the run
    took: float  # seconds from sending to the end


@dataclass
class Tally:
    """Adds records up; `latencies` are those of right answers."""

    verdicts: Counter[Verdict] = field(default_factory=Counter)
    reasons: Counter[tuple[Verdict, str]] = field(default_factory=Counter)
    by_fault: defaultdict[str, Counter[Verdict]] = field(
        default_factory=lambda: defaultdict(Counter)
    )
    by_second: defaultdict[int, Counter[Verdict]] = field(
        default_factory=lambda: defaultdict(Counter)
    )
    latencies: array[float] = field(default_factory=lambda: array("d"))

    def add(self, record: Record) -> None:
        self.verdicts[record.verdict] += 1
        if record.reason:
            self.reasons[record.verdict, record.reason] += 1
        self.by_fault[record.fault][record.verdict] += 1
        self.by_second[int(record.at)][record.verdict] += 1
        if record.verdict is Verdict.RIGHT:
            self.latencies.append(record.took)

    def __getitem__(self, verdict: Verdict) -> int:
        return self.verdicts[verdict]

    @property
    def ended(self) -> int:
        return sum(self.verdicts.values())

    @property
    def judged(self) -> int:
        """Requests whose client waited for the end."""
        return self.ended - self[Verdict.LEFT]

    @property
    def retryable(self) -> int:
        """Requests that could be retried, see perf/chaos/verdict.py."""
        silent = self.reasons[Verdict.HUNG, NOTHING_CAME]
        return self[Verdict.RIGHT] + self[Verdict.FAILED] + silent

    @property
    def success(self) -> float:
        """Share of right answers among those; NaN without any."""
        return self[Verdict.RIGHT] / self.retryable if self.retryable else float("nan")

    @property
    def right_of_all(self) -> float:
        """Share of right answers among all whose client waited; NaN without any."""
        return self[Verdict.RIGHT] / self.judged if self.judged else float("nan")

    def named_reasons(self) -> dict[str, int]:
        """The reasons as `verdict: reason`, the most frequent first."""
        return {
            f"{verdict.value}: {reason}": count
            for (verdict, reason), count in self.reasons.most_common()
        }

    def milliseconds(self, percent: float) -> float:
        return percentile(self.latencies, percent) * 1e3
