"""Help text of the router flags, made from the flag table. Flags not available yet are left out."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from smg.config.flags import TABLE
from smg.config.flags.row import Flag
from smg.config.kinds import Choice, Many

COLUMN = 38  # where descriptions begin
WIDTH = 100

EXTRA = (
    ("-h, --help", "Show this help and exit."),
    ("-V, --version", "Show the version and exit."),
    ("--version-verbose", "Show version, build and tools, and exit."),
)


def flags_help(usage: str, prefix: str = "", exclude: Sequence[str] = ()) -> str:
    """The whole help of a command that takes router flags; `prefix` is `router-` in `smg serve`."""
    lines = [f"usage: {usage}", ""]
    for group, flags in grouped(flag for flag in TABLE if flag.available):
        shown = [flag for flag in flags if flag.name not in exclude]
        if shown:
            lines += [f"{group}:", *(_entry(*_texts(flag, prefix)) for flag in shown), ""]
    lines += ["Other:", *(_entry(*extra) for extra in EXTRA)]
    return "\n".join(lines)


def grouped(flags: Iterable[Flag]) -> list[tuple[str, list[Flag]]]:
    """Groups and their flags, in the order of the table."""
    groups: dict[str, list[Flag]] = {}
    for flag in flags:
        groups.setdefault(flag.group, []).append(flag)
    return list(groups.items())


def spelling(flag: Flag, prefix: str = "") -> str:
    """All names and the placeholder of the value, as in `--model-path, --model MODEL`."""
    names = ", ".join(f"--{prefix}{name}" for name in flag.names)
    label = f"{flag.kind.label} ..." if isinstance(flag.kind, Many) else flag.kind.label
    return f"{names} {label}".rstrip()


def default_text(flag: Flag) -> str:
    """The default as one would type it; empty when there is none to speak of."""
    value = flag.default
    if value is None or value is False or value == ():
        return ""
    if isinstance(value, tuple):
        return " ".join(f"{item:g}" if isinstance(item, float) else str(item) for item in value)
    return str(value)


def later_choices(flag: Flag) -> str:
    """Values that are known and not available yet."""
    return ", ".join(flag.kind.later) if isinstance(flag.kind, Choice) else ""


def _texts(flag: Flag, prefix: str) -> tuple[str, str]:
    notes = []
    if text := default_text(flag):
        notes.append(f"default: {text}")
    if flag.env:
        notes.append(f"environment: {flag.env}")
    if text := later_choices(flag):
        notes.append(f"not available yet: {text}")
    return spelling(flag, prefix), flag.help + (f" ({'; '.join(notes)})" if notes else "")


def _entry(left: str, right: str) -> str:
    body = textwrap.wrap(right, WIDTH - COLUMN)
    head = f"  {left}"
    if len(head) + 2 > COLUMN:
        return "\n".join([head, *(" " * COLUMN + line for line in body)])
    return "\n".join([head.ljust(COLUMN) + body[0], *(" " * COLUMN + line for line in body[1:])])
