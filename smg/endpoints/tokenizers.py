"""`/v1/tokenizers`: which tokenizers there are, loading and removing them (http-api 15.4).

A load is accepted and done later, so it is answered with 202. Bodies must be JSON, whatever their
content type says.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from smg.core.errors import TokenizerError
from smg.fleet.jobs import QueueFull
from smg.protocols import rules
from smg.protocols.body import PLAIN, parse
from smg.server.handlers import Response, json_response
from smg.tokenization.loader import Source
from smg.wire.errors import JSON

if TYPE_CHECKING:
    from smg.fleet.tokenizers import TokenizerService
    from smg.server.exchange import Exchange
    from smg.tokenization.registry import Entry

_RULES: dict[str, rules.Rule] = {
    "name": rules.string,
    "source": rules.string,
    "chat_template_path": rules.string,
}


class TokenizerHandlers:
    """One handler per method and path; a tokenizer is called by its name or its id."""

    def __init__(self, service: TokenizerService) -> None:
        self._service = service
        self._registry = service.registry

    async def create(self, exchange: Exchange) -> Response:
        """`POST /v1/tokenizers`."""
        name, source = _wanted(exchange.body)
        known = self._registry.named(name)
        if known is not None:
            return _answer(known.id, "failed", f"Tokenizer '{name}' already exists", 409)
        try:
            job = self._service.create(name, source)
        except QueueFull:
            answer = _answer("", "failed", "The job queue is full", 503)
            return replace(answer, headers=((b"retry-after", b"1"),))
        message = f"Tokenizer '{name}' registration job submitted. Loading from: {source.path}"
        return _answer(job, "pending", message, 202)

    async def listing(self, exchange: Exchange) -> Response:
        """`GET /v1/tokenizers`."""
        return json_response({"tokenizers": [_shown(entry) for entry in self._registry.entries()]})

    async def show(self, exchange: Exchange) -> Response:
        """`GET /v1/tokenizers/{tokenizer_id}`."""
        name = _name(exchange)
        entry = self._registry.get(name)
        if entry is None:
            raise TokenizerError(f"Tokenizer '{name}' not found")
        return json_response(_shown(entry))

    async def status(self, exchange: Exchange) -> Response:
        """`GET /v1/tokenizers/{tokenizer_id}/status`."""
        name = _name(exchange)
        status = self._service.status(name)
        if status is None:
            message = f"Tokenizer '{name}' not found and no pending job"
            raise TokenizerError(message, code="not_found")
        body: dict[str, Any] = {
            "id": status.id,
            "status": status.status,
            "message": status.message,
        }
        if status.entry is not None:
            body["vocab_size"] = status.entry.tokenizer.vocab_size
        return json_response(body)

    async def remove(self, exchange: Exchange) -> Response:
        """`DELETE /v1/tokenizers/{tokenizer_id}`; requests that use it keep it."""
        name = _name(exchange)
        entry = self._registry.remove(name)
        if entry is None:
            return json_response(
                {"success": False, "message": f"Tokenizer '{name}' not found"}, 404
            )
        return json_response(
            {"success": True, "message": f"Tokenizer '{entry.name}' removed successfully"}
        )


def _name(exchange: Exchange) -> str:
    return (exchange.params or {})["tokenizer_id"]


def _wanted(raw: bytes) -> tuple[str, Source]:
    """Name and source that a body asks for; RequestError."""
    data = parse(raw, JSON, PLAIN)
    faults = rules.field_faults(_RULES, data)
    faults += [
        rules.required(name, data, "a string")
        for name in ("name", "source")
        if data.get(name) is None
    ]
    if faults:
        raise rules.refuse(faults, PLAIN)
    return data["name"], Source(data["source"], data.get("chat_template_path"))


def _shown(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "name": entry.name,
        "source": entry.source.path,
        "vocab_size": entry.tokenizer.vocab_size,
    }


def _answer(job: str, status: str, message: str, code: int) -> Response:
    return json_response({"id": job, "status": status, "message": message}, code)
