"""The prefix cache: LRU over blocks of prompt, as paged-attention engines keep it.

A block's key chains over the blocks before it, so a hit means that the whole prefix up to there is
cached.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

BLOCK_CHARACTERS = 64
CHARACTERS_PER_TOKEN = 4
BLOCK_TOKENS = BLOCK_CHARACTERS // CHARACTERS_PER_TOKEN


def block_keys(prompt: str | Sequence[int]) -> list[int]:
    """Chained keys of the full blocks of a prompt: 64 characters each, or 16 token ids each."""
    keys: list[int] = []
    key = 0
    if isinstance(prompt, str):
        for end in range(BLOCK_CHARACTERS, len(prompt) + 1, BLOCK_CHARACTERS):
            key = hash((key, prompt[end - BLOCK_CHARACTERS : end]))
            keys.append(key)
        return keys
    for end in range(BLOCK_TOKENS, len(prompt) + 1, BLOCK_TOKENS):
        key = hash((key, tuple(prompt[end - BLOCK_TOKENS : end])))
        keys.append(key)
    return keys


class PrefixCache:
    """Holds at most `capacity` blocks; 0 switches it off."""

    __slots__ = ("_blocks", "capacity", "hits", "misses")

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.hits = 0
        self.misses = 0
        self._blocks: OrderedDict[int, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._blocks)

    def use(self, prompt: str | Sequence[int]) -> int:
        """Number of leading tokens already cached; afterwards the whole prompt is cached."""
        if not self.capacity:
            return 0
        keys = block_keys(prompt)
        blocks = self._blocks
        cached = 0
        for key in keys:
            if key not in blocks:
                break
            cached += 1
        self.hits += cached
        self.misses += len(keys) - cached
        # From the last block to the first: the beginning of a prompt is shared most and
        # must leave last.
        for key in reversed(keys):
            blocks[key] = None
            blocks.move_to_end(key)
        while len(blocks) > self.capacity:
            blocks.popitem(last=False)
        return cached * BLOCK_TOKENS

    def clear(self) -> None:
        """Forget every block (`POST /flush_cache`); the counters stay."""
        self._blocks.clear()

    @property
    def hit_rate(self) -> float:
        """Share of blocks that were cached when asked for, 0..1."""
        asked = self.hits + self.misses
        return self.hits / asked if asked else 0.0
