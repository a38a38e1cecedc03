"""What a policy may ask an index that the engines themselves keep up to date.

The routing trees guess from what was sent where. Engines that report which KV blocks they stored
and dropped allow to know; whoever follows those events (gRPC mode) implements this and hands it to
`CacheAware`. Rules: routing-reliability 5.3 and 8.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol


class PrefixIndex(Protocol):
    """Which worker holds how much of a prompt, as reported by the workers."""

    @property
    def block_size(self) -> int:
        """Tokens per block, as learned from the events."""
        ...

    def __bool__(self) -> bool:
        """Whether anything is known; while it is not, the routing tree is used."""
        ...

    def scores(self, tokens: Sequence[int]) -> Mapping[int, int]:
        """Leading whole blocks of `tokens` held, by worker slot; workers that hold none are left
        out.
        """
        ...
