"""`GET /health_generate` where prefill and decode are split: one pair, both asked (http-api 7)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from smg.core.errors import GatewayError, NoWorkerError, UpstreamError
from smg.endpoints.info import GENERATE_SECS
from smg.endpoints.memo import Memo
from smg.fleet.probe import key_headers
from smg.server.handlers import Response
from smg.workers import UNKNOWN_MODEL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smg.fleet.clock import Clock
    from smg.fleet.probe import Fetcher
    from smg.policies.registry import PolicyRegistry
    from smg.server.exchange import Exchange
    from smg.workers import Worker, WorkerRegistry

ROLES = ("prefill", "decode")


class _NoRequest:
    """What a policy sees of a question that no client's request is behind."""

    def __init__(self) -> None:
        self.model = UNKNOWN_MODEL
        self.headers: list[tuple[bytes, bytes]] = []
        self.ticket = 0

    def text(self) -> str:
        return ""

    def tokens(self) -> Sequence[int] | None:
        return None

    def routing_key(self) -> bytes | None:
        return None

    def request_key(self) -> bytes | None:
        return None


class PairHealth:
    """Lets a pair that the policies pick generate a token each; a verdict holds for one second."""

    def __init__(
        self, registry: WorkerRegistry, policies: PolicyRegistry, fetcher: Fetcher, clock: Clock
    ) -> None:
        self._registry = registry
        self._policies = policies
        self._fetcher = fetcher
        self._memo = Memo("health_generate", self._ask, clock)

    async def handle(self, exchange: Exchange) -> Response:
        """200 and the ids of the pair. NoWorkerError; GatewayError if one of them is not well."""
        return await self._memo.get()

    async def close(self) -> None:
        """Cancel a probe under way."""
        await self._memo.close()

    async def _ask(self) -> Response:
        pair = [self._pick(role) for role in ROLES]
        failed = [
            role
            for role, well in zip(ROLES, await asyncio.gather(*map(self._well, pair)), strict=True)
            if not well
        ]
        if failed:
            raise GatewayError(
                f"No token from the {' and the '.join(failed)} worker",
                status=503,
                code="health_generate_failed",
            )
        prefill, decode = pair
        text = f"OK - prefill {prefill.id}, decode {decode.id}"
        return Response(200, text.encode(), b"text/plain; charset=utf-8")

    def _pick(self, role: str) -> Worker:
        group = self._registry.group(UNKNOWN_MODEL, role)
        available = group.available if group is not None else ()
        worker: Worker | None = None
        if available:
            view = _NoRequest()
            policy = self._policies.for_model(UNKNOWN_MODEL, role)
            worker = policy.select(available, view)
            if worker is not None and (policy.tracks_first_byte or policy.tracks_requests):
                policy.first_byte(worker, view)
                policy.ended(worker, view)
        if worker is None:
            raise NoWorkerError(f"No healthy {role} worker", code="no_healthy_worker_pair")
        return worker

    async def _well(self, worker: Worker) -> bool:
        try:
            reply = await self._fetcher.fetch(
                worker.base_url,
                "GET",
                "/health_generate",
                headers=key_headers(worker),
                timeout=GENERATE_SECS,
            )
        except UpstreamError:
            return False
        return 200 <= reply.status < 300
