"""Small changes to a JSON object, made in its bytes.

Whatever is not changed keeps its bytes, so no number is widened and no unknown key lost (traps 1
and 2), however large an integer is or however often a key is repeated. All functions expect an
object that orjson has accepted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

import orjson

from smg.protocols.body import CheckedBody

_SPACE = re.compile(rb"[ \t\n\r]*")
_SCALAR = re.compile(rb"[^,\]} \t\n\r]+")
_STRUCTURE = re.compile(rb'["{}\[\]]')
_WHITESPACE = b" \t\n\r"
_QUOTE, _BACKSLASH, _OPEN, _COMMA = b'"\\{,'


class Member(NamedTuple):
    """Where one member of an object lies; `start` is the opening quote of its key."""

    key: str
    start: int
    value: int
    end: int


def add_field(raw: bytes, key: str, value: bytes) -> bytes:
    """`raw` with one more member at its end; `value` is JSON. One copy, no scan.

    A member of that name that is already there stays, and the new one wins as the last; use `edit`
    to replace it.
    """
    return add_members(raw, orjson.dumps(key) + b":" + value)


def add_members(raw: bytes, members: bytes) -> bytes:
    """`raw` with `members` (JSON text such as `"a":1,"b":2`, not empty) at its end."""
    # Only white space follows the last "}", and a "{" right before it can only be the object's own.
    end = raw.rfind(b"}")
    before = end - 1
    while raw[before] in _WHITESPACE:
        before -= 1
    comma = b"" if raw[before] == _OPEN else b","
    view = memoryview(raw)
    return b"".join((view[:end], comma, members, view[end:]))


def replace_model(body: CheckedBody, model: str) -> bytes:
    """The body's bytes with another `model`; never added where there is none."""
    if "model" not in body.data:
        return body.raw
    return _replace(body.raw, "model", orjson.dumps(model))


def set_field(body: CheckedBody, key: str, value: bytes) -> bytes:
    """The body's bytes with the member `key` set to `value` (JSON), whether it was there or not."""
    if key not in body.data:
        return add_field(body.raw, key, value)
    return _replace(body.raw, key, value)


def _replace(raw: bytes, key: str, value: bytes) -> bytes:
    """Another value for a member that is there. Of a repeated key one is left."""
    # A key of the object always matches, nested keys and strings can only add matches: a single
    # match is the member.
    places = [match.end() for match in _key_pattern(key).finditer(raw)]
    if len(places) > 1:
        walk = members(raw, _SPACE.match(raw).end())  # type: ignore[union-attr]
        places = [member.value for member in walk if member.key == key]
    if len(places) != 1:
        return edit(raw, {key: value})
    start = places[0]
    view = memoryview(raw)
    return b"".join((view[:start], value, view[value_end(raw, start) :]))


def edit(raw: bytes, changes: Mapping[str, bytes | None]) -> bytes:
    """Sets members to JSON values or removes them (None). Walks the object: for rare changes only.

    A changed key is written once, where its last occurrence was, or at the end if it is new.
    """
    found = list(members(raw, _SPACE.match(raw).end()))  # type: ignore[union-attr]
    last = {member.key: member for member in found}
    pieces: list[bytes] = []
    for member in found:
        if member.key not in changes:
            pieces.append(raw[member.start : member.end])
            continue
        value = changes[member.key]
        if value is not None and last[member.key] is member:
            pieces.append(raw[member.start : member.value] + value)
    for key, value in changes.items():
        if value is not None and key not in last:
            pieces.append(orjson.dumps(key) + b":" + value)
    return b"{" + b",".join(pieces) + b"}"


def member_value(raw: bytes, key: str) -> bytes:
    """The bytes of a member's value, `null` if there is none; of repeated keys the last counts."""
    found = b"null"
    for member in members(raw, _SPACE.match(raw).end()):  # type: ignore[union-attr]
        if member.key == key:
            found = raw[member.value : member.end]
    return found


def array_items(raw: bytes) -> list[bytes]:
    """The bytes of each item of an array."""
    found: list[bytes] = []
    at = _skip(raw, _skip(raw, 0) + 1)
    while raw[at : at + 1] not in (b"]", b""):
        end = value_end(raw, at)
        found.append(raw[at:end])
        at = _skip(raw, end)
        if raw[at : at + 1] == b",":
            at = _skip(raw, at + 1)
    return found


def members(raw: bytes, start: int) -> Iterator[Member]:
    """The members of the object that opens at `start`, repeated keys included."""
    at = _skip(raw, start + 1)
    while raw[at] == _QUOTE:
        key_end = _string_end(raw, at)
        value = _skip(raw, _skip(raw, key_end) + 1)
        end = value_end(raw, value)
        yield Member(orjson.loads(raw[at:key_end]), at, value, end)
        at = _skip(raw, end)
        if raw[at] != _COMMA:
            return
        at = _skip(raw, at + 1)


def value_end(raw: bytes, start: int) -> int:
    """The index after the value that begins at `start`. No recursion: clients choose the depth."""
    first = raw[start]
    if first == _QUOTE:
        return _string_end(raw, start)
    if first not in b"{[":
        return _SCALAR.match(raw, start).end()  # type: ignore[union-attr]
    depth, at = 0, start
    while True:
        at = _STRUCTURE.search(raw, at).start()  # type: ignore[union-attr]
        byte = raw[at]
        if byte == _QUOTE:
            at = _string_end(raw, at)
            continue
        at += 1
        depth += 1 if byte in b"{[" else -1
        if depth == 0:
            return at


def _string_end(raw: bytes, start: int) -> int:
    at = start
    while True:
        at = raw.index(b'"', at + 1)
        back = at - 1
        while raw[back] == _BACKSLASH:
            back -= 1
        if (at - back) % 2:  # an even number of backslashes before it: it closes
            return at + 1


def _skip(raw: bytes, at: int) -> int:
    return _SPACE.match(raw, at).end()  # type: ignore[union-attr]


@lru_cache(maxsize=16)
def _key_pattern(key: str) -> re.Pattern[bytes]:
    """A key with its colon, in any spelling: JSON may write each letter as an escape."""
    letters = []
    for letter in key:
        code = f"{ord(letter):04x}"
        escape = "".join(f"[{c}{c.upper()}]" if c.isalpha() else c for c in code)
        letters.append(rf"(?:{re.escape(letter)}|\\u{escape})")
    return re.compile(('"' + "".join(letters) + r'"[ \t\n\r]*:[ \t\n\r]*').encode())
