"""What the fault matrix stands on: a gateway, a worker behind a bad network, a healthy one."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal

from tests.doubles.gateway import Gateway
from tests.doubles.metrics_text import Samples
from tests.doubles.raw_client import RawClient
from tests.doubles.raw_server import Peer, RawServer, Script
from tests.doubles.tcp_proxy import Pipe, TcpProxy
from tests.doubles.traffic import CHAT, chat, nothing_left, until
from tests.faults.delays import DELAYS

RETRIES: dict[str, Any] = {
    "disable_retries": False,
    "retry_initial_backoff_ms": 1,
    "retry_max_backoff_ms": 5,
}
#: Limits that end a silence, when a test says that their time is over.
IMPATIENT: dict[str, Any] = {
    "upstream_first_byte_timeout_secs": 60,
    "upstream_idle_timeout_secs": 60,
    "sse_keepalive_secs": 0,
}


#: how a client may leave
Way = Literal["FIN", "RST", "half close"]
WAYS: tuple[Way, ...] = ("FIN", "RST", "half close")


def leave(client: RawClient, way: Way) -> None:
    """Leave; after a half close the client could still read."""
    if way == "RST":
        client.reset()
    elif way == "FIN":
        client.close()
    else:
        client.half_close()


def time_is_over(gateway: Gateway) -> None:
    """The worker took too long: run the limits' own code, without waiting for the time."""
    backend = gateway.product.backend
    queue = backend.first_byte
    queue._tick(queue._ticker.now + 2 * queue.seconds)
    for _ in range(8 * backend.watch.idle_limit):  # it looks once in four ticks, and twice
        backend.watch._tick(0.0)


async def drop_idle(gateway: Gateway) -> None:
    """Close kept connections, so that the next request must connect."""
    for pool in gateway.upstream._pools.values():
        for conn in list(pool.idle):
            conn.transport.close()
    await until(lambda: gateway.upstream.open_connections == 0)


def answering(raw: bytes) -> Script:
    """Answers every request with these bytes, on kept connections."""

    async def script(peer: Peer) -> None:
        while True:
            await peer.read_request()
            await peer.send(raw)

    return script


@dataclass
class Rig:
    """`bad` stands behind `network`; `good`, if there is one, does not. `warm`: requests that went
    to it before, to get the other one's turn.
    """

    gateway: Gateway
    network: TcpProxy
    bad: RawServer
    good: RawServer | None
    warm: int = 0

    async def to_good(self) -> None:
        """One request to the healthy worker, so that the next one goes to the other again."""
        assert self.good is not None
        assert (await self.gateway.post(CHAT, chat())).status == 200
        assert len(self.good.requests) == 1
        self.good.requests.clear()
        self.warm += 1

    async def metrics(self) -> Samples:
        """A scrape; what it says of the loop's delay is kept for the report."""
        samples = await self.gateway.metrics()
        DELAYS.add(samples)
        return samples

    def of_bad(self, samples: Samples, outcome: str) -> float:
        """How often the bad worker's breaker heard `outcome`."""
        return samples.value(
            "smg_worker_cb_outcomes_total", worker=self.network.url, outcome=outcome
        )

    def tells_nothing_of_workers(self, data: bytes) -> bool:
        """No address of a worker in what a client was told."""
        ports = [self.network.port, self.bad.port]
        if self.good is not None:
            ports.append(self.good.port)
        return b"127.0.0.1" not in data and not any(b":%d" % port in data for port in ports)

    async def time_is_over(self) -> None:
        """Its worker has the request and is silent: for too long."""
        backend = self.gateway.product.backend
        await until(lambda: len(backend.first_byte) + len(backend.watch) == 1)
        time_is_over(self.gateway)

    async def nothing_left(self, pipe: Pipe | None = None) -> None:
        """The gateway holds nothing; `pipe`, the connection that a fault met, has ended too."""
        await nothing_left(self.gateway)
        if pipe is not None:
            await until(lambda: pipe.ended)


@contextlib.asynccontextmanager
async def rig(
    raw: bytes, *, retries: bool, good_raw: bytes | None = None, **config: Any
) -> AsyncIterator[Rig]:
    """A gateway without kept connections, whose next request goes to the bad worker, which answers
    with `raw`; the good one, there with `retries` only, with `good_raw` (or the same).
    """
    async with contextlib.AsyncExitStack() as stack:
        bad = await stack.enter_async_context(RawServer(answering(raw)))
        network = await stack.enter_async_context(TcpProxy(bad.port))
        good = None
        if retries:
            good = await stack.enter_async_context(RawServer(answering(good_raw or raw)))
            config = {**RETRIES, **config}
        urls = [network.url] if good is None else [network.url, good.url]
        gateway = await stack.enter_async_context(Gateway(worker_urls=urls, **config))
        made = Rig(gateway, network, bad, good)
        if good is not None:
            await until(lambda: len(_available(gateway)) == 2)
            if _available(gateway)[0] == good.url:  # round robin starts with it
                await made.to_good()
        await drop_idle(gateway)
        yield made


def _available(gateway: Gateway) -> list[str]:
    group = gateway.registry.group("test-model")
    return [] if group is None else [worker.url for worker in group.available]
