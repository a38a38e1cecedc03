"""The simulated engine's own answers, cut at every second byte: an error, an error frame or an open
end, never a clean end of a part.
"""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.doubles.gateway import Gateway
from tests.doubles.raw_client import ClosedEarly
from tests.doubles.sim import SimWorker
from tests.doubles.tcp_proxy import How, TcpProxy
from tests.doubles.traffic import CHAT, chat, nothing_left
from tests.faults.rig import drop_idle

#: bytes between two cuts; 1 takes three seconds more and finds no more
STEP = 2


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("stream", [False, True], ids=["JSON", "stream"])
async def test_cut_after_so_many_bytes(stream: bool, how: How) -> None:
    body = chat(stream=stream, max_tokens=4)
    body["model"] = "sim"
    quiet = {"disable_health_check": True, "disable_circuit_breaker": True}
    async with (
        SimWorker() as worker,
        TcpProxy(worker.port) as network,
        Gateway(worker_urls=[network.url], **quiet) as gateway,
    ):
        before = network.lanes["down"].passed
        assert (await gateway.post(CHAT, body)).status == 200
        size = network.lanes["down"].passed - before
        await drop_idle(gateway)
        refused = told = broken = 0
        for at in range(0, size, STEP):
            network.cut_after(at, how=how)
            try:
                answer = await gateway.post(CHAT, body)
            except (ClosedEarly, ConnectionResetError):
                broken += 1
                continue
            if answer.status == 200:
                *_, error, done = answer.events()
                assert json.loads(error)["error"]["code"] == "upstream_stream_cut"
                assert done == "[DONE]"
                told += 1
            else:
                assert answer.status == 502
                assert answer.json()["error"]["code"].startswith("call_upstream_")
                refused += 1
            await asyncio.sleep(0)
        assert refused
        assert broken
        assert bool(told) == stream
        assert refused + told + broken == len(range(0, size, STEP))
        samples = await gateway.metrics()
        assert samples.value("smg_upstream_streams_cut_total") == told + broken
        await nothing_left(gateway)
