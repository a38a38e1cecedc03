"""Leaves workers out that report too much work, until a report says otherwise.

Follows what the load monitor publishes; a worker whose report is lost is not kept from working.
Flagged workers are missing in the prepared candidates, so a request pays nothing for this. Rules:
routing-reliability 22.
"""

from __future__ import annotations

import logging

from smg.observability.families import GatewayMetrics
from smg.reliability.overload import OverloadSettings
from smg.workers import LoadReport, LoadReports, Worker, WorkerEvent, WorkerRegistry
from smg.workers.spec import OverloadSpec

log = logging.getLogger(__name__)

_NOTHING_OF_ITS_OWN = OverloadSpec()


class OverloadWatch:
    """Follows registry and reports until `close()`. `settings` are for all workers; a worker's spec
    changes them for itself, and may switch the protection on for it alone.
    """

    def __init__(
        self,
        registry: WorkerRegistry,
        reports: LoadReports,
        settings: OverloadSettings,
        metrics: GatewayMetrics,
    ) -> None:
        self._registry = registry
        self._reports = reports
        self._settings = settings
        self._metrics = metrics
        self._shown: set[str] = set()
        self._own = {worker.id for worker in registry.all() if _has_own(worker)}
        self._closers = (registry.subscribe(self._on_event), reports.subscribe(self._on_reports))

    def close(self) -> None:
        """Flags stay as they are."""
        for unsubscribe in self._closers:
            unsubscribe()

    @property
    def needed(self) -> bool:
        """Whether any worker can be found to be overloaded, so that reports are wanted."""
        return bool(self._own) or self._settings != OverloadSettings()

    def configure(self, settings: OverloadSettings) -> None:
        """Other limits for all workers, from now on."""
        self._settings = settings
        for worker in self._registry.all():
            self._judge(worker)

    def _on_event(self, event: WorkerEvent) -> None:
        if event.kind == "status":
            return  # a worker that is not ready loses its report
        worker = event.worker
        if event.kind != "removed" and _has_own(worker):
            self._own.add(worker.id)
        else:
            self._own.discard(worker.id)
        if event.kind == "changed":
            self._judge(worker)
        if self._shown:
            self._show()

    def _on_reports(self, renewed: frozenset[str]) -> None:
        if not self.needed:
            return
        for worker in self._registry.all():
            if worker.overloaded or worker.url in renewed:
                self._judge(worker)

    def _judge(self, worker: Worker) -> None:
        report = self._reports.get(worker.url)
        overloaded = report is not None and self._says_too_much(worker, report)
        if overloaded == worker.overloaded:
            return
        worker.overloaded = overloaded
        self._registry.availability_changed(worker)
        self._show()
        if overloaded:
            log.warning("worker %s is overloaded: it gets no new requests", worker.url)
        else:
            log.info("worker %s is not overloaded any more", worker.url)

    def _says_too_much(self, worker: Worker, report: LoadReport) -> bool:
        settings = self._settings
        if _has_own(worker):
            settings = settings.merged(worker.spec.overload)
        return settings.overloaded(report.waiting_requests, report.token_usage)

    def _show(self) -> None:
        counts: dict[str, int] = {}
        for worker in self._registry.all():
            for model in worker.model_ids:
                label = self._metrics.models.admit(model)
                counts[label] = counts.get(label, 0) + worker.overloaded
        for label in self._shown - counts.keys():
            self._metrics.workers_overloaded.remove(label)
        for label, count in counts.items():
            self._metrics.workers_overloaded.labels(label).set(count)
        self._shown = set(counts)


def _has_own(worker: Worker) -> bool:
    return worker.spec.overload != _NOTHING_OF_ITS_OWN
