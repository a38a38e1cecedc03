"""The client leaves or reads slowly, at every place of an answer and before there is one.

Wherever it happens: the worker is told within a second (in fact in the same turn of the loop; see
`perf/disconnect.py` for figures), nobody is blamed, nothing is tried again, nothing is left.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.doubles.metrics_text import Samples
from tests.doubles.raw_client import request_bytes
from tests.doubles.raw_server import response_bytes
from tests.doubles.tcp_proxy import How
from tests.doubles.traffic import CHAT, chat, chat_request, left_over, until
from tests.faults.matrix import JSON, STREAM, Place, Wire, places
from tests.faults.rig import RETRIES, WAYS, Rig, Way, leave, rig

TOLD_SECS = 1.0
BOTH = pytest.mark.parametrize("wire", [STREAM, JSON], ids=lambda wire: wire.name)
LEAVING = pytest.mark.parametrize("way", WAYS)


def nobodys_fault(samples: Samples, r: Rig) -> None:
    """A client that leaves says nothing about a worker, and is not served by another one."""
    assert samples.value("smg_upstream_streams_cut_total") == 0
    assert samples.value("smg_router_request_errors_total") == 0
    assert samples.value("smg_worker_errors_total") == 0
    assert samples.value("smg_worker_retries_total") == 0
    assert r.of_bad(samples, "failure") == r.of_bad(samples, "success") == 0
    assert r.good is None or r.good.requests == []


@LEAVING
@pytest.mark.parametrize("place", list(places(STREAM, JSON)), ids=str)
async def test_in_an_answer(place: Place, way: Way) -> None:
    wire = place.wire
    async with rig(wire.raw, retries=True) as r:
        trap = r.network.trap(place.at, "pause")
        async with await r.gateway.connect() as client:
            await client.send(chat_request(stream=wire.stream))
            await trap.reached.wait()
            if place.in_body:
                await client.read_head()
                await client.read_exactly(len(place.seen))
            leave(client, way)
            (peer,) = [peer for peer in r.bad.connections if peer.requests]
            await until(peer.finished.is_set, TOLD_SECS)
            trap.go.set()
        samples = await r.metrics()
        nobodys_fault(samples, r)
        assert len(r.bad.requests) == 1
        await r.nothing_left(trap.pipe)


@LEAVING
@BOTH
async def test_while_the_gateway_connects(wire: Wire, way: Way) -> None:
    """The worker has heard nothing, and never will."""
    async with rig(wire.raw, retries=False) as r:
        r.network.hang()
        pool = r.gateway.upstream.pool(r.network.url)
        async with await r.gateway.connect() as client:
            await client.send(chat_request(stream=wire.stream))
            await until(lambda: pool.connecting == 1)
            leave(client, way)
            # The connect goes on, within its own limit: the next request can use it.
            await until(lambda: left_over(r.gateway) == {"connects": 1}, TOLD_SECS)
        nobodys_fault(await r.metrics(), r)
        assert r.bad.requests == []


@LEAVING
@BOTH
async def test_while_it_is_parked(wire: Wire, way: Way) -> None:
    """Its place in the queue is free at once, and it never reaches a worker."""
    limit: dict[str, Any] = {"max_concurrent_requests": 1, "queue_size": 1}
    async with rig(wire.raw, retries=False, **limit) as r:
        trap = r.network.trap(0, "pause")
        gate = r.gateway.product.gate
        async with await r.gateway.connect() as first, await r.gateway.connect() as client:
            await first.send(chat_request(stream=wire.stream))
            await trap.reached.wait()
            await client.send(chat_request(stream=wire.stream, parked=True))
            await until(lambda: gate._admission.waiting == 1)
            leave(client, way)
            await until(lambda: gate._admission.waiting == 0, TOLD_SECS)
            trap.go.set()
            assert (await first.answer("POST")).status == 200
        samples = await r.metrics()
        assert samples.value("smg_admission_queue_depth") == 0
        assert samples.value("smg_admission_inflight") == 0
        assert samples.value("smg_admission_queue_rejected_total") == 0
        assert not any(request.json().get("parked") for request in r.bad.requests)
        await r.nothing_left()


@LEAVING
@BOTH
async def test_during_the_pause_before_a_retry(wire: Wire, way: Way) -> None:
    """There is no further attempt."""
    patient = {**RETRIES, "retry_initial_backoff_ms": 20_000, "retry_max_backoff_ms": 20_000}
    async with rig(response_bytes(500, {}), retries=False, **patient) as r:
        async with await r.gateway.connect() as client:
            await client.send(chat_request(stream=wire.stream))
            backend = r.gateway.product.backend
            await until(lambda: len(r.bad.requests) == 1 and not _busy(r))
            assert len(backend.deadlines) == 1  # it waits
            leave(client, way)
            await until(lambda: len(backend.deadlines) == 0, TOLD_SECS)
        samples = await r.metrics()
        assert samples.value("smg_worker_retries_total") == 1  # begun, never sent
        assert len(r.bad.requests) == 1
        await r.nothing_left()


def _busy(r: Rig) -> bool:
    return bool(left_over(r.gateway).get("busy upstream connections"))


@LEAVING
async def test_with_requests_in_the_pipeline(way: Way) -> None:
    """Those behind the first one never start."""
    async with rig(STREAM.raw, retries=True) as r:
        trap = r.network.trap(STREAM.head_size, "pause")
        async with await r.gateway.connect() as client:
            requests = [chat_request(stream=True, n=n) for n in (1, 2, 3)]
            await client.send(b"".join(requests)[:-2])  # the last one is not complete
            await trap.reached.wait()
            leave(client, way)
            (peer,) = [peer for peer in r.bad.connections if peer.requests]
            await until(peer.finished.is_set, TOLD_SECS)
            trap.go.set()
        nobodys_fault(await r.metrics(), r)
        assert len(r.bad.requests) == 1
        await r.nothing_left(trap.pipe)


_PIECE = b"x" * 65_536
_LONG = b"".join(
    (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
        *[b"10000\r\n" + _PIECE + b"\r\n"] * 256,
        b"0\r\n\r\n",
    )
)


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_worker_cut_behind_a_slow_reader(how: How) -> None:
    """It gets what came, late, and sees that it is not all."""
    async with rig(_LONG, retries=True) as r:
        async with await r.gateway.connect(receive_buffer=65_536) as client:
            await client.send(chat_request(stream=True))
            assert (await client.read_head()).status == 200
            (connection,) = r.gateway.server.connections
            await until(lambda: connection.is_write_paused)
            for pipe in r.network.pipes:
                pipe.end(how)
            body = await client.read_to_end()
        assert _LONG[_LONG.index(b"\r\n\r\n") + 4 :].startswith(body)
        assert not body.endswith(b"0\r\n\r\n")
        samples = await r.metrics()
        assert samples.value("smg_upstream_streams_cut_total", reason="upstream_stream_cut") == 1
        assert samples.value("smg_worker_retries_total") == 0
        assert r.good is not None
        assert r.good.requests == []
        await r.nothing_left()


@LEAVING
async def test_a_slow_reader_that_leaves(way: Way) -> None:
    """Also while nothing can be written to it, and nothing is read from the worker."""
    async with rig(_LONG, retries=True) as r:
        async with await r.gateway.connect(receive_buffer=65_536) as client:
            await client.send(chat_request(stream=True))
            await client.read_head()
            (connection,) = r.gateway.server.connections
            await until(lambda: connection.is_write_paused)
            leave(client, way)
            (peer,) = [peer for peer in r.bad.connections if peer.requests]
            await until(peer.finished.is_set, TOLD_SECS)
        nobodys_fault(await r.metrics(), r)
        await r.nothing_left()


async def test_an_old_client_that_half_closes_is_not_told_of_an_end() -> None:
    """Its body ends with the connection: only a reset says that there was more."""
    async with rig(STREAM.raw, retries=False) as r:
        trap = r.network.trap(len(STREAM.raw) - 10, "pause")
        async with await r.gateway.connect() as client:
            body = chat(stream=True)
            await client.send(request_bytes("POST", CHAT, body, version="1.0"))
            await trap.reached.wait()
            await client.read_until(b'{"n": 1}\n\n')
            client.half_close()
            with pytest.raises(ConnectionResetError):
                await client.read_to_end()
            trap.go.set()
        nobodys_fault(await r.metrics(), r)
        await r.nothing_left(trap.pipe)
