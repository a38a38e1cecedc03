"""Worker model, registry, events and candidate selection; state only."""

from __future__ import annotations

from smg.workers.group import ModelGroup
from smg.workers.model import UNKNOWN_MODEL, Worker, WorkerStatus
from smg.workers.registry import DuplicateWorker, WorkerEvent, WorkerRegistry
from smg.workers.reports import LoadReport, LoadReports, RankLoad
from smg.workers.selection import candidates, is_available, model_not_found, no_available_workers
from smg.workers.spec import ModelCard, WorkerPatch, WorkerSpec
from smg.workers.url import WorkerAddress, parse_worker_url

__all__ = [
    "UNKNOWN_MODEL",
    "DuplicateWorker",
    "LoadReport",
    "LoadReports",
    "ModelCard",
    "ModelGroup",
    "RankLoad",
    "Worker",
    "WorkerAddress",
    "WorkerEvent",
    "WorkerPatch",
    "WorkerRegistry",
    "WorkerSpec",
    "WorkerStatus",
    "candidates",
    "is_available",
    "model_not_found",
    "no_available_workers",
    "parse_worker_url",
]
