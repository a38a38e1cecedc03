"""Readers of JSON fields: each takes a parsed value and the field's name, and gives the value to
keep, or raises `Wrong` with the rule that is broken.

Null never reaches a reader: it means that the field is absent. An object's reader goes on after a
wrong field, so that one answer names them all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from smg.protocols.body import shown

Reader = Callable[[Any, str], Any]

U16 = (1 << 16) - 1
U32 = (1 << 32) - 1
I64 = (1 << 63) - 1

#: problems that one message names; the rest are counted
_SHOWN = 8
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_TOKEN = re.compile(r"[\x21-\x7e]+")


class Wrong(Exception):
    """Values that break rules; `problems` has a line for each, which starts with the field."""

    def __init__(self, *problems: str) -> None:
        super().__init__(*problems)
        self.problems = problems

    def __str__(self) -> str:
        more = len(self.problems) - _SHOWN
        told = "; ".join(self.problems[:_SHOWN])
        return f"{told}; and {more} more" if more > 0 else told


def boolean(value: Any, name: str) -> bool:
    """True or false."""
    if value is True or value is False:
        return bool(value)
    raise Wrong(f"{name}: must be true or false, not {shown(value)}")


def integer(low: int, high: int) -> Reader:
    """An integer within the bounds, both included; 5.0 is none."""

    def read(value: Any, name: str) -> int:
        if value.__class__ is int and low <= value <= high:
            return int(value)
        raise Wrong(f"{name}: must be an integer between {low} and {high}, not {shown(value)}")

    return read


def number(low: float, high: float, *, above: bool = False) -> Reader:
    """A number within the bounds, as a float; `above` leaves the lower bound itself out."""
    check = _within(low, high, above)

    def read(value: Any, name: str) -> float:
        check(value, name)
        return float(value)

    return read


def seconds(high: float, *, above: bool = False) -> Reader:
    """A time of 0 to `high` seconds, `above`: more than 0. Whole seconds stay integers: clients
    that read the answer into an integer could not read 5.0.
    """
    check = _within(0, high, above)

    def read(value: Any, name: str) -> float:
        check(value, name)
        kept: float = value
        return kept

    return read


def _within(low: float, high: float, above: bool) -> Callable[[Any, str], None]:
    bounds = f"above {low} and at most {high}" if above else f"between {low} and {high}"

    def check(value: Any, name: str) -> None:
        is_number = value.__class__ is int or value.__class__ is float
        if not is_number or not low <= value <= high or (above and value == low):
            raise Wrong(f"{name}: must be a number {bounds}, not {shown(value)}")

    return check


def text(longest: int, *, lines: bool = False) -> Reader:
    """A string of at most `longest` characters that is not blank; control characters only with
    `lines`.
    """

    def read(value: Any, name: str) -> str:
        if value.__class__ is not str:
            raise Wrong(f"{name}: must be a string, not {shown(value)}")
        if not value.strip():
            raise Wrong(f"{name}: must not be empty")
        if len(value) > longest:
            raise Wrong(f"{name}: must have at most {longest} characters, not {len(value)}")
        if not lines and _CONTROL.search(value):
            raise Wrong(f"{name}: must not have control characters")
        return str(value)

    return read


def secret(longest: int) -> Reader:
    """A string for the value of a header; the problem never shows it."""

    def read(value: Any, name: str) -> str:
        if value.__class__ is str and len(value) <= longest and _TOKEN.fullmatch(value):
            return str(value)
        raise Wrong(
            f"{name}: must be a string of 1 to {longest} printable ASCII characters without spaces"
        )

    return read


def choice(allowed: Sequence[str], aliases: Mapping[str, str] | None = None) -> Reader:
    """One of the names, or an alias of one."""
    known = dict(aliases or {})

    def read(value: Any, name: str) -> str:
        found = known.get(value, value) if value.__class__ is str else None
        if found not in allowed:
            raise Wrong(f"{name}: must be one of {', '.join(allowed)}, not {shown(value)}")
        return str(found)

    return read


def array(reader: Reader, most: int) -> Reader:
    """An array of at most `most` different values, as a tuple."""

    def read(value: Any, name: str) -> tuple[Any, ...]:
        if value.__class__ is not list:
            raise Wrong(f"{name}: must be an array, not {shown(value)}")
        if len(value) > most:
            raise Wrong(f"{name}: must have at most {most} entries, not {len(value)}")
        kept: list[Any] = []
        problems: list[str] = []
        for index, item in enumerate(value):
            try:
                found = reader(item, f"{name}[{index}]")
            except Wrong as wrong:
                problems += wrong.problems
                continue
            if found in kept:
                problems.append(f"{name}[{index}]: is given twice: {shown(item)}")
            kept.append(found)
        if problems:
            raise Wrong(*problems)
        return tuple(kept)

    return read


def string_map(most: int, longest: int) -> Reader:
    """An object of at most `most` strings of up to `longest` characters each; they may be empty,
    their names may not.
    """
    check_key = text(longest)

    def read(value: Any, name: str) -> dict[str, str]:
        if value.__class__ is not dict:
            raise Wrong(f"{name}: must be an object of strings, not {shown(value)}")
        if len(value) > most:
            raise Wrong(f"{name}: must have at most {most} entries, not {len(value)}")
        problems: list[str] = []
        for key, item in value.items():
            try:
                check_key(key, f"{name}: a name in it")
            except Wrong as wrong:
                problems += wrong.problems
                continue
            if item.__class__ is not str:
                problems.append(f"{name}: {shown(key)} must be a string, not {shown(item)}")
            elif len(item) > longest:
                problems.append(f"{name}: {shown(key)} must have at most {longest} characters")
        if problems:
            raise Wrong(*problems)
        return dict(value)

    return read


def members(
    readers: Mapping[str, Reader], value: Any, name: str, *, required: Sequence[str] = ()
) -> dict[str, Any]:
    """The fields of an object that are given and known, read; unknown ones are ignored. `name` is
    empty for the body itself.
    """
    if value.__class__ is not dict:
        raise Wrong(f"{name}: must be an object, not {shown(value)}")
    kept: dict[str, Any] = {}
    problems: list[str] = []
    prefix = f"{name}." if name else ""
    for field, reader in readers.items():
        given = value.get(field)
        if given is None:
            if field in required:
                problems.append(f"{prefix}{field}: is required")
            continue
        try:
            kept[field] = reader(given, prefix + field)
        except Wrong as wrong:
            problems += wrong.problems
    if problems:
        raise Wrong(*problems)
    return kept


def struct(kind: Callable[..., Any], readers: Mapping[str, Reader]) -> Reader:
    """An object as a value of `kind`, whose fields have the same names."""

    def read(value: Any, name: str) -> Any:
        return kind(**members(readers, value, name))

    return read
