"""`/model_info`, `/server_info`, `/health_generate`: GETs passed on to the first healthy worker.

Engines renamed the info routes; which name a worker has is remembered per worker. They stay public,
so a caller without a key sees only what cannot hurt: SGLang lists its arguments, keys included, at
the top level of its server info, therefore that one is cut to an allow-list.
Rules: http-api 7 and 25 (traps 17, 19, 29).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import orjson

from smg.core.errors import BadReply, NoWorkerError
from smg.endpoints.memo import Memo
from smg.fleet.metadata import MODEL_INFO, SERVER_INFO
from smg.fleet.probe import key_headers
from smg.server.handlers import Response
from smg.wire.head import HOP_BY_HOP
from smg.workers import UNKNOWN_MODEL

if TYPE_CHECKING:
    from smg.fleet.clock import Clock
    from smg.fleet.probe import Fetcher, Reply
    from smg.server.exchange import Exchange
    from smg.workers import Worker, WorkerEvent, WorkerRegistry

INFO_SECS = 10.0
GENERATE_SECS = 30.0  # a busy engine queues the token it is asked for

PUBLIC_SERVER_INFO = frozenset(
    {
        "context_length",
        "max_model_len",
        "max_req_input_len",
        "max_total_num_tokens",
        "model_path",
        "served_model_name",
        "status",
        "version",
    }
)
_PRIVATE_MODEL_INFO = frozenset({"server_args", "url", "urls", "worker_url", "worker_urls"})
# Describe the connection or the sender, or are set anew by the server.
_NOT_RELAYED = HOP_BY_HOP | {
    b"content-length",
    b"content-type",
    b"date",
    b"server",
    b"x-request-id",
}

Trusted = Callable[["Exchange"], bool]


def first_healthy(registry: WorkerRegistry, role: str = "regular") -> Worker:
    """The available worker of a role that was registered first; NoWorkerError if there is none."""
    group = registry.group(UNKNOWN_MODEL, role)
    if group is None or not group.available:
        code = "no_prefill_servers" if role == "prefill" else "no_workers"
        raise NoWorkerError("No healthy worker to ask", code=code)
    return group.available[0]


class WorkerInfo:
    """Handlers of the info routes.

    `trusted(exchange)`: the caller may see everything: it has a key, or no keys are configured.
    `role`: the type of the workers that are asked.
    """

    def __init__(
        self,
        registry: WorkerRegistry,
        fetcher: Fetcher,
        trusted: Trusted,
        role: str = "regular",
    ) -> None:
        self._registry = registry
        self._fetcher = fetcher
        self._trusted = trusted
        self._role = role
        self._known: dict[tuple[str, str], str] = {}  # worker id and new name -> name it has
        self.close = registry.subscribe(self._on_event)

    async def model_info(self, exchange: Exchange) -> Response:
        """`GET /model_info`, `GET /get_model_info`."""
        return await self._relay(exchange, MODEL_INFO, _public_model_info)

    async def server_info(self, exchange: Exchange) -> Response:
        """`GET /server_info`, `GET /get_server_info`."""
        return await self._relay(exchange, SERVER_INFO, _public_server_info)

    async def _relay(
        self,
        exchange: Exchange,
        paths: tuple[str, ...],
        public: Callable[[dict[str, Any]], dict[str, Any]],
    ) -> Response:
        worker = first_healthy(self._registry, self._role)
        reply = await self._ask(worker, paths, exchange.request_id)
        if self._trusted(exchange):
            return relayed(reply)
        try:
            data = orjson.loads(reply.body)
        except orjson.JSONDecodeError:
            data = None
        if not isinstance(data, dict):
            raise BadReply("The worker's answer is not a JSON object")
        return Response(reply.status, orjson.dumps(public(data)))

    async def _ask(self, worker: Worker, paths: tuple[str, ...], request_id: bytes) -> Reply:
        headers = (*key_headers(worker), (b"x-request-id", request_id))
        memo = (worker.id, paths[0])
        known = self._known.get(memo)
        for path in (known,) if known else paths:
            reply = await self._fetcher.fetch(
                worker.base_url, "GET", path, headers=headers, timeout=INFO_SECS
            )
            if reply.status != 404:
                if worker in self._registry:
                    self._known[memo] = path
                return reply
        # Also when the remembered name is gone: the engine was replaced, look for it next time.
        self._known.pop(memo, None)
        return reply

    def _on_event(self, event: WorkerEvent) -> None:
        if event.kind == "removed":
            for name in (MODEL_INFO[0], SERVER_INFO[0]):
                self._known.pop((event.worker.id, name), None)


class HealthGenerate:
    """`GET /health_generate`: lets a worker generate a token; a verdict holds for one second."""

    def __init__(self, registry: WorkerRegistry, fetcher: Fetcher, clock: Clock) -> None:
        self._registry = registry
        self._fetcher = fetcher
        self._memo = Memo("health_generate", self._ask, clock)

    async def handle(self, exchange: Exchange) -> Response:
        """The first healthy worker's own answer."""
        return await self._memo.get()

    async def close(self) -> None:
        """Cancel a probe under way."""
        await self._memo.close()

    async def _ask(self) -> Response:
        worker = first_healthy(self._registry)
        reply = await self._fetcher.fetch(
            worker.base_url,
            "GET",
            "/health_generate",
            headers=key_headers(worker),
            timeout=GENERATE_SECS,
        )
        return relayed(reply)


def relayed(reply: Reply) -> Response:
    """A worker's answer as ours: status, body and end-to-end headers."""
    content_type = b"application/json"
    headers = []
    for name, value in reply.headers:
        if name == b"content-type":
            content_type = value
        elif name not in _NOT_RELAYED:
            headers.append((name, value))
    return Response(reply.status, reply.body, content_type, headers)


def _public_server_info(data: dict[str, Any]) -> dict[str, Any]:
    return {
        key: value
        for key, value in data.items()
        if key in PUBLIC_SERVER_INFO and not isinstance(value, (dict, list))
    }


def _public_model_info(data: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key not in _PRIVATE_MODEL_INFO}
