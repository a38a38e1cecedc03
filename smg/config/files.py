"""`--config FILE`: reads YAML, JSON or TOML into values of flags (cli 13.1).

Keys are flag names without dashes in front, with `-` or `_`; aliases work. `workers` is a list of
`{url: ...}`. Every mistake becomes one problem line; nothing is skipped silently.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smg.config.flags import BY_NAME
from smg.config.grammar import UsageError

EXTENSIONS = (".yaml", ".yml", ".json", ".toml")


@dataclass(slots=True)
class FileSettings:
    """What a file said: values by field name.

    The names of fields not available yet, and what was wrong.
    """

    values: dict[str, Any] = field(default_factory=dict)
    workers: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class _Unreadable(Exception):
    """The file is no settings file; the text says why, without quoting it."""


def read_file(path: str) -> FileSettings:
    """Read a settings file.

    A foreign extension is a usage error; all else is reported in `problems`.
    """
    settings = FileSettings()
    suffix = Path(path).suffix.lower()
    if suffix not in EXTENSIONS:
        raise UsageError(f"--config: {path}: must end in {', '.join(EXTENSIONS)}")
    try:
        text = Path(path).read_text(encoding="utf-8")
        entries = _PARSERS[suffix](text)
    except OSError as error:
        settings.problems.append(f"--config: {path}: {error.strerror or 'cannot be read'}")
    except UnicodeDecodeError:
        settings.problems.append(f"--config: {path}: is not UTF-8 text")
    except _Unreadable as error:
        settings.problems.append(f"--config: {path}: {error}")
    else:
        _collect(path, entries, settings)
        _check_mode(path, settings)
    return settings


def yaml_file(path: str) -> Any:
    """What the YAML file that a flag names says, as plain data; None if it is empty. ValueError
    says what is wrong with it, without quoting it.
    """
    try:
        return _load_yaml(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(error.strerror or "cannot be read") from None
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None
    except _Unreadable as error:
        raise ValueError(str(error)) from None


def _collect(path: str, entries: Iterable[tuple[Any, Any]], settings: FileSettings) -> None:
    seen: set[str] = set()

    def problem(key: object, text: str) -> None:
        settings.problems.append(f"--config: {path}: {key}: {text}")

    for key, value in entries:
        name = str(key).replace("_", "-")
        flag = BY_NAME.get(name)
        if name == "workers":
            if name in seen:
                problem(key, "given twice")
            seen.add(name)
            _collect_workers(value, settings, problem)
        elif flag is None or name == "config":
            problem(key, "unknown key; allowed are the names of flags, and workers")
        elif flag.name in seen:
            problem(key, "given twice" if name == flag.name else f"given twice (as {flag.name})")
        else:
            seen.add(flag.name)
            if not flag.available:
                settings.values[flag.field] = None  # refused with the reason, whatever the value
                continue
            try:
                settings.values[flag.field] = _no_null(value, flag.kind.accept)
            except ValueError as error:
                problem(key, str(error))


def _no_null(value: Any, accept: Callable[[Any], Any]) -> Any:
    # `api-key:` with nothing after it is more likely an unfilled template than a wish for no key.
    if value is None:
        raise ValueError("has no value")
    return accept(value)


def _collect_workers(
    value: Any, settings: FileSettings, problem: Callable[[object, str], None]
) -> None:
    if not isinstance(value, list):
        problem("workers", "must be a list of {url: ...}")
        return
    for number, spec in enumerate(value, 1):
        if not isinstance(spec, dict) or not isinstance(spec.get("url"), str):
            problem("workers", f"entry {number}: must be {{url: ...}}")
            continue
        for key in spec.keys() - {"url"}:
            problem("workers", f"entry {number}: {key}: not available yet (worker API)")
        settings.workers.append(spec["url"])


def _check_mode(path: str, settings: FileSettings) -> None:
    """A file that holds a secret should not be readable by everybody."""
    secrets = [BY_NAME[name.replace("_", "-")].secret for name in settings.values]
    if os.name == "posix" and any(secrets) and Path(path).stat().st_mode & stat.S_IROTH:
        settings.warnings.append(
            f"--config: {path}: holds a secret and is readable by every user (chmod o-r)"
        )


def _read_yaml(text: str) -> Iterable[tuple[Any, Any]]:
    content = _load_yaml(text)
    return _mapping({} if content is None else content)


def _load_yaml(text: str) -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        """Refuses repeated keys, which YAML libraries resolve silently to the last."""

    def mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
        loader.flatten_mapping(node)
        pairs = [
            (_plain_key(loader.construct_object(key)), loader.construct_object(value, deep=True))
            for key, value in node.value
        ]
        return _unique(pairs)

    Loader.add_constructor("tag:yaml.org,2002:map", mapping)
    try:
        return yaml.load(text, Loader)
    except yaml.MarkedYAMLError as error:
        # Only where and what: the library's own text quotes the line, which may hold a key.
        line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise _Unreadable(f"is not valid YAML{line}") from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise _Unreadable("is not valid YAML") from None


def _read_json(text: str) -> Iterable[tuple[Any, Any]]:
    try:
        content = json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise _Unreadable(f"is not valid JSON in line {error.lineno}: {error.msg}") from None
    except (ValueError, RecursionError):
        raise _Unreadable("is not valid JSON") from None
    return _mapping(content)


def _read_toml(text: str) -> Iterable[tuple[Any, Any]]:
    import sys

    # mypy follows only the branch of the version it checks for.
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        # Repeated keys end here too. The library quotes keys and characters, never values.
        raise _Unreadable(f"is not valid TOML: {error}") from None
    return _mapping(content)


def _plain_key(key: Any) -> str:
    if not isinstance(key, str):
        raise _Unreadable(f"key {key!r} must be a text")
    return key


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys: set[str] = set()
    for key, _ in pairs:
        if key in keys:
            raise _Unreadable(f"key {key} is given twice")
        keys.add(key)
    return dict(pairs)


def _mapping(content: Any) -> Iterable[tuple[Any, Any]]:
    if not isinstance(content, dict):
        raise _Unreadable("must be a mapping of flag names to values")
    return content.items()


_PARSERS: dict[str, Callable[[str], Iterable[tuple[Any, Any]]]] = {
    ".yaml": _read_yaml,
    ".yml": _read_yaml,
    ".json": _read_json,
    ".toml": _read_toml,
}
