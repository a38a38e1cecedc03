"""What `promtool check metrics` would say of an exposition, and a little more. Our own, because the
tool is not on every machine and knows nothing of how many series a label may make.
"""

from __future__ import annotations

import re
from collections import Counter

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_LABEL_NAME = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*")
_SAMPLE = re.compile(r"([^\s{]+)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'([^=,]+)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)')
_KINDS = ("counter", "gauge", "histogram", "summary", "untyped")
_SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("", "_sum", "_count")}
#: units that have a base unit to be used instead
_UNITS = (
    "ms",
    "us",
    "milliseconds",
    "microseconds",
    "minutes",
    "hours",
    "kb",
    "mb",
    "gb",
    "percent",
)
#: label sets of one family; more would be a label that somebody else chooses
MOST_SERIES = 5000


def lint(text: str, allowed: frozenset[str] = frozenset()) -> list[str]:
    """One line per fault; `allowed` are families that may have names of their own kind."""
    return _Lint(text, allowed).faults


class _Lint:
    def __init__(self, text: str, allowed: frozenset[str]) -> None:
        self.faults: list[str] = []
        self._help: dict[str, str] = {}
        self._kinds: dict[str, str] = {}
        self._series: Counter[str] = Counter()
        self._label_names: dict[str, set[str]] = {}
        self._done: set[str] = set()  # families that another one followed
        self._current = ""
        self._allowed = allowed
        self._buckets: dict[tuple[str, str], list[tuple[float, float]]] = {}
        self._counts: dict[tuple[str, str], float] = {}
        seen: set[str] = set()
        if text and not text.endswith("\n"):
            self._fault("the last line does not end")
        for line in filter(None, text.splitlines()):
            if line.startswith("#"):
                self._comment(line)
                continue
            key = line.rpartition(" ")[0]
            if key in seen:
                self._fault(f"twice: {key}")
            seen.add(key)
            self._sample(line)
        self._histograms()
        for family, count in self._series.items():
            if count > MOST_SERIES:
                self._fault(f"{family} has {count} series")
        for family in self._kinds:
            self._name(family)

    def _fault(self, text: str) -> None:
        self.faults.append(text)

    def _comment(self, line: str) -> None:
        word, name, rest = (line.split(" ", 3)[1:] + ["", ""])[:3]
        known = {"HELP": self._help, "TYPE": self._kinds}.get(word)
        if known is None:
            return
        if name in known:
            self._fault(f"{word} of {name} twice")
        known[name] = rest
        if not rest.strip():
            self._fault(f"{word} of {name} says nothing")
        if word == "TYPE" and rest not in _KINDS:
            self._fault(f"{name} is of the unknown type {rest}")
        self._enter(name)

    def _enter(self, family: str) -> None:
        if family != self._current:
            self._done.add(self._current)
            self._current = family
            if family in self._done:
                self._fault(f"the series of {family} do not stand together")

    def _family(self, sample: str) -> str:
        for family in (
            sample,
            *(sample.removesuffix(end) for end in ("_bucket", "_sum", "_count")),
        ):
            kind = self._kinds.get(family)
            if kind and sample.removeprefix(family) in _SUFFIXES.get(kind, ("",)):
                return family
        return ""

    def _sample(self, line: str) -> None:
        match = _SAMPLE.fullmatch(line)
        if match is None:
            self._fault(f"not a sample: {line}")
            return
        name, labels, number = match.groups()
        family = self._family(name)
        if not family or family not in self._help:
            self._fault(f"{name} has no TYPE, or no HELP")
            return
        self._enter(family)
        pairs = dict(_LABEL.findall(labels or ""))
        if (
            labels is not None
            and "".join(f'{k}="{v}",' for k, v in pairs.items()) != labels.rstrip(",") + ","
        ):
            self._fault(f"labels that do not read back: {line}")
        names = set(pairs) - {"le", "quantile"}
        if self._label_names.setdefault(family, names) != names:
            self._fault(f"{family} has series with other labels: {sorted(names)}")
        for label in pairs:
            if not _LABEL_NAME.fullmatch(label):
                self._fault(f"label {label} of {name}")
        kind, value = self._kinds[family], float(number)
        if kind in ("counter", "histogram") and not value >= 0:
            self._fault(f"{name} is {number}")
        rest = ",".join(f"{k}={v}" for k, v in sorted(pairs.items()) if k != "le")
        if name.endswith("_bucket") and kind == "histogram":
            self._buckets.setdefault((family, rest), []).append((float(pairs["le"]), value))
        else:
            self._series[family] += 1
            if name.endswith("_count") and kind == "histogram":
                self._counts[family, rest] = value

    def _histograms(self) -> None:
        for (family, labels), buckets in self._buckets.items():
            bounds = [bound for bound, _ in buckets]
            counts = [count for _, count in buckets]
            if bounds != sorted(set(bounds)) or bounds[-1] != float("inf"):
                self._fault(f"{family}{{{labels}}}: buckets {bounds}")
            if counts != sorted(counts) or counts[-1] != self._counts.get((family, labels)):
                self._fault(f"{family}{{{labels}}}: counts {counts}")

    def _name(self, family: str) -> None:
        kind = self._kinds[family]
        if not _NAME.fullmatch(family):
            self._fault(f"{family} is no name")
        if family in self._allowed:
            return
        if (kind == "counter") != family.endswith("_total"):
            self._fault(f"{family} is a {kind}")
        if kind != "histogram" and family.endswith(("_count", "_sum", "_bucket")):
            self._fault(f"{family} ends like a part of a histogram")
        if any(family.removesuffix("_total").endswith(f"_{unit}") for unit in _UNITS):
            self._fault(f"{family} is not in a base unit")
        if re.search(r"_(counter|gauge|histogram|metric)(_|$)", family):
            self._fault(f"{family} names its type")
