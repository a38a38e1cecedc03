"""`GET /v1/models`, `GET /v1/models/{id}`: what the registry knows, whatever the workers' health.

Answers are rendered when the fleet changes, not per request. Order: registration (http-api 8).
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
        self._objects: dict[str, bytes] = {}
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
        body = self._objects.get(name)
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
        cards = self._registry.models()
        objects = [_object(card) for card in cards]
        self._listing = orjson.dumps({"object": "list", "data": objects})
        self._objects = {item["id"]: orjson.dumps(item) for item in objects}
        for card in cards:
            for alias in card.aliases:
                # An id beats an alias of the same name; the first owner of an alias keeps it.
                self._objects.setdefault(alias, self._objects[card.id])


def _object(card: ModelCard) -> dict[str, Any]:
    return {
        "id": card.id,
        "object": "model",
        "created": 0,
        "owned_by": card.provider or "self_hosted",
    }
