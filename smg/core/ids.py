"""Identifiers: UUIDv7 for things that live, cheap random suffixes for requests.

A request pays one list pop; random bytes are drawn and translated for many ids at once. Random
bytes map to 62 characters with a bias of 1/256 towards a few of them: 24 characters still carry
more than 140 bits.
"""

from __future__ import annotations

import os
import struct
import time

ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
REQUEST_SUFFIX_BYTES = 24

_TABLE = bytes(ALPHABET[value % len(ALPHABET)] for value in range(256))
_BATCH = 256  # ids drawn at once: about 20 microseconds, short enough to stay unseen in a loop turn
_SPLIT = struct.Struct(f"{REQUEST_SUFFIX_BYTES}s" * _BATCH)  # cuts in C: a third of a slicing loop
_pool: list[bytes] = []

# A forked child must not hand out its parent's ids.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.clear)


def random_suffix(length: int) -> str:
    """`length` random characters of [A-Za-z0-9]."""
    return os.urandom(length).translate(_TABLE).decode("ascii")


def request_suffix() -> bytes:
    """24 random bytes of [A-Za-z0-9]; about 100 ns."""
    try:
        return _pool.pop()
    except IndexError:
        # Local first: another thread may empty the shared list between two statements.
        first, *rest = _SPLIT.unpack(os.urandom(_SPLIT.size).translate(_TABLE))
        _pool.extend(rest)
        return bytes(first)


def uuid7() -> str:
    """A time-ordered UUID (RFC 9562, version 7): milliseconds, then 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    random_bits = int.from_bytes(os.urandom(10), "big")
    value = (milliseconds & 0xFFFF_FFFF_FFFF) << 80
    value |= 0x7 << 76
    value |= ((random_bits >> 62) & 0xFFF) << 64
    value |= 0x2 << 62
    value |= random_bits & 0x3FFF_FFFF_FFFF_FFFF
    digits = f"{value:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def is_uuid(text: str) -> bool:
    """Whether `text` has the canonical 8-4-4-4-12 form, in either case."""
    groups = text.split("-")
    return [len(group) for group in groups] == [8, 4, 4, 4, 12] and all(
        character in "0123456789abcdefABCDEF" for group in groups for character in group
    )
