"""Headers of traces that begin here, against a plain generator; the look at a caller's header."""

from __future__ import annotations

import pytest

from smg._speedups.trace_context import TraceIds, find_traceparent, is_unsampled
from smg.observability.tracing.context import parse

SEED = bytes(range(32))
ALL = 1 << 64
CALLER = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"


class Plain:
    """xoshiro256++ as its authors publish it."""

    def __init__(self, seed: bytes) -> None:
        self.state = [int.from_bytes(seed[at : at + 8], "little") for at in (0, 8, 16, 24)]

    def draw(self) -> int:
        s = self.state
        drawn = (self._rotated(s[0] + s[3], 23) + s[0]) % ALL
        shifted = (s[1] << 17) % ALL
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= shifted
        s[3] = self._rotated(s[3], 45)
        return drawn

    @staticmethod
    def _rotated(value: int, count: int) -> int:
        value %= ALL
        return (value << count | value >> (64 - count)) % ALL


@pytest.mark.parametrize("bound", [0, 1 << 62, ALL - 1, ALL, ALL << 1])
def test_ids_and_decisions(bound: int):
    ids, plain = TraceIds(SEED, bound), Plain(SEED)
    for _ in range(200):
        value = ids.traceparent()
        high, low, span = plain.draw(), plain.draw(), plain.draw()
        assert value == b"00-%016x%016x-%016x-%02x" % (high, low, span, low < bound)
        assert ids.sampled == (low < bound)
        assert is_unsampled(value) != ids.sampled


def test_no_id_is_all_zeros():
    seed = bytes(8) + b"\1" + bytes(23)
    assert Plain(seed).draw() == 0
    remote = parse(TraceIds(seed, 0).traceparent())
    assert remote is not None
    assert remote.trace_id >> 64


@pytest.mark.parametrize("seed", [b"", SEED[:-1], SEED + b"x", bytes(32)])
def test_seeds(seed: bytes):
    with pytest.raises(ValueError, match="32 bytes"):
        TraceIds(seed, 0)


def test_where_the_header_is():
    headers = [(b"host", b"a"), (b"traceparent", b"1"), (b"tracestatus", b"2")]
    assert find_traceparent(headers, 0) == 1
    assert find_traceparent(headers, 2) == -1
    assert find_traceparent([*headers, (b"traceparent", b"")], 2) == 3
    assert find_traceparent([], 0) == -1


@pytest.mark.parametrize(
    ("value", "unsampled"),
    [
        (CALLER, True),
        (CALLER[:-2] + b"02", True),
        (CALLER[:-2] + b"fa", True),
        (CALLER[:-2] + b"01", False),
        (CALLER[:-2] + b"0b", False),
        (CALLER[:-2] + b"0g", False),
        (b"01" + CALLER[2:], False),  # a later version: not the usual form
        (CALLER + b" ", False),
        (b"00-" + b"0" * 32 + CALLER[35:], False),
        (CALLER[:36] + b"0" * 16 + CALLER[52:], False),
        (CALLER.upper(), False),
        (b"", False),
    ],
)
def test_a_callers_header(value: bytes, unsampled: bool):
    assert is_unsampled(value) is unsampled
