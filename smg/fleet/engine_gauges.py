"""The engines' load as gauges of ours, with `--engine-metrics` (operations 1.5 and 1.6).

A series exists as long as the last report has its figure.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smg.observability.families import GatewayMetrics
    from smg.observability.metrics import GaugeFamily
    from smg.workers import LoadReport, RankLoad, Worker

Series = tuple["GaugeFamily", tuple[str, ...]]


class EngineGauges:
    """The series of all workers, by worker URL."""

    def __init__(
        self, metrics: GatewayMetrics, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._metrics = metrics
        self._clock = clock
        self._series: dict[str, set[Series]] = {}

    def show(self, worker: Worker, report: LoadReport) -> None:
        """Replace what is shown of `worker`."""
        model = self._metrics.models.admit(worker.model_ids[0])
        shown: set[Series] = set()
        for rank in report.ranks:
            number = str(rank.dp_rank)
            for family, value in self._of_any(rank):
                self._set(shown, family, (worker.url, model, number), value)
            for family, value in self._of_disaggregated(rank):
                self._set(shown, family, (worker.url, worker.worker_type, number), value)
        read = self._clock()
        age = self._metrics.engine_report_age
        age.track((worker.url,), lambda: self._clock() - read)
        shown.add((age, (worker.url,)))
        self._remove(self._series.get(worker.url, set()) - shown)
        self._series[worker.url] = shown

    def hide(self, url: str) -> None:
        """Show nothing of a worker any more."""
        self._remove(self._series.pop(url, set()))

    def _of_any(self, rank: RankLoad) -> Iterator[tuple[GaugeFamily, float | None]]:
        metrics = self._metrics
        yield metrics.engine_running_requests, rank.running_requests
        yield metrics.engine_waiting_requests, rank.waiting_requests
        yield metrics.engine_token_usage, rank.token_usage
        yield metrics.engine_gen_throughput, rank.gen_throughput
        yield metrics.engine_cache_hit_rate, rank.cache_hit_rate

    def _of_disaggregated(self, rank: RankLoad) -> Iterator[tuple[GaugeFamily, float | None]]:
        metrics = self._metrics
        yield metrics.engine_pd_kv_transfer_latency, rank.kv_transfer_latency_ms
        yield metrics.engine_pd_kv_transfer_speed, rank.kv_transfer_speed_gb_s
        yield metrics.engine_pd_prefill_queue, rank.prefill_queue_requests
        yield metrics.engine_pd_decode_queue, rank.decode_queue_requests

    def _set(
        self, shown: set[Series], family: GaugeFamily, labels: tuple[str, ...], value: float | None
    ) -> None:
        if value is not None:
            family.labels(*labels).set(value)
            shown.add((family, labels))

    def _remove(self, series: set[Series]) -> None:
        for family, labels in series:
            family.remove(*labels)
