"""From a model name to the workers that may serve it now, or the answer when there is none.

The request path does one dictionary look-up and reads one attribute: the tuple is prepared by the
registry whenever something changes. Rules: routing-reliability 2, http-api 6.1.
"""

from __future__ import annotations

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


def no_available_workers() -> NoWorkerError:
    """Workers are registered, but none can take a request now."""
    return NoWorkerError("All workers are unavailable (circuit breaker open or unhealthy)")
