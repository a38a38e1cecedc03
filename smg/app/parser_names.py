"""Whether the parsers that the settings name exist. Light to import: `smg check` asks too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smg.core.errors import ConfigError

if TYPE_CHECKING:
    from smg.config.settings import RouterConfig


def check_parsers(config: RouterConfig) -> None:
    """ConfigError for a parser that nobody offers."""
    if config.tool_call_parser is None and config.reasoning_parser is None:
        return
    from smg.parsers.registry import REASONING_PARSERS, TOOL_PARSERS

    problems = []
    for flag, parsers, name in (
        ("--tool-call-parser", TOOL_PARSERS, config.tool_call_parser),
        ("--reasoning-parser", REASONING_PARSERS, config.reasoning_parser),
    ):
        if name is not None and parsers.canonical(name) is None:
            known = ", ".join(parsers.names())
            problems.append(f"{flag}: {name!r} is unknown, choose from {known}")
    if problems:
        raise ConfigError(problems)
