"""Everything one invocation measured, as it is written to a file and read again."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from perf.routing.contenders import REFERENCE_RULE, first_present
from perf.routing.figures import Figures, middle
from perf.routing.records import Record
from perf.stats import median, ratio

OURS = "ours:cache_aware"
BASES = ("ours:round_robin", "reference:round_robin")
RIVALS = ("reference:cache_aware", REFERENCE_RULE)


@dataclass
class Result:
    """`samples[shape][contender]`: the figures of each run, in order; `errors[shape][contender]`:
    turns that failed, by reason.
    """

    mode: str = "real"  # or "virtual"
    speed: float = 1.0
    date: str = ""
    machine: dict[str, str] = field(default_factory=dict)
    shapes: dict[str, dict[str, Any]] = field(default_factory=dict)
    samples: dict[str, dict[str, list[Figures]]] = field(default_factory=dict)
    errors: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, shape: str, contender: str, figures: Figures) -> None:
        self.samples.setdefault(shape, {}).setdefault(contender, []).append(figures)

    def note(self, text: str) -> None:
        """Said once below the tables."""
        if text not in self.notes:
            self.notes.append(text)

    def count_errors(self, shape: str, contender: str, records: Sequence[Record]) -> None:
        """Why turns failed, of each its last reason."""
        for record in records:
            if record.errors:
                counts = self.errors.setdefault(shape, {}).setdefault(contender, {})
                counts[record.reason] = counts.get(record.reason, 0) + 1

    def middle(self, shape: str, contender: str | None) -> Figures | None:
        """Medians over the runs."""
        samples = self.samples.get(shape, {}).get(contender or "")
        return middle(samples) if samples else None

    def ratio(self, shape: str, one: str, other: str | None, name: str) -> float:
        """Median over the runs of what the figure `name` of `one` is of that of `other`, in the
        same run. In a run all play the same sessions at the same time, and runs differ by far more
        than contenders do. Beside the verdicts, for whoever reads them; bounds are held against the
        medians of each.
        """
        samples = self.samples.get(shape, {})
        pairs = zip(samples.get(one, []), samples.get(other or "", []), strict=False)
        ratios = [ratio(getattr(a, name), getattr(b, name)) for a, b in pairs]
        return median(ratios) if ratios else math.nan

    def base(self, shape: str) -> str | None:
        """Whose round_robin to compare with."""
        return self._present(shape, BASES)

    def rival(self, shape: str) -> str | None:
        """Which cache_aware of the reference to compare with: its program or its written rule."""
        return self._present(shape, RIVALS)

    def _present(self, shape: str, names: Sequence[str]) -> str | None:
        return first_present(names, list(self.samples.get(shape, {})))


def write_json(path: Path, result: Result) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(result), indent=1) + "\n")


def read_json(path: Path, kind: type[Figures] = Figures) -> Result:
    """`kind`: of the figures in the file."""
    document = json.loads(path.read_text())
    samples = document.pop("samples")
    result = Result(**document)
    for shape, contenders in samples.items():
        for contender, runs in contenders.items():
            for figures in runs:
                result.add(shape, contender, kind(**figures))
    return result
