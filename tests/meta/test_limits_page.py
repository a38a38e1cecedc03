"""docs/reference/limits.md promises to name every wait: held against flags and constants."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator

import smg
from smg.config.flags import TABLE
from smg.config.flags.row import Flag
from smg.config.kinds import Seconds
from tests.meta.project import ROOT

PAGE = ROOT / "docs" / "reference" / "limits.md"
_FLAG = re.compile(r"`--([a-z0-9-]+)`")

#: packages that wait for clients and workers
WAITING = ("endpoints", "fleet", "backends", "upstream", "server")

#: flags in seconds that are no limit on a wait
NO_LIMITS = {
    "bucket-adjust-interval-secs": "how often bucket measures itself",
    "eviction-interval": "how often trees are cleaned up",
    "health-check-interval-secs": "how often a worker is asked",
    "worker-startup-check-interval": "how often a starting worker is asked",
    "worker-startup-delay": "when it is asked first",
}
#: constants that are no limit on a wait
NO_WAITS = {
    "DRAIN_LOOK_SECS": "how often a draining worker is looked at",
    "FIRST_PAUSE_SECS": "between two questions",
    "GATHER_SECS": "news of the fleet that are handled together",
    "LEAST_SECS": "the shortest interval that a label may ask for",
    "OVERDUE_PAUSE_SECS": "between two questions",
    "SLOW_SECS": "between two questions",
    "TRY_PAUSE_SECS": "between two questions",
}


def rows() -> Iterator[tuple[str, str, str]]:
    """What, setting and default."""
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and len(cells) >= 3 and cells[0] != "What":
            yield cells[0], cells[1], cells[2]


def number(text: str) -> float | None:
    """A plain number, as the page writes it."""
    text = text.replace(",", "")
    return float(text) if re.fullmatch(r"[0-9.]+", text) else None


def test_defaults_are_those_of_the_flags() -> None:
    by_name: dict[str, Flag] = {flag.name: flag for flag in TABLE}
    compared = 0
    for what, setting, shown in rows():
        found = _FLAG.fullmatch(setting)
        default = number(shown)
        if found is None or default is None:
            continue
        flag = by_name[found[1]]
        assert flag.available, what
        expected = flag.default / 1000 if flag.name.endswith("-ms") else flag.default
        assert default == expected, what
        compared += 1
    assert compared > 25


def test_every_flag_in_seconds_is_there() -> None:
    listed = set(_FLAG.findall(PAGE.read_text()))
    waits = {flag.name for flag in TABLE if flag.available and isinstance(flag.kind, Seconds)}
    assert sorted(waits - listed - NO_LIMITS.keys()) == []
    assert NO_LIMITS.keys() <= waits


def test_every_fixed_wait_is_there() -> None:
    """By its value: a constant in seconds that no row shows is a hidden wait."""
    fixed = {number(shown) for _, setting, shown in rows() if setting == "fixed"}
    found: dict[str, float] = {}
    for package in WAITING:
        path = [str(ROOT / "smg" / package)]
        for module in pkgutil.walk_packages(path, f"{smg.__name__}.{package}."):
            for name, value in vars(importlib.import_module(module.name)).items():
                if name.endswith("_SECS") and isinstance(value, (int, float)):
                    found[name] = float(value)
    assert len(found) > 10
    hidden = {name for name, value in found.items() if value not in fixed} - NO_WAITS.keys()
    assert sorted(hidden) == []
    assert NO_WAITS.keys() <= found.keys()
