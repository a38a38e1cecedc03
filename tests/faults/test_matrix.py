"""Every fault at every place of every kind of answer: see `matrix.py`.

Each case asserts what the client gets to the byte, what the gateway counts, that no worker is
named, and that nothing is left; without retries, and with them and a healthy worker beside.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.doubles.metrics_text import Samples
from tests.doubles.raw_client import RawClient
from tests.doubles.tcp_proxy import How, Trap
from tests.doubles.traffic import CHAT, chat, chat_request, error_of, until
from tests.faults.matrix import (
    ACTS,
    CASES,
    CONNECTS,
    GARBAGE,
    JSON,
    KEPT,
    STREAM,
    WIRES,
    Case,
    ConnectFault,
    Cut,
    KeptFault,
    Outcome,
    Place,
    Refused,
    Whole,
    Wire,
)
from tests.faults.rig import IMPATIENT, Rig, rig

MESSAGES = {
    "upstream_stream_cut": b"The worker broke off its answer.",
    "upstream_stream_timeout": b"The worker fell silent.",
}


def error_frame(reason: str) -> bytes:
    """The chunks that end a stream that can be told why."""
    frame = (
        b'data: {"error":{"message":"%b","type":"server_error","code":"%b"}}\n\ndata: [DONE]\n\n'
        % (MESSAGES[reason], reason.encode())
    )
    return b"%x\r\n%b\r\n0\r\n\r\n" % (len(frame), frame)


async def is_refused(client: RawClient, case: Rig, outcome: Refused) -> None:
    """One honest JSON error on a connection that stays sound."""
    answer = await client.answer("POST")
    assert answer.status == outcome.status
    error = error_of(answer.body)
    assert (error["code"], error["type"]) == (outcome.code, "server_error")
    assert answer.header("x-smg-error-code") == outcome.code
    assert case.tells_nothing_of_workers(answer.head.raw + answer.body)
    assert (await client.request("GET", "/health")).body == b"OK"


async def is_whole(client: RawClient, body: bytes, *, head: bool = True) -> None:
    """The answer as the worker sent it, on a connection that stays sound."""
    if head:
        assert (await client.read_head()).status == 200
    assert await client.read_exactly(len(body)) == body
    assert (await client.request("GET", "/health")).body == b"OK"


async def is_cut(client: RawClient, case: Rig, outcome: Cut) -> bytes:
    """What the client gets after the bytes it has; never a clean end without an error frame."""
    if outcome.told:
        frame = error_frame(outcome.reason)
        assert await client.read_exactly(len(frame)) == frame
        assert (await client.request("GET", "/health")).body == b"OK"
        return b""
    rest = await client.read_to_end()
    assert case.tells_nothing_of_workers(rest)
    return rest


def check_counters(samples: Samples, case: Rig, outcome: Outcome, cured: bool) -> None:
    """What the gateway says about a single request that met a fault."""
    value = samples.value
    cut = isinstance(outcome, Cut)
    refused = isinstance(outcome, Refused)
    # the client's side
    status, code = 200, ""
    if isinstance(outcome, Refused) and not cured:
        status, code = outcome.status, outcome.code
    answers = {"path": CHAT, "status_code": str(status), "error_code": code}
    assert value("smg_http_responses_total", **answers) == 1 + case.warm * (status == 200)
    assert value("smg_router_request_errors_total") == (refused and not cured)
    # the worker's side
    assert value("smg_upstream_streams_cut_total") == cut
    if isinstance(outcome, Cut):
        assert value("smg_upstream_streams_cut_total", reason=outcome.reason) == 1
    if isinstance(outcome, Refused):
        failed = {"status_code": str(outcome.status), "error_code": outcome.code}
        assert value("smg_router_upstream_responses_total", **failed) == 1
        assert value("smg_worker_errors_total") == 1
    assert case.of_bad(samples, "failure") == (cut or refused)
    assert case.of_bad(samples, "success") == isinstance(outcome, Whole)
    assert value("smg_worker_requests_active") == 0
    # further attempts
    retries = value("smg_worker_retries_total")
    if isinstance(outcome, Refused) and cured:
        assert retries in {True: (0,), False: (1,), None: (0, 1)}[outcome.at_once]
    else:
        assert retries == 0
    if case.good is not None:
        assert len(case.good.requests) == cured


async def spring(trap: Trap, place: Place, r: Rig, client: RawClient) -> None:
    """Wait until whoever can see what came before the fault has seen it; then let it happen."""
    await trap.reached.wait()
    if place.in_body:
        assert (await client.read_head()).status == 200
        assert await client.read_exactly(len(place.seen)) == place.seen
    elif place.at:
        pool = r.gateway.upstream.pool(r.network.url)
        await until(lambda: any(conn._buffer for conn in pool.connections))
    trap.go.set()


@pytest.mark.parametrize("retries", [False, True], ids=["once", "retries"])
@pytest.mark.parametrize("case", CASES, ids=str)
async def test_a_fault_in_an_answer(case: Case, retries: bool) -> None:
    config = IMPATIENT if case.fault == "silence" else {}
    place, outcome = case.place, case.outcome
    wire = place.wire
    cured = retries and isinstance(outcome, Refused)
    async with rig(wire.raw, retries=retries, **config) as r:
        trap = r.network.trap(place.at, ACTS[case.fault], data=GARBAGE)
        async with await r.gateway.connect() as client:
            await client.send(chat_request(stream=wire.stream))
            await spring(trap, place, r, client)
            if case.fault == "silence":
                await r.time_is_over()
            if isinstance(outcome, Cut):
                rest = await is_cut(client, r, outcome)
                # bytes that are no framing may have been taken for text
                assert rest == b"" or (GARBAGE + place.rest).startswith(rest)
            elif isinstance(outcome, Refused) and not cured:
                await is_refused(client, r, outcome)
            else:
                spoilt = isinstance(outcome, Whole) and outcome.spoilt
                body = (GARBAGE if spoilt else b"") + place.rest
                await is_whole(client, body[: len(place.rest)], head=not place.in_body)
        samples = await r.metrics()
        check_counters(samples, r, outcome, cured)
        assert len(r.bad.requests) == 1
        kept = isinstance(outcome, Whole) and not outcome.spoilt
        await r.nothing_left(None if kept else trap.pipe)


@pytest.mark.parametrize("retries", [False, True], ids=["once", "retries"])
@pytest.mark.parametrize("wire", [STREAM, JSON], ids=lambda wire: wire.name)
@pytest.mark.parametrize("fault", CONNECTS)
async def test_a_fault_on_the_way_to_a_worker(
    fault: ConnectFault, wire: Wire, retries: bool
) -> None:
    config: dict[str, Any] = {"upstream_connect_timeout_secs": 0.3} if fault == "hangs" else {}
    if fault == "silence":
        config = IMPATIENT
    outcome = CONNECTS[fault]
    async with rig(wire.raw, retries=retries, **config) as r:
        slow = r.network.trap(0, "pause", "up")  # only for "slow", the others never get there
        if fault == "refused":
            r.network.refuse()
        elif fault == "hangs":
            r.network.hang()
        elif fault == "silence":
            r.network.black_hole = True
        elif fault != "slow":
            r.network.turn_away = "close" if fault == "FIN" else "reset"
        async with await r.gateway.connect() as client:
            await client.send(chat_request(stream=wire.stream))
            if fault == "slow":
                await slow.reached.wait()
                slow.go.set()
            elif fault == "silence":
                await r.time_is_over()
            if isinstance(outcome, Refused) and not retries:
                await is_refused(client, r, outcome)
            else:
                await is_whole(client, wire.raw[wire.head_size :])
        samples = await r.metrics()
        check_counters(samples, r, outcome, retries and isinstance(outcome, Refused))
        assert len(r.bad.requests) == (fault == "slow")
        await r.nothing_left()


async def prepare(fault: KeptFault, r: Rig) -> None:
    """Do to the one kept connection what the row says."""
    pool = r.gateway.upstream.pool(r.network.url)
    (pipe,) = [pipe for pipe in r.network.pipes if not pipe.ended]
    how: How = "reset" if fault.startswith("RST") else "close"
    if fault == "garbage while idle":
        await asyncio.get_running_loop().sock_sendall(pipe.client, GARBAGE)
    elif fault.endswith("while idle"):
        pipe.end(how)
    if fault.endswith("while idle"):
        await until(lambda: not pool.connections)  # the gateway saw it
        return
    if fault == "garbage when used":
        r.network.trap(0, "inject", data=GARBAGE).go.set()
    elif fault == "silence when used":
        r.network.trap(0, "swallow", "up").go.set()
    else:
        r.network.trap(1, how, "up").go.set()
    if fault.endswith("refused"):
        r.network.refuse()


@pytest.mark.parametrize("retries", [False, True], ids=["once", "retries"])
@pytest.mark.parametrize("wire", [STREAM, JSON], ids=lambda wire: wire.name)
@pytest.mark.parametrize("fault", KEPT)
async def test_a_fault_of_a_kept_connection(fault: KeptFault, wire: Wire, retries: bool) -> None:
    outcome, resends = KEPT[fault]
    config = IMPATIENT if fault.startswith("silence") else {}
    async with rig(wire.raw, retries=retries, **config) as r:
        async with await r.gateway.connect() as client:
            await client.send(chat_request(stream=wire.stream))
            await is_whole(client, wire.raw[wire.head_size :])
            if r.good is not None:
                await r.to_good()
            await prepare(fault, r)
            await client.send(chat_request(stream=wire.stream))
            if fault.startswith("silence"):
                await r.time_is_over()
            cured = retries and isinstance(outcome, Refused)
            if isinstance(outcome, Refused) and not cured:
                await is_refused(client, r, outcome)
            else:
                await is_whole(client, wire.raw[wire.head_size :])
        samples = await r.metrics()
        assert samples.value("smg_router_upstream_send_retries_total") == resends
        failed = isinstance(outcome, Refused)
        assert r.of_bad(samples, "failure") == failed
        assert r.of_bad(samples, "success") == 2 - failed
        if r.good is not None:
            assert len(r.good.requests) == cured
        await r.nothing_left()


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)
async def test_without_a_fault(wire: Wire) -> None:
    """The answers of the matrix are what they are meant to be."""
    async with rig(wire.raw, retries=False) as r:
        answer = await r.gateway.post(CHAT, chat(stream=wire.stream))
        if wire.stream:
            assert answer.events() == ['{"n": 1}', '{"n": 2, "text": ""}', "[DONE]"]
        else:
            assert answer.json()["object"] == "chat.completion"
        await r.nothing_left()
