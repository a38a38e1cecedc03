"""From a model name to the workers that may serve it now, or the answer when there is none.

The request path does one dictionary look-up and reads one attribute: the tuple is prepared by the
registry whenever something changes. Rules: routing-reliability 2, http-api 6.1.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from smg.core.errors import NotFoundError, NoWorkerError
from smg.workers.model import Worker, WorkerStatus

if TYPE_CHECKING:
    from smg.workers.registry import WorkerRegistry


def is_available(worker: Worker) -> bool:
    """Whether new requests may go to `worker`.

    The only place that knows; whoever adds a condition (breaker, overload) also calls
    `WorkerRegistry.availability_changed` when it flips.
    """
    return _could_serve(worker) and not worker.overloaded


def _could_serve(worker: Worker) -> bool:
    """Whether nothing but overload may speak against it."""
    if worker.status is not WorkerStatus.READY:
        return False
    return worker.breaker is None or worker.breaker.admits


def candidates(
    registry: WorkerRegistry, model: str, role: str = "regular", mode: str = "http"
) -> tuple[Worker, ...]:
    """The available workers of `model`, never empty; NotFoundError or NoWorkerError otherwise."""
    group = registry.group(model, role, mode)
    if group is None:
        raise model_not_found(model)
    available = group.available
    if not available:
        raise no_available_workers()
    return available


def model_not_found(model: str) -> NotFoundError:
    """Nothing of the right kind is registered for the model."""
    return NotFoundError(f"No worker available for model '{model}'", code="model_not_found")


def nobody_available(workers: Iterable[Worker], retry_after: int) -> NoWorkerError:
    """Why none of a group's workers can take a request now. `retry_after` is in seconds: when the
    next load reports come.
    """
    if any(worker.overloaded and _could_serve(worker) for worker in workers):
        return all_overloaded(retry_after)
    return no_available_workers()


def all_overloaded(retry_after: int) -> NoWorkerError:
    """Those that could take a request report too much work. Never retried by the gateway."""
    return NoWorkerError("All workers are overloaded", retry_after=retry_after)


def no_available_workers() -> NoWorkerError:
    """Workers are registered, but none can take a request now."""
    return NoWorkerError("All workers are unavailable (circuit breaker open or unhealthy)")
