"""Random bytes near valid ones: seeds are cut, joined, repeated and damaged."""

from __future__ import annotations

import random
from collections.abc import Sequence

INTERESTING = b"\r\n\0\t :;,.-0159afAFxX\x7f\x80\xff"


def mutate(rng: random.Random, seeds: Sequence[bytes], tokens: Sequence[bytes]) -> bytes:
    """One input. A few changes most of the time, pure noise now and then."""
    if rng.random() < 0.05:
        return rng.randbytes(rng.randrange(80))
    data = bytearray(rng.choice(seeds))
    for _ in range(int(rng.expovariate(0.5))):
        at = rng.randrange(len(data) + 1)
        end = min(len(data), at + rng.randrange(1, 12))
        change = rng.randrange(7)
        if change == 0:
            del data[at:end]
        elif change == 1:
            data[at:at] = rng.choice(tokens)
        elif change == 2:
            data[at:at] = bytes([rng.choice(INTERESTING)])
        elif change == 3 and at < len(data):
            data[at] = rng.choice(INTERESTING) if rng.random() < 0.7 else rng.randrange(256)
        elif change == 4:
            data[at:at] = data[at:end] * rng.randrange(1, 4)
        elif change == 5:
            data[at:] = rng.choice(seeds)[at:]
        else:
            data += rng.choice(seeds)
    return bytes(data)


def cut(rng: random.Random, data: bytes) -> list[bytes]:
    """`data` in pieces: whole, byte by byte, or at random places."""
    way = rng.randrange(3)
    if way == 0:
        return [data]
    if way == 1 and len(data) < 400:
        return [data[at : at + 1] for at in range(len(data))]
    edges = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randrange(6)))
    pieces = [data[a:b] for a, b in zip([0, *edges], [*edges, len(data)], strict=True)]
    return [piece for piece in pieces if piece]
