"""The worker API: `/workers` and `/workers/{worker_id}` (http-api 16.3).

A change is accepted and done later, so it is answered with 202. Bodies must be JSON, whatever their
content type says: `curl -d` without a header is the usual call.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qs

from smg.core import ids
from smg.core.errors import AdminError
from smg.protocols.body import shown
from smg.server import Response, json_response
from smg.workers.decode import put_body, worker_patch, worker_spec
from smg.workers.spec import WorkerPatch, WorkerSpec

if TYPE_CHECKING:
    from smg.server import Exchange

_QUEUED = "Worker {} queued for background processing"


class WorkerService(Protocol):
    """Who keeps the fleet as operators want it. Every method raises AdminError: 404
    `WORKER_NOT_FOUND`, 503 `JOB_QUEUE_FULL`, and what is named below.
    """

    def create(self, spec: WorkerSpec) -> str:
        """Queue the worker's registration; its id. 409 `WORKER_ALREADY_EXISTS`."""
        ...

    def patch(self, worker_id: str, patch: WorkerPatch) -> None:
        """Queue changes to a worker that is known, registered or not."""
        ...

    def replace(self, worker_id: str, spec: WorkerSpec) -> None:
        """Queue the registration of a registered worker anew. 400 if its URL is another."""
        ...

    def remove(self, worker_id: str) -> None:
        """Queue the drain and removal of a worker that is known."""
        ...

    def info(self, worker_id: str) -> dict[str, Any]:
        """The worker, or what was posted while it is not registered (`smg.workers.info`)."""
        ...

    def listing(self, model: str | None) -> dict[str, Any]:
        """Registered workers, of those that serve `model` if one is named."""
        ...


class WorkerHandlers:
    """One handler per method and path. Ids are UUIDs, in either case; others are 400."""

    def __init__(self, service: WorkerService) -> None:
        self._service = service

    async def create(self, exchange: Exchange) -> Response:
        """`POST /workers`."""
        spec = worker_spec(exchange.body)
        worker_id = self._service.create(spec)
        location = f"/workers/{worker_id}"
        accepted = {
            "status": "accepted",
            "worker_id": worker_id,
            "url": spec.url,
            "location": location,
            "message": _QUEUED.format("addition"),
        }
        headers = ((b"location", location.encode("ascii")),)
        return replace(json_response(accepted, 202), headers=headers)

    async def listing(self, exchange: Exchange) -> Response:
        """`GET /workers`, with `?model=` those that serve it."""
        query = parse_qs(exchange.query.decode("latin-1"), keep_blank_values=True)
        names = query.get("model")
        return json_response(self._service.listing(names[0] if names else None))

    async def show(self, exchange: Exchange) -> Response:
        """`GET /workers/{worker_id}`."""
        return json_response(self._service.info(_worker_id(exchange)))

    async def replace(self, exchange: Exchange) -> Response:
        """`PUT /workers/{worker_id}`: register anew; a body without `url` is a patch."""
        worker_id = _worker_id(exchange)
        body = put_body(exchange.body)
        if isinstance(body, WorkerPatch):
            self._service.patch(worker_id, body)
        else:
            self._service.replace(worker_id, body)
        return _accepted(worker_id, "update")

    async def patch(self, exchange: Exchange) -> Response:
        """`PATCH /workers/{worker_id}`."""
        worker_id = _worker_id(exchange)
        self._service.patch(worker_id, worker_patch(exchange.body))
        return _accepted(worker_id, "update")

    async def remove(self, exchange: Exchange) -> Response:
        """`DELETE /workers/{worker_id}`."""
        worker_id = _worker_id(exchange)
        self._service.remove(worker_id)
        return _accepted(worker_id, "removal")


def _worker_id(exchange: Exchange) -> str:
    text = (exchange.params or {})["worker_id"]
    if not ids.is_uuid(text):
        raise AdminError(f"The worker id must be a UUID, not {shown(text)}")
    return text.lower()


def _accepted(worker_id: str, what: str) -> Response:
    body = {"status": "accepted", "worker_id": worker_id, "message": _QUEUED.format(what)}
    return json_response(body, 202)
