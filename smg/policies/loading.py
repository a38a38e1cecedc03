"""From a policy's name to its class: ours, an installed package's, or a class named directly.

A package offers policies as entry points of the group `smg.policies`; `module:Class` names a class
that is merely importable. Both get what our own get (docs/guide/policies.md). Code named by a
worker's label is never imported: labels may come from the worker.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from smg.core.errors import ConfigError
from smg.policies.base import Policy, PolicyContext

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "smg.policies"


def offered(name: str) -> EntryPoint | None:
    """The entry point of an installed package with this very name."""
    from importlib.metadata import entry_points  # slow to import, and seldom needed

    return next((point for point in entry_points(group=GROUP) if point.name == name), None)


def load(name: str, ours: dict[str, str]) -> type[Policy]:
    """The class behind `name`; `ours` maps names to `module:Class`. Raises ConfigError."""
    target = ours.get(name)
    if target is None:
        point = offered(name)
        target = name if point is None else point.value
    module, colon, attribute = target.partition(":")
    if not colon:
        raise ConfigError([f"--policy: unknown policy {name!r}, choose from {', '.join(ours)}"])
    try:
        found = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # code of others runs here, and may fail in any way
        raise _failed(f"cannot load {target!r}", error) from error
    if not (isinstance(found, type) and issubclass(found, Policy)):
        raise ConfigError([f"--policy: {target!r} is no subclass of smg.policies.Policy"])
    if not isinstance(getattr(found, "name", None), str):
        raise ConfigError([f"--policy: {target!r} has no `name`"])
    return found


def build(name: str, ours: dict[str, str], context: PolicyContext) -> Policy:
    """An instance of the policy `name`. Raises ConfigError, whatever code of others raises."""
    kind = load(name, ours)
    try:
        return kind.create(context)
    except Exception as error:
        if name in ours or isinstance(error, ConfigError):
            raise
        raise _failed(f"cannot make a {name!r}", error) from error


def _failed(what: str, error: Exception) -> ConfigError:
    return ConfigError([f"--policy: {what}: {type(error).__name__}: {error}"])
