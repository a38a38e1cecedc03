"""What engines said about their load, last time they were asked.

Written by the load monitor, read by policies. A report belongs to the address of one worker and is
dropped when a poll fails, so that nobody trusts an old one. Fields: routing-reliability 15.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RankLoad:
    """One data-parallel rank's figures; None = the engine does not say."""

    dp_rank: int = 0
    running_requests: int | None = None
    waiting_requests: int | None = None
    #: prompt tokens of waiting requests that no cache holds
    waiting_uncached_tokens: int | None = None
    used_tokens: int | None = None
    #: size of the KV cache in tokens; absolute figures are meaningful only if > 0
    max_tokens: int | None = None
    #: share of the KV cache in use, 0..1
    token_usage: float | None = None
    #: tokens per second
    gen_throughput: float | None = None
    cache_hit_rate: float | None = None
    utilization: float | None = None
    max_running_requests: int | None = None
    # Of disaggregated engines only.
    kv_transfer_latency_ms: float | None = None
    kv_transfer_speed_gb_s: float | None = None
    prefill_queue_requests: int | None = None
    decode_queue_requests: int | None = None


@dataclass(frozen=True, slots=True)
class LoadReport:
    """All ranks of one worker."""

    ranks: tuple[RankLoad, ...]
    source: str = ""  # "loads", "vllm", "sglang", "grpc"

    @property
    def waiting_requests(self) -> int | None:
        """Requests that wait in all ranks that say; None if none does."""
        waiting = [r.waiting_requests for r in self.ranks if r.waiting_requests is not None]
        return sum(waiting) if waiting else None

    @property
    def token_usage(self) -> float | None:
        """Mean share of the KV cache in use over the ranks that say, clamped to 0..1."""
        usages = [rank.token_usage for rank in self.ranks if rank.token_usage is not None]
        return min(1.0, max(0.0, sum(usages) / len(usages))) if usages else None


class LoadReports:
    """Reports by worker URL. `version` grows with every change, so prepared figures can be kept."""

    def __init__(self) -> None:
        self._reports: dict[str, LoadReport] = {}
        self._listeners: list[Callable[[frozenset[str]], None]] = []
        self.version = 0

    def get(self, url: str) -> LoadReport | None:
        """The last report of the worker at `url`, if its last poll succeeded."""
        return self._reports.get(url)

    def __len__(self) -> int:
        return len(self._reports)

    def __iter__(self) -> Iterator[str]:
        return iter(self._reports)

    def publish(self, fresh: Mapping[str, LoadReport], *, dropped: frozenset[str]) -> None:
        """Take over one round: `fresh` replaces, `dropped` (failed or gone) is forgotten."""
        for url in dropped:
            self._reports.pop(url, None)
        self._reports.update(fresh)
        self.version += 1
        renewed = frozenset(fresh)
        for listener in tuple(self._listeners):
            listener(renewed)

    def subscribe(self, listener: Callable[[frozenset[str]], None]) -> Callable[[], None]:
        """Call `listener` with the renewed URLs after every round, until the result is called."""
        self._listeners.append(listener)

        def unsubscribe() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return unsubscribe
