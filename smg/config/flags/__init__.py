"""The flag table: every router flag, one row each, a file per group of the help."""

from __future__ import annotations

from typing import Any

from smg.config.flags import (
    disaggregation,
    discovery,
    engine,
    mesh,
    observability,
    policy,
    reliability,
    requests,
    security,
    storage,
    workers,
)
from smg.config.flags.row import Flag

TABLE: tuple[Flag, ...] = (
    *workers.FLAGS,
    *policy.FLAGS,
    *disaggregation.FLAGS,
    *discovery.FLAGS,
    *requests.FLAGS,
    *security.FLAGS,
    *reliability.FLAGS,
    *observability.FLAGS,
    *engine.FLAGS,
    *storage.FLAGS,
    *mesh.FLAGS,
)

BY_FIELD: dict[str, Flag] = {flag.field: flag for flag in TABLE}

# Every spelling without dashes, aliases included.
BY_NAME: dict[str, Flag] = {name: flag for flag in TABLE for name in flag.names}


def default(name: str) -> Any:
    """The default of the flag `--name`."""
    return BY_NAME[name].default


def options(prefix: str = "", exclude: tuple[str, ...] = ()) -> dict[str, Flag]:
    """Command-line spelling to row.

    `prefix` is `router-` in `smg serve`; `exclude` lists names left out.
    """
    return {f"--{prefix}{name}": flag for name, flag in BY_NAME.items() if flag.name not in exclude}
