"""Between flags and `RouterArgs`: field names, argparse, and values in either direction (cli 12).

`RouterArgs` is the public Python face of the flag table and keeps names and shapes of its own:
selectors are dicts, PD workers are (url, port) pairs.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from smg.config import items
from smg.config.flags import TABLE
from smg.config.flags.row import Flag
from smg.config.help import grouped
from smg.config.kinds import Many

# Flags whose field has another name there.
RENAMED = {
    "decode": "decode_urls",
    "prefill": "prefill_urls",
    "encode": "encode_urls",
    "tls_cert_path": "server_cert_path",
    "tls_key_path": "server_key_path",
    "model_alias": "model_aliases",
    "eviction_interval": "eviction_interval_secs",
    "oracle_dsn": "oracle_connect_descriptor",
    "oracle_user": "oracle_username",
    "postgres_pool_max_size": "postgres_pool_max",
    "redis_pool_max_size": "redis_pool_max",
}

# RouterArgs field to row.
ARGUMENTS: dict[str, Flag] = {RENAMED.get(flag.field, flag.field): flag for flag in TABLE}


def add_flags(parser: argparse.ArgumentParser, prefix: str, exclude: Sequence[str] = ()) -> None:
    """Add every flag to an argparse parser, grouped.

    Values stay texts where `from_namespace` reads them.
    """
    for group, flags in grouped(flag for flag in TABLE if flag.name not in exclude):
        section = parser.add_argument_group(group)
        for flag in flags:
            section.add_argument(
                *(f"--{prefix}{name}" for name in flag.names), **_argparse_options(flag, prefix)
            )


def _argparse_options(flag: Flag, prefix: str) -> dict[str, Any]:
    kind = flag.kind
    text = flag.help.replace("%", "%%") if flag.available else argparse.SUPPRESS
    options: dict[str, Any] = {"dest": prefix.replace("-", "_") + flag.field, "help": text}
    if kind.is_switch:
        return {**options, "action": "store_true"}
    options["metavar"] = kind.label.split()[0]
    if isinstance(kind, Many):
        # None, not the default: argparse would extend the default itself.
        several: dict[str, Any] = {"nargs": "+" if kind.least else "*", "default": None}
        return {**options, **several, "action": "append" if kind.has_port else "extend"}
    return {**options, "default": flag.default, "type": _argparse_type(flag)}


def _argparse_type(flag: Flag) -> Any:
    """A reader whose errors argparse reports in its own words, without the value of a secret."""

    def read(text: str) -> Any:
        try:
            return flag.kind.parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read


def from_namespace(
    namespace: argparse.Namespace, readers: Mapping[str, Any], prefix: str
) -> dict[str, Any]:
    """RouterArgs values of a namespace. Missing attributes and None are left out."""
    values: dict[str, Any] = {}
    for name, flag in ARGUMENTS.items():
        value = getattr(namespace, prefix.replace("-", "_") + flag.field, None)
        if value is None:
            continue
        if name in readers:
            value = readers[name](value)
        elif isinstance(flag.kind, Many):
            value = [flag.kind.parse(item) if isinstance(item, str) else item for item in value]
        elif isinstance(value, tuple):
            value = list(value)
        values[name] = value
    return values


def from_tokens(given: Mapping[str, Any]) -> dict[str, Any]:
    """Values of the argument grammar (by flag field) as RouterArgs values."""
    return {
        name: _shaped(flag, given[flag.field])
        for name, flag in ARGUMENTS.items()
        if flag.field in given
    }


def _shaped(flag: Flag, value: Any) -> Any:
    if not isinstance(flag.kind, Many):
        return value
    if not flag.kind.maps:
        return list(value)
    pairs: dict[str, str] = {}
    for item in value:
        if isinstance(item, str):
            pairs.update(selector_pairs(item))
        else:
            pairs.update([item] if isinstance(item, tuple) else item)
    return pairs


def to_tokens(values: Mapping[str, Any], problems: list[str]) -> dict[str, Any]:
    """RouterArgs values as values by flag field; wrong types are added to `problems`."""
    given: dict[str, Any] = {}
    for name, value in values.items():
        flag = ARGUMENTS[name]
        if flag.available:
            try:
                value = flag.kind.accept(list(value) if isinstance(value, tuple) else value)
            except ValueError as error:
                problems.append(f"--{flag.name}: {error}")
                continue
        given[flag.field] = value
    return given


def selector_pairs(text: str) -> dict[str, str]:
    """Labels `k=v`, separated by blanks or commas."""
    pairs: dict[str, str] = {}
    for item in text.replace(",", " ").split():
        key, _, value = item.partition("=")
        if not key or not value or "=" in value:
            raise ValueError("a selector must be KEY=VALUE")
        pairs[key] = value
    return pairs


def urls_with_ports(values: Sequence[Any] | None) -> list[tuple[str, int | None]]:
    """`[["http://p:1", "8998"], ["http://q:1"]]` to pairs."""
    pairs: list[tuple[str, int | None]] = []
    for value in values or ():
        tokens = [value] if isinstance(value, str) else list(value)
        if not 1 <= len(tokens) <= 2:
            raise ValueError("must be URL [PORT]")
        port = (
            items.optional_port(str(tokens[1]))
            if len(tokens) == 2 and tokens[1] is not None
            else None
        )
        pairs.append((tokens[0], port))
    return pairs
