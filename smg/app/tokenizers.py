"""Tokenizers and parsers of one gateway: registry, threads, handlers, and what metrics show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smg.endpoints.parse import ParseHandlers
from smg.endpoints.tokenize import Tokenization, TokenizerLookup
from smg.endpoints.tokenizers import TokenizerHandlers
from smg.fleet.tokenizers import TokenizerService
from smg.tokenization.encode_cache import CacheLimits
from smg.tokenization.loader import Source
from smg.tokenization.pool import EncodePool
from smg.tokenization.registry import TokenizerRegistry

if TYPE_CHECKING:
    from collections.abc import Callable

    from smg.config.settings import RouterConfig
    from smg.fleet.jobs import JobQueue
    from smg.observability.families import GatewayMetrics
    from smg.observability.metrics import CounterFamily, GaugeFamily
    from smg.tokenization.encode_cache import CacheStats
    from smg.tokenization.registry import Entry
    from smg.workers import WorkerRegistry


class Tokenizers:
    """See the module."""

    def __init__(
        self,
        config: RouterConfig,
        workers: WorkerRegistry,
        jobs: JobQueue,
        metrics: GatewayMetrics,
    ) -> None:
        self._source = None if config.disable_tokenizer_autoload else start_source(config)
        self.registry = TokenizerRegistry(cache_limits(config))
        self.pool = EncodePool()
        self.service = TokenizerService(self.registry, jobs)
        default = None if self._source is None else self._source.path
        lookup = TokenizerLookup(self.registry, workers, default)
        self.tokenization = Tokenization(lookup, self.pool)
        self.handlers = TokenizerHandlers(self.service)
        self.parse = ParseHandlers(self.pool, config.tool_call_parser, config.reasoning_parser)
        self.registry.subscribe(CacheMetrics(metrics, self.registry.limits).changed)

    def start(self) -> None:
        """Begin to load the tokenizer that the settings name."""
        if self._source is not None:
            self.service.start(self._source)

    async def close(self) -> None:
        """End loads and threads; nobody may ask for anything any more."""
        await self.registry.close()
        self.pool.close()


class CacheMetrics:
    """The caches of every loaded tokenizer, read when metrics are; a cache that is off has none."""

    def __init__(self, metrics: GatewayMetrics, limits: CacheLimits) -> None:
        rows: list[tuple[CounterFamily | GaugeFamily, Callable[[CacheStats], int]]] = []
        if limits.l0:
            rows += [
                (metrics.tokenizer_cache_l0_hits, lambda stats: stats.l0_hits),
                (metrics.tokenizer_cache_l0_misses, lambda stats: stats.l0_misses),
                (metrics.tokenizer_cache_l0_entries, lambda stats: stats.l0_entries),
            ]
        if limits.l1:
            rows += [
                (metrics.tokenizer_cache_l1_hits, lambda stats: stats.l1_hits),
                (metrics.tokenizer_cache_l1_misses, lambda stats: stats.l1_misses),
                (metrics.tokenizer_cache_l1_memory, lambda stats: stats.l1_bytes),
            ]
        self._rows = rows

    def changed(self, entry: Entry, came: bool) -> None:
        """A tokenizer came or went."""
        for family, number in self._rows:
            if came:
                family.track((entry.name,), _reader(entry, number))
            else:
                family.remove(entry.name)


def _reader(entry: Entry, number: Callable[[CacheStats], int]) -> Callable[[], float]:
    return lambda: float(number(entry.tokenizer.stats))


def start_source(config: RouterConfig) -> Source | None:
    """What the settings name: `--tokenizer-path`, else `--model-path`."""
    path = config.tokenizer_path or config.model_path
    return Source(path, config.chat_template) if path else None


def cache_limits(config: RouterConfig) -> CacheLimits:
    """The caches of every tokenizer."""
    return CacheLimits(
        l0=config.tokenizer_cache_enable_l0,
        l0_entries=config.tokenizer_cache_l0_max_entries,
        l0_bytes=config.tokenizer_cache_l0_max_memory,
        l1=config.tokenizer_cache_enable_l1,
        l1_bytes=config.tokenizer_cache_l1_max_memory,
    )
