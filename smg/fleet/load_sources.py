"""Asks a worker for its load, in whatever way its engine answers (routing-reliability 15).

First `/v1/loads`; a worker that has no such route is not asked for it again until it may have
become another engine. Then `/metrics`, under vLLM's names and SGLang's. Shared by the load monitor
and `GET /get_loads`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from smg.core.errors import GatewayError
from smg.fleet import load_formats
from smg.fleet.probe import Address, Fetcher, ask_json, describe, key_headers
from smg.workers import LoadReport, Worker, WorkerEvent, WorkerRegistry, WorkerStatus

LOADS_PATH = "/v1/loads?include=core,disagg,queues,memory"
METRICS_PATH = "/metrics"
ASK_SECS = 5.0
METRICS_BYTES = 4 << 20

#: answers of engines without `/v1/loads`
LACKING = (404, 405, 501)

_RANK = re.compile(r"@([0-9]{1,9})$")


@dataclass(frozen=True, slots=True)
class Said:
    """The outcome of a question: a report, or why there is none. `data` is the `/v1/loads` answer
    as it came, if that was the source.
    """

    report: LoadReport | None = None
    data: dict[str, Any] | None = None
    problem: str = ""


class LoadSources:
    """Remembers which of the registry's workers lack `/v1/loads`, until `close()`."""

    def __init__(self, registry: WorkerRegistry, fetcher: Fetcher) -> None:
        self._registry = registry
        self._fetcher = fetcher
        self._absent: dict[str, str] = {}  # worker id -> engine that it was then
        self.close = registry.subscribe(self._on_event)

    async def ask(self, worker: Worker) -> Said:
        """What `worker` says, within 5 seconds per source."""
        target = Address(worker.base_url, worker.api_key)
        problem = "no /v1/loads"
        if self._absent.get(worker.id) != worker.runtime:
            answer = await ask_json(self._fetcher, target, LOADS_PATH, timeout=ASK_SECS)
            if not answer.status:
                return Said(problem=answer.problem)
            entries = load_formats.native_ranks(answer.data)
            if entries:
                report = load_formats.native_report(entries)
                if report is not None:
                    return Said(report, answer.data)
            lacks = answer.status in LACKING or (answer.status == 200 and entries is None)
            if lacks and worker in self._registry:
                self._absent[worker.id] = worker.runtime
            problem = answer.problem or "/v1/loads tells nothing"
        return await self._ask_metrics(target, problem)

    async def _ask_metrics(self, target: Address, problem: str) -> Said:
        try:
            reply = await self._fetcher.fetch(
                target.url,
                "GET",
                METRICS_PATH,
                headers=key_headers(target),
                timeout=ASK_SECS,
                max_bytes=METRICS_BYTES,
            )
        except GatewayError as error:
            return Said(problem=f"{problem}; {METRICS_PATH}: {describe(error)}")
        if reply.status != 200:
            return Said(problem=f"{problem}; {METRICS_PATH} answered {reply.status}")
        samples = load_formats.samples(reply.body)
        report = load_formats.vllm_report(samples) or load_formats.sglang_report(samples)
        if report is None:
            return Said(problem=f"{problem}; {METRICS_PATH} has no known gauges")
        return Said(report)

    def _on_event(self, event: WorkerEvent) -> None:
        # Other models, or a worker that was away: perhaps another engine, or a newer one.
        back = event.kind == "status" and event.worker.status is WorkerStatus.READY
        if back or event.kind in ("removed", "models"):
            self._absent.pop(event.worker.id, None)


def base_url(url: str) -> str:
    """Where a worker is reached: its URL without the data-parallel rank."""
    return _RANK.sub("", url)


def own_report(url: str, report: LoadReport | None) -> LoadReport | None:
    """The part of the report of a base URL that is about the worker at `url`: all of it, or that of
    its rank. Metrics are of all ranks together, so a rank has no part in them.
    """
    match = _RANK.search(url)
    if match is None or report is None:
        return report
    if report.source != "loads":
        return None
    rank = int(match[1])
    own = [load for load in report.ranks if load.dp_rank == rank]
    return load_formats.made_of(own, report.source)
