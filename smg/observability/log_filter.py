"""The filter syntax of SMG_LOG and RUST_LOG: `level` or `target=level,target=level` (1.7.1).

Targets are prefixes of logger names, cut at dots; `::` may be written for the dot. Pure functions.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

TRACE = 5
OFF = logging.CRITICAL + 10

LEVELS = {
    "trace": TRACE,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "off": OFF,
}

VARIABLES = ("SMG_LOG", "RUST_LOG")


def parse(text: str) -> dict[str, int]:
    """Logger name to level, the root logger as `""`.

    Raises ValueError, since part of a filter would be another filter than the one meant.
    """
    levels: dict[str, int] = {}
    for directive in filter(None, map(str.strip, text.split(","))):
        target, equals, level = (part.strip() for part in directive.partition("="))
        if not equals and target.lower() in LEVELS:
            target, level = "", target
        elif not equals:
            level = "trace"  # a bare target means everything of it, as in the Rust filter
        name = target.replace("::", ".")
        if level.lower() not in LEVELS:
            raise ValueError(f"unknown level {level!r}")
        if name and not all(part.isidentifier() for part in name.replace("-", "_").split(".")):
            raise ValueError(f"bad target {target!r}")
        levels[name] = LEVELS[level.lower()]
    if not levels:
        raise ValueError("no directive")
    # What no directive names keeps its errors: a filter is set to see more, not to lose failures.
    levels.setdefault("", logging.ERROR)
    return levels


def from_environment(environ: Mapping[str, str]) -> tuple[dict[str, int] | None, list[str]]:
    """The first valid filter, if any, and one line for each that is set but invalid."""
    problems: list[str] = []
    for variable in VARIABLES:
        text = environ.get(variable, "").strip()
        if not text:
            continue
        try:
            return parse(text), problems
        except ValueError as error:
            problems.append(f"{variable} is ignored: {error}")
    return None, problems


def default(level: str) -> dict[str, int]:
    """Our own loggers at `level`, libraries at WARN."""
    return {"": logging.WARNING, "smg": LEVELS[level]}
