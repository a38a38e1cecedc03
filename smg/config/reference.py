"""Writes docs/reference/cli.md from the flag table: `python -m smg.config.reference`.

A test compares the page with what this module renders.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from smg.config.flags import TABLE
from smg.config.flags.row import Flag
from smg.config.help import default_text, grouped, later_choices, spelling

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "cli.md"

HEAD = """\
# Command line

<!-- Written by `python -m smg.config.reference` from smg/config/flags/: edit the rows there. -->

| Command | What it does |
|---|---|
| `smg launch [flags]` | Start the gateway |
| `smg [flags]`, `smg start [flags]`, `python -m smg.launch_router [flags]` | The same |
| `smg serve [flags]` | Start engine workers, wait for them, run the gateway |
| `smg check [flags]` | Check all settings as `launch` would; print `ok` or every problem |
| `smg workers COMMAND` | List and change workers ([console](../guide/console.md)) |
| `smg top` | Watch a running gateway ([console](../guide/console.md#smg-top)) |
| `smg --version`, `smg -V` | Print the version |
| `smg --version-verbose` | Print version, build and tools |
| `smg --help`, `smg COMMAND --help` | Print help |

Exit codes: 0 normal end, 1 configuration or start-up failure, 2 usage error; of `workers` and `top`
also 1 refused or failed, 3 gateway unreachable.

Values are written `--flag value` or `--flag=value`. Where the value is followed by `...`, the flag
takes all values up to the next flag and may be repeated; repeated flags add up. Switches take no
value, or `=true` or `=false`. Flags are never abbreviated. How flags, environment and settings file
combine: [Configuration](../guide/configuration.md).
"""

LATER = """\
## Not available yet

These names are known and refused with the feature they wait for, so that a typo and a missing
feature look different.
"""


def render() -> str:
    """The whole page."""
    parts = [HEAD]
    for group, flags in grouped(flag for flag in TABLE if flag.available):
        parts.append(f"## {group}\n")
        parts.append(_table(("Flag", "Default", "Meaning"), map(_row, flags)))
    parts.append(LATER)
    waiting: dict[str, list[str]] = {}
    for flag in TABLE:
        if not flag.available:
            waiting.setdefault(flag.feature, []).append(f"`--{flag.name}`")
    rows = ((feature, ", ".join(names)) for feature, names in waiting.items())
    parts.append(_table(("Feature", "Flags"), rows))
    return "\n".join(parts)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _row(flag: Flag) -> tuple[str, str, str]:
    meaning = flag.help
    if flag.env:
        meaning += f" Environment: `{flag.env}`."
    if text := later_choices(flag):
        meaning += f" Not available yet: {text}."
    value = default_text(flag)
    shown = f"`{value}`" if value else "off" if flag.kind.is_switch else "none"
    return f"`{spelling(flag)}`", shown, meaning


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(render(), encoding="utf-8")
