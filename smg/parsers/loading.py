"""From a parser's name to its class: ours, or an installed package's.

A package offers parsers as entry points of `smg.tool_parsers` and `smg.reasoning_parsers`
(docs/guide/parsers.md). A class named by its path is not accepted: names come from workers too.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, TypeVar

from smg.core.errors import ConfigError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

P = TypeVar("P")


def normal(name: str) -> str:
    """The spelling that tables use: lower case, `_` for `-`."""
    return name.strip().lower().replace("-", "_")


def offered(group: str) -> dict[str, EntryPoint]:
    """What installed packages offer, by normal name."""
    from importlib.metadata import entry_points  # slow to import, and seldom needed

    return {normal(point.name): point for point in entry_points(group=group)}


def load(target: str, base: type[P], what: str) -> type[P]:
    """The class at `module:Class`. Raises ConfigError, whatever code of others raises."""
    module, _, attribute = target.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # code of others runs here, and may fail in any way
        problem = f"{what}: cannot load {target!r}: {type(error).__name__}: {error}"
        raise ConfigError([problem]) from error
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ConfigError([f"{what}: {target!r} is no subclass of {base.__name__}"])
    return found
