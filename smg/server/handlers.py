"""Slow-path handlers: a coroutine that returns a `Response`, run as an owned task per request."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import orjson

from smg.core.errors import GatewayError, InternalError
from smg.server.exchange import Exchange
from smg.wire.errors import JSON

log = logging.getLogger(__name__)

TEXT = b"text/plain; charset=utf-8"


@dataclass(frozen=True)
class Response:
    """A whole answer."""

    status: int
    body: bytes = b""
    content_type: bytes = JSON
    headers: Sequence[tuple[bytes, bytes]] = ()


def json_response(data: object, status: int = 200) -> Response:
    """`data` as compact JSON."""
    return Response(status, orjson.dumps(data))


def text_response(text: str, status: int = 200) -> Response:
    """Plain UTF-8 text."""
    return Response(status, text.encode(), TEXT)


class _Run:
    """One running handler; the exchange's consumer, so that a client that leaves cancels it."""

    __slots__ = ("exchange", "task")

    def __init__(self, exchange: Exchange, handler: Handler) -> None:
        self.exchange = exchange
        exchange.consumer = self
        loop = exchange.conn.server.loop
        self.task = loop.create_task(self._run(handler))
        # The loop keeps only weak references to tasks; the server owns this one until it ends.
        tasks = exchange.conn.server.handler_tasks
        tasks.add(self.task)
        self.task.add_done_callback(tasks.discard)

    async def _run(self, handler: Handler) -> None:
        exchange = self.exchange
        try:
            answer = await handler(exchange)
        except asyncio.CancelledError:
            exchange.abort()
            raise
        except GatewayError as error:
            exchange.fail(error)
        except Exception as error:
            log.exception("handler of %s failed", exchange.route.path, extra=exchange.log_extra())
            exchange.fail(InternalError(error))
        else:
            exchange.respond(answer.status, answer.body, answer.content_type, answer.headers)

    def client_gone(self) -> None:
        self.task.cancel()

    def pause(self) -> None:
        pass

    def resume(self) -> None:
        pass


Handler = Callable[[Exchange], Awaitable[Response]]


def coroutine_route(handler: Handler) -> Callable[[Exchange], None]:
    """Adapter: `Route(start=coroutine_route(handler))`."""

    def start(exchange: Exchange) -> None:
        _Run(exchange, handler)

    return start
