"""Gauges follow the live objects: workers that come and go, requests in flight."""

from __future__ import annotations

from tests.doubles.gateway import Gateway
from tests.doubles.raw_server import Peer, RawServer


async def test_a_worker_has_series_as_long_as_it_is_registered():
    async with RawServer() as worker, Gateway(worker_urls=[worker.url]) as gateway:
        samples = await gateway.metrics()
        assert samples.value("smg_worker_health", worker=worker.url) == 1
        assert samples.value("smg_worker_requests_active", worker=worker.url) == 0
        (registered,) = gateway.registry.all()
        gateway.registry.remove(registered.id)
        samples = await gateway.metrics()
        assert not samples.labels("smg_worker_health")
        assert not samples.labels("smg_worker_requests_active")


async def test_requests_in_flight():
    async def script(peer: Peer) -> None:
        while True:
            await peer.read_request()
            await peer.read_until(b"never")

    async with RawServer(script) as worker, Gateway(worker_urls=[worker.url]) as gateway:
        client = await gateway.connect()
        async with client:
            body = b'{"model":"test-model","messages":[{"role":"user","content":"x"}]}'
            await client.send(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n"
                b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                % (len(body), body)
            )
            await worker.request()
            samples = await gateway.metrics()
            assert samples.value("smg_http_connections_active") == 1
            assert samples.value("smg_worker_requests_active", worker=worker.url) == 1
            assert samples.value("smg_http_open_connections") >= 1
        await gateway.idle()
        samples = await gateway.metrics()
        assert samples.value("smg_http_connections_active") == 0
        assert samples.value("smg_worker_requests_active", worker=worker.url) == 0
