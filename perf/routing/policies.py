"""Policies for the virtual driver: the gateway's own, or any class named `module:Class`.

The only place that knows how a policy is built, so that the rest does not mind when that changes.
"""

from __future__ import annotations

import importlib
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from smg.config.parse import parse
from smg.core.errors import ConfigError
from smg.policies import registry
from smg.policies.base import PolicyContext
from smg.workers import LoadReports, Worker


class UnknownPolicy(Exception):
    """Nobody has a policy of that name, or not for this; the message says which."""


class Chooser(Protocol):
    """The least a policy must do. What else of `smg.policies.base.Policy` it has is called too."""

    def select(self, workers: Sequence[Worker], view: Any) -> Worker | None: ...


@dataclass
class View:
    """A request as policies see it (`smg.policies.base.RoutingView`)."""

    prompt: str
    key: bytes | None = None
    now: float = 0.0  # seconds of the run
    model: str = "sim"
    ticket: int = 0  # what a policy notes for itself
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)

    @classmethod
    def of(cls, prompt: str, key: bytes | None, now: float) -> View:
        return cls(prompt, key, now, headers=[(b"x-smg-routing-key", key)] if key else [])

    def text(self) -> str:
        return self.prompt

    def tokens(self) -> Sequence[int] | None:
        return None

    def routing_key(self) -> bytes | None:
        return self.key

    def request_key(self) -> bytes | None:
        return None


def make_policy(
    name: str,
    *,
    flags: Mapping[str, str] | None = None,
    seed: int = 0,
    clock: Callable[[], float] = lambda: 0.0,
    leg: str = "single",
    reports: LoadReports | None = None,
) -> Chooser:
    """A fresh policy. `flags` are the gateway's (`cache-threshold`: "0.5") or, of a class named
    `module:Class`, its keyword arguments as numbers. `leg` and
    `reports` are those of `PolicyContext`.
    """
    if ":" in name:
        return _experiment(name, flags or {}, seed)
    if registry.canonical_name(name) is None:
        raise UnknownPolicy(f"{name} is not in smg.policies.registry")
    arguments = [word for flag, value in (flags or {}).items() for word in (f"--{flag}", value)]
    config = parse(["--worker-urls", "http://127.0.0.1:1", *arguments], {}).config
    context = PolicyContext(
        config=config,
        model="sim",
        leg=leg,
        random=random.Random(seed),
        clock=clock,
        reports=LoadReports() if reports is None else reports,  # an empty one is false
    )
    try:
        return registry.create(name, context)
    except ConfigError as problem:
        raise UnknownPolicy(str(problem)) from None


def _experiment(name: str, flags: Mapping[str, str], seed: int) -> Chooser:
    module, _, attribute = name.partition(":")
    try:
        made = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as problem:
        raise UnknownPolicy(f"{name}: {problem}") from None
    numbers = {flag.replace("-", "_"): float(value) for flag, value in flags.items()}
    chooser: Chooser = made(random=random.Random(seed), **numbers)
    return chooser
