"""From what was said to a `RouterConfig`: flag > environment variable > file > default (cli 7).

`parse` is the whole way for a command line. `resolve` is its second half, for callers that already
hold values: `smg serve`, `RouterArgs`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from smg.config import validate
from smg.config.files import FileSettings, read_file
from smg.config.flags import BY_FIELD, TABLE, options
from smg.config.flags.row import Flag
from smg.config.grammar import UsageError, read_tokens
from smg.config.kinds import Choice
from smg.config.settings import RouterConfig
from smg.core.errors import ConfigError

# `smg serve` has these flags without `router-`.
UNPREFIXED = ("host", "port", "worker_urls")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A valid configuration and what is worth a warning."""

    config: RouterConfig
    warnings: tuple[str, ...]


def parse(argv: Sequence[str], environ: Mapping[str, str] | None = None) -> Loaded:
    """Read router flags. Raises UsageError (exit 2) or ConfigError with every problem (exit 1)."""
    return resolve(read_tokens(argv, options()).values, environ)


def resolve(
    given: Mapping[str, Any], environ: Mapping[str, str] | None = None, *, prefix: str = ""
) -> Loaded:
    """Merge flag values (by field name) with environment and file, and validate.

    `environ` is the process's if None. `prefix` is `router-` in `smg serve`; problems then name the
    flags as they were typed there. Raises as `parse` does.
    """
    environ = os.environ if environ is None else environ
    path = given.get("config")
    file = read_file(path) if path is not None else FileSettings()
    found = list(file.problems)
    variables = dict(_from_environment(environ, given, found))
    values: dict[str, Any] = {**file.values, **variables, **given}

    def label(field: str) -> str:
        flag = BY_FIELD[field]
        if field in given:
            return f"--{'' if field in UNPREFIXED else prefix}{flag.name}"
        if field in variables:
            return f"--{flag.name} (from {flag.env})"
        return f"--{flag.name} (in {path})" if field in file.values else f"--{flag.name}"

    for field in list(values):
        if text := unavailable(BY_FIELD[field], values[field]):
            found.append(f"{label(field)}: {text}")
            del values[field]
    config = _config(values, file.workers)
    if text := validate.misplaced(config, values, label):
        raise UsageError(text)
    found += validate.problems(config, label)
    if found:
        raise ConfigError(found)
    notes = [*file.warnings, *_repeated(config), *validate.warnings(config, values, label)]
    return Loaded(_without_repeats(config), tuple(notes))


def unavailable(flag: Flag, value: Any) -> str | None:
    """What to say when this release has not built the flag, or the chosen value, yet."""
    if not flag.available:
        return f"not available yet ({flag.feature})"
    kind = flag.kind
    if isinstance(kind, Choice) and value in kind.later:
        return f"{value} is not available yet ({kind.later[value]}); have {', '.join(kind.names)}"
    return None


def _from_environment(
    environ: Mapping[str, str], given: Mapping[str, Any], found: list[str]
) -> Iterator[tuple[str, Any]]:
    """Values of available flags only.

    `REDIS_URL` in the environment may be meant for another program.
    """
    for flag in TABLE:
        # Empty counts as unset.
        if not flag.available or not flag.env or not (text := environ.get(flag.env)):
            continue
        if flag.field in given:
            continue
        try:
            value = flag.kind.variable(text)
        except ValueError as error:
            found.append(f"--{flag.name} (from {flag.env}): {error}")
        else:
            yield flag.field, value


def _config(values: Mapping[str, Any], workers: Sequence[str]) -> RouterConfig:
    merged = dict(values)
    if workers:
        merged["worker_urls"] = (*merged.get("worker_urls", ()), *workers)
    for field in ("request_id_headers", "forward_request_headers"):
        if field in merged:
            merged[field] = tuple(name.lower() for name in merged[field])
    return RouterConfig(**merged)


def _repeated(config: RouterConfig) -> Iterator[str]:
    urls = config.worker_urls
    for url in dict.fromkeys(url for url in urls if urls.count(url) > 1):
        yield f"--worker-urls: {url} is given more than once; it counts once"


def _without_repeats(config: RouterConfig) -> RouterConfig:
    urls = tuple(dict.fromkeys(config.worker_urls))
    return config if urls == config.worker_urls else replace(config, worker_urls=urls)
