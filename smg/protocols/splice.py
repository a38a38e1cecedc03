"""Small changes to a JSON object, made in its bytes.

Whatever is not changed keeps its bytes, so no number is widened and no unknown key lost (traps 1
and 2), however large an integer is or however often a key is repeated. All functions expect an
object that orjson has accepted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import orjson

from smg._speedups.members import skip_space, spans, value_end
from smg.protocols.body import CheckedBody

_WHITESPACE = b" \t\n\r"
_OPEN = ord("{")


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


def known_value(raw: bytes, key: str) -> bytes:
    """The bytes of the value of a member that is there; of repeated keys the last counts."""
    start = _places(raw, key)[-1]
    return raw[start : value_end(raw, start)]


def _places(raw: bytes, key: str) -> list[int]:
    """Where the values of a member that is there begin."""
    return [member.value for member in members(raw) if member.key == key]


def _replace(raw: bytes, key: str, value: bytes) -> bytes:
    """Another value for a member that is there. Of a repeated key one is left."""
    places = _places(raw, key)
    if len(places) != 1:
        return edit(raw, {key: value})
    start = places[0]
    view = memoryview(raw)
    return b"".join((view[:start], value, view[value_end(raw, start) :]))


def set_fields(body: CheckedBody, changes: Mapping[str, bytes | None]) -> bytes:
    """The body's bytes with members set to JSON values, or removed (None)."""
    data, raw = body.data, body.raw
    there = [key for key in changes if key in data]
    if len(there) > 1 or (there and changes[there[0]] is None):
        return edit(raw, changes)
    added = [
        orjson.dumps(key) + b":" + value
        for key, value in changes.items()
        if value is not None and key not in there
    ]
    if there:
        value = changes[there[0]]
        assert value is not None
        raw = _replace(raw, there[0], value)
    return add_members(raw, b",".join(added)) if added else raw


def edit(raw: bytes, changes: Mapping[str, bytes | None]) -> bytes:
    """Sets members to JSON values or removes them (None). Walks the object: for rare changes only.

    A changed key is written once, where its last occurrence was, or at the end if it is new.
    """
    found = members(raw)
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
    for member in members(raw):
        if member.key == key:
            found = raw[member.value : member.end]
    return found


def array_items(raw: bytes) -> list[bytes]:
    """The bytes of each item of an array."""
    found: list[bytes] = []
    at = skip_space(raw, skip_space(raw, 0) + 1)
    while raw[at : at + 1] not in (b"]", b""):
        end = value_end(raw, at)
        found.append(raw[at:end])
        at = skip_space(raw, end)
        if raw[at : at + 1] == b",":
            at = skip_space(raw, at + 1)
    return found


def members(raw: bytes, start: int = 0) -> list[Member]:
    """The members of the object that opens at `start`, repeated keys included."""
    return [
        Member(_key(raw[key:key_end]), key, value, end)
        for key, key_end, value, end in spans(raw, start)
    ]


def _key(text: bytes) -> str:
    if b"\\" in text:
        key: str = orjson.loads(text)
        return key
    return text[1:-1].decode()
