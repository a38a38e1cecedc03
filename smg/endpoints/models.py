"""`GET /v1/models`, `GET /v1/models/{id}`: what the registry knows, whatever the workers' health.

Answers are rendered when the fleet changes, not per request. Order: registration (http-api 8).
Aliases lead to their model and are not listed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from smg.core.errors import GatewayError, NotFoundError

if TYPE_CHECKING:
    from smg.server.exchange import Exchange
    from smg.workers import ModelCard, WorkerEvent, WorkerRegistry


class ModelListing:
    """Both handlers, over one registry."""

    def __init__(self, registry: WorkerRegistry) -> None:
        self._registry = registry
        self._listing: bytes | None = None  # None: to be rendered at the next request
        self._objects: dict[str, bytes] = {}  # by model id
        self.close = registry.subscribe(self._on_event)

    def all(self, exchange: Exchange) -> None:
        """`GET /v1/models`."""
        self._render()
        if not self._objects or self._listing is None:
            exchange.fail(
                GatewayError("No models available", status=503, code="no_models_available")
            )
            return
        exchange.respond(200, self._listing)

    def one(self, exchange: Exchange) -> None:
        """`GET /v1/models/{model_id}`; the id may contain `/`, an alias gives its model."""
        self._render()
        name = (exchange.params or {}).get("model_id", "")
        body = self._objects.get(self._registry.canonical(name))
        if body is None:
            exchange.fail(NotFoundError(f"Model '{name}' not found", code="model_not_found"))
            return
        exchange.respond(200, body)

    def _on_event(self, event: WorkerEvent) -> None:
        if event.kind != "status":
            self._listing = None

    def _render(self) -> None:
        if self._listing is not None:
            return
        objects = [_object(card) for card in self._registry.models()]
        self._listing = orjson.dumps({"object": "list", "data": objects})
        self._objects = {item["id"]: orjson.dumps(item) for item in objects}


def _object(card: ModelCard) -> dict[str, Any]:
    """OpenAI's four fields, and what vLLM's listing has besides, as far as it is known."""
    shown: dict[str, Any] = {
        "id": card.id,
        "object": "model",
        "created": 0,
        "owned_by": card.provider or "self_hosted",
    }
    further = {"root": card.root, "parent": card.parent, "max_model_len": card.context_length}
    shown.update((key, value) for key, value in further.items() if value is not None)
    return shown
