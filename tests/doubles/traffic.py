"""Requests that the gateway accepts, and the check that nothing of them is left."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from tests.doubles.gateway import Gateway
from tests.doubles.raw_client import RawClient, request_bytes
from tests.doubles.raw_server import RawServer

CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"
RESPONSES = "/v1/responses"
USER = [{"role": "user", "content": "hi"}]


def chat(*, stream: bool = False, **more: Any) -> dict[str, Any]:
    """A small chat body for the model of `RawServer`."""
    body: dict[str, Any] = {"model": "test-model", "messages": USER, **more}
    if stream:
        body["stream"] = True
    return body


def streaming(path: str) -> dict[str, Any]:
    """A streaming body that `path` accepts."""
    if path == RESPONSES:
        return {"model": "test-model", "input": "hi", "stream": True}
    return chat(stream=True, max_tokens=8)


def chat_request(**more: Any) -> bytes:
    """The bytes of one chat request."""
    return request_bytes("POST", CHAT, chat(**more))


async def send_chat(client: RawClient, **more: Any) -> None:
    """Send a chat request and do not wait for its answer."""
    await client.send(chat_request(**more))


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait for something that has no event; fails with the condition's source line."""
    end = asyncio.get_running_loop().time() + seconds
    while not condition():
        if asyncio.get_running_loop().time() > end:
            code = condition.__code__
            raise AssertionError(f"never true: {code.co_filename}:{code.co_firstlineno}")
        await asyncio.sleep(0.005)


def left_over(gateway: Gateway) -> dict[str, int]:
    """Everything the gateway still holds for requests, by name; zeros left out."""
    backend = gateway.product.backend
    pools = gateway.upstream._pools.values()
    counts = {
        "client connections": len(gateway.server.connections),
        "exchanges": len(gateway.server.exchanges),
        "handler tasks": len(gateway.server.handler_tasks),
        "loads": sum(worker.load for worker in gateway.registry.all()),
        "request deadlines": len(backend.deadlines),
        "first-byte deadlines": len(backend.first_byte),
        "watched streams": len(backend.watch),
        "busy upstream connections": sum(len(p.connections) - len(p.idle) for p in pools),
        "connects": sum(pool.connecting for pool in pools),
        "head deadlines": len(gateway.server.head_deadlines),
        "body deadlines": len(gateway.server.body_deadlines),
        "idle deadlines": len(gateway.server.idle_deadlines),
        "linger deadlines": len(gateway.server.linger_deadlines),
    }
    return {name: count for name, count in counts.items() if count}


async def nothing_left(gateway: Gateway, seconds: float = 5.0) -> None:
    """Wait until the gateway holds nothing (clients must have closed), and metrics say the same."""
    end = asyncio.get_running_loop().time() + seconds
    while left := left_over(gateway):
        if asyncio.get_running_loop().time() > end:
            raise AssertionError(f"left over: {left}")
        await asyncio.sleep(0.005)
    samples = await gateway.metrics()
    for name in (
        "smg_http_connections_active",
        "smg_http_open_connections",
        "smg_worker_requests_active",
    ):
        assert samples.value(name) == 0, name


def hides_workers(data: bytes, *workers: RawServer) -> bool:
    """No address of a worker in what a client was told."""
    return not any(str(worker.port).encode() in data for worker in workers)


def error_of(data: str | bytes) -> dict[str, Any]:
    """The error object of a JSON body or of an SSE frame's data."""
    error: dict[str, Any] = json.loads(data)["error"]
    return error
