"""The lower bound: a proxy in uvloop and httptools that parses the body, rotates over workers, and
does nothing else.

No limits, no errors worth the name, no metrics, no health checks. It tells what the design can cost
at best.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
from typing import Any

import httptools
import orjson
import uvloop


class Upstream(asyncio.Protocol):
    """A pooled worker connection: bytes pass as they come, the parser only finds the end."""

    def __init__(self, pool: list[Upstream]) -> None:
        self.pool = pool
        self.client: Client | None = None
        self.parser: Any = httptools.HttpResponseParser(self)

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.client is not None:
            self.client.transport.write(data)
        self.parser.feed_data(data)

    def on_message_complete(self) -> None:
        self.client = None
        self.parser = httptools.HttpResponseParser(self)
        self.pool.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self in self.pool:
            self.pool.remove(self)
        if self.client is not None:
            self.client.transport.close()


class Client(asyncio.Protocol):
    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.parser: Any = httptools.HttpRequestParser(self)
        self.body: list[bytes] = []
        self.url = b"/"

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self.url = url

    def on_body(self, body: bytes) -> None:
        self.body.append(body)

    def on_message_complete(self) -> None:
        body = b"".join(self.body)
        self.body.clear()
        if body:
            orjson.loads(body)["model"]
        host, port, pool = next(self.proxy.turn)
        data = (
            b"%b %b HTTP/1.1\r\nhost: %b:%d\r\ncontent-type: application/json\r\ncontent-length: %d"
            b"\r\n\r\n%b"
            % (self.parser.get_method(), self.url, host.encode(), port, len(body), body)
        )
        if pool:
            upstream = pool.pop()
            upstream.client = self
            upstream.transport.write(data)
        else:
            connecting = self.proxy.connect(self, host, port, pool, data)
            self.proxy.tasks.add(task := asyncio.ensure_future(connecting))
            task.add_done_callback(self.proxy.tasks.discard)


class Proxy:
    def __init__(self, workers: list[str]) -> None:
        pairs = [url.split("//")[1].split(":") for url in workers]
        pools: list[tuple[str, int, list[Upstream]]] = [(h, int(p), []) for h, p in pairs]
        self.turn = itertools.cycle(pools)
        self.tasks: set[asyncio.Future[None]] = set()

    async def connect(
        self, client: Client, host: str, port: int, pool: list[Upstream], data: bytes
    ) -> None:
        loop = asyncio.get_running_loop()
        _, upstream = await loop.create_connection(lambda: Upstream(pool), host, port)
        upstream.client = client
        upstream.transport.write(data)


async def serve(options: argparse.Namespace) -> None:
    proxy = Proxy(options.worker_urls)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Client(proxy), options.host, options.port, backlog=4096
    )
    gc.freeze()
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--worker-urls", nargs="+", required=True)
    uvloop.run(serve(parser.parse_args()))
