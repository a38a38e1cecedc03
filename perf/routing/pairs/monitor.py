"""Load reports in virtual time: what the gateway's load monitor would hear of the engines.

All workers are asked at the start and then at every interval. Decode's memory is roomy, as in
`perf.routing.fleet`: usage of the KV cache says little here.
"""

from __future__ import annotations

from collections.abc import Mapping

from perf.routing.fleet import MEMORY_TOKENS
from perf.routing.model import WorkerModel
from perf.routing.pairs.model import DecodeModel
from perf.routing.users import Clock, Users
from smg.workers import LoadReport, LoadReports, RankLoad, Worker

#: the simulated engine's speed of speaking is counted anew no sooner
LEAST_SECONDS = 0.1


class Monitor:
    """Publishes to `reports`, while sessions go on."""

    def __init__(
        self,
        reports: LoadReports,
        clock: Clock,
        interval: float,
        readers: Mapping[Worker, WorkerModel],
        speakers: Mapping[Worker, DecodeModel],
    ) -> None:
        self.reports = reports
        self.interval = max(LEAST_SECONDS, interval)
        self._clock = clock
        self._readers = readers
        self._speakers = speakers
        self._said: dict[Worker, float] = {}

    def follow(self, users: Users) -> None:
        if users.over:
            return
        loads = {worker: self._of_prefill(worker, model) for worker, model in self._readers.items()}
        for worker, model in self._speakers.items():
            loads[worker] = self._of_decode(worker, model)
        fresh = {worker.url: LoadReport((load,), "loads") for worker, load in loads.items()}
        self.reports.publish(fresh, dropped=frozenset())
        self._clock.at(self._clock.now + self.interval, lambda: self.follow(users))

    def _of_prefill(self, worker: Worker, model: WorkerModel) -> RankLoad:
        now = self._clock.now
        backlog = max(0.0, model.prefill_free - now)
        return RankLoad(
            waiting_requests=model.unread(now),
            waiting_uncached_tokens=round(backlog / model.seconds_per_token),
            token_usage=0.0,
            gen_throughput=self._rate(worker, float(model.admitted - model.unread(now))),
        )

    def _of_decode(self, worker: Worker, model: DecodeModel) -> RankLoad:
        return RankLoad(
            waiting_requests=len(model.waiting),
            waiting_uncached_tokens=sum(speech.prompt_tokens for speech in model.waiting),
            token_usage=min(1.0, model.used_tokens / MEMORY_TOKENS),
            gen_throughput=self._rate(worker, model.batch.tokens_said),
        )

    def _rate(self, worker: Worker, said: float) -> float:
        """Tokens per second since the last question; a prefill worker says one per prompt."""
        before = self._said.get(worker, 0.0)
        self._said[worker] = said
        return (said - before) / self.interval
