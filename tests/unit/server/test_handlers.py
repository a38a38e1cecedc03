"""Coroutine handlers as owned tasks, over real sockets; and the life of a listening server."""

from __future__ import annotations

import asyncio
import socket

import pytest

from smg.core.errors import GatewayError
from smg.server import HttpServer, Response, Route, coroutine_route, json_response, text_response
from smg.server.listener import bind
from tests.doubles.raw_client import RawClient


class Site:
    """A server on its own port with one handler on /now."""

    def __init__(self, handler) -> None:
        self.server = HttpServer([Route("GET", "/now", coroutine_route(handler))])

    async def __aenter__(self) -> Site:
        await self.server.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.server.close()
        assert not self.server.exchanges
        assert not self.server.handler_tasks
        assert not self.server.connections

    async def get(self):
        async with await RawClient.connect(self.server.port) as client:
            return await client.request("GET", "/now")


async def test_the_response_of_a_handler_is_the_answer():
    answers = [
        Response(201, b"x", b"a/b", [(b"x-a", b"b")]),
        json_response({"a": 1}),
        json_response([], 503),
        text_response("ä", 404),
    ]
    expected = [
        (201, b"x", "a/b"),
        (200, b'{"a":1}', "application/json"),
        (503, b"[]", "application/json"),
        (404, "ä".encode(), "text/plain; charset=utf-8"),
    ]

    async def handler(exchange):
        await asyncio.sleep(0)
        return answers.pop(0)

    async with Site(handler) as site:
        for status, body, content_type in expected:
            answer = await site.get()
            assert (answer.status, answer.body) == (status, body)
            assert answer.header("content-type") == content_type


async def test_errors_of_a_handler(caplog):
    errors = [GatewayError("no", status=409, code="busy"), KeyError("secret")]

    async def handler(exchange):
        raise errors.pop(0)

    async with Site(handler) as site:
        answer = await site.get()
        assert (answer.status, answer.header("x-smg-error-code")) == (409, "busy")
        assert not caplog.records
        answer = await site.get()
        assert (answer.status, answer.header("x-smg-error-code")) == (500, "internal_error")
        assert b"secret" not in answer.body
        assert "handler of /now failed" in caplog.text


async def test_a_client_that_leaves_cancels_its_handler():
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def handler(exchange):
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with Site(handler) as site:
        async with await RawClient.connect(site.server.port) as client:
            await client.send(b"GET /now HTTP/1.1\r\nHost: a\r\n\r\n")
            await started.wait()
            client.reset()
            await cancelled.wait()


async def test_closing_the_server_cancels_handlers_and_cuts_their_clients():
    started = asyncio.Event()

    async def handler(exchange):
        started.set()
        await asyncio.Event().wait()

    async with Site(handler) as site:
        async with await RawClient.connect(site.server.port) as client:
            await client.send(b"GET /now HTTP/1.1\r\nHost: a\r\n\r\n")
            await started.wait()
            assert not await site.server.wait_idle(0)
            await site.server.close(0)
            assert not site.server.exchanges


async def test_a_drain_waits_for_requests_and_takes_no_new_connections():
    started, go_on = asyncio.Event(), asyncio.Event()

    async def handler(exchange):
        started.set()
        await go_on.wait()
        return text_response("done")

    async with Site(handler) as site:
        async with await RawClient.connect(site.server.port) as client:
            await client.send(b"GET /now HTTP/1.1\r\nHost: a\r\n\r\n")
            await started.wait()
            site.server.stop_accepting()
            with pytest.raises(ConnectionRefusedError):
                await RawClient.connect(site.server.port)
            go_on.set()
            assert await site.server.wait_idle(5)
            answer = await client.answer()
            assert (answer.body, answer.header("connection")) == (b"done", "close")


def test_bind_names_what_it_cannot_bind():
    (first,) = bind("127.0.0.1", 0)
    try:
        with pytest.raises(OSError, match="in use"):
            first.listen()
            bind("127.0.0.1", first.getsockname()[1])
    finally:
        first.close()
    with pytest.raises(socket.gaierror):
        bind("host.invalid", 0)


def test_every_family_of_a_host_gets_the_same_port():
    sockets = bind("localhost", 0)
    try:
        assert len({sock.getsockname()[1] for sock in sockets}) == 1
        assert not any(sock.getblocking() for sock in sockets)
    finally:
        for sock in sockets:
            sock.close()
