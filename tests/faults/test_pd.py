"""A leg of a pair fails, or the client leaves: every row of docs/guide/pd.md.

Afterwards no KV block is held, no load is left and nobody waits.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from smg.reliability import breaker
from tests.doubles.gateway import free_port
from tests.doubles.pairs import Fleet, pairs, raw_pair
from tests.doubles.raw_client import Answer, ClosedEarly
from tests.doubles.raw_server import Peer
from tests.doubles.sim import SimWorker
from tests.doubles.traffic import CHAT, chat, error_of, nothing_left, send_chat, until

NIXL = {"connector": "NixlConnector"}
ENGINES: dict[str, dict[str, Any]] = {"sglang": {}, "vllm": NIXL}
BOTH = pytest.mark.parametrize("engine", ENGINES)
STREAMED = pytest.mark.parametrize("stream", [False, True])
#: reading the prompt takes long enough to do something meanwhile; nobody waits for its end
SLOW = {"prefill_tokens_per_second": 0.01, "token_latency_ms": 1.0}


def failed(answer: Answer, status: int, code: str) -> dict[str, Any]:
    assert answer.status == status, answer
    error = error_of(answer.body)
    assert error["code"] == answer.header("x-smg-error-code") == code
    return error


def charged(fleet_or_gateway: Any) -> dict[str, tuple[int, int]]:
    """Good and bad results that the breakers were told, by role."""
    gateway = getattr(fleet_or_gateway, "gateway", fleet_or_gateway)
    told: dict[str, tuple[int, int]] = {}
    for worker in gateway.registry.all():
        good, bad = told.get(worker.worker_type, (0, 0))
        told[worker.worker_type] = good + worker.breaker.good, bad + worker.breaker.bad
    return told


async def silent(peer: Peer) -> None:
    await peer.read_request()
    await peer.finished.wait()


async def friendly(peer: Peer) -> None:
    while True:
        await peer.read_request()
        await peer.respond(200, {"ok": 1})


# -- a leg refuses the connection ------------------------------------------------------------------


def move_to_nobody(fleet: Fleet, worker: SimWorker) -> None:
    """From now on nobody listens where the gateway looks for this worker."""
    pool = fleet.gateway.upstream.pool(worker.url)
    for conn in list(pool.idle):
        conn.transport.close()
    pool.origin = type(pool.origin).parse(f"http://127.0.0.1:{free_port()}")


@BOTH
@STREAMED
@pytest.mark.parametrize("role", ["prefill", "decode"])
async def test_refused(engine: str, stream: bool, role: str) -> None:
    # what an instant prefill committed is held until the engine's timer: nobody can take it
    async with pairs(engine, sim={"kv_timeout_secs": 0.2}, **ENGINES[engine]) as fleet:
        broken, sound = fleet.prefills[0], fleet.decodes[0]
        if role == "decode":
            broken, sound = sound, broken
        move_to_nobody(fleet, broken)
        answer = await fleet.gateway.post(CHAT, chat(stream=stream))
        error = failed(answer, 502, f"{role}_request_failed")
        assert role in error["message"]
        assert str(broken.port) not in answer.body.decode()
        await fleet.at_rest()
        told = charged(fleet)
        assert told[role] == (0, 1)
        other = "decode" if role == "prefill" else "prefill"
        assert told[other][1] == 0
        if engine == "vllm" and role == "prefill":
            assert not sound.engine.requests[CHAT]  # decode was not asked


@BOTH
@pytest.mark.parametrize("role", ["prefill", "decode"])
async def test_refused_and_another_pair_serves_at_once(engine: str, role: str) -> None:
    two: dict[str, Any] = {"prefills": 2} if role == "prefill" else {"decodes": 2}
    config: dict[str, Any] = {**ENGINES[engine], "sim": {"kv_timeout_secs": 0.2}}
    async with pairs(engine, **two, **config) as fleet:
        workers = fleet.prefills if role == "prefill" else fleet.decodes
        move_to_nobody(fleet, workers[0])
        for _ in range(4):
            assert (await fleet.gateway.post(CHAT, chat())).status == 200
        assert workers[1].engine.completed == 4
        await fleet.at_rest()
        assert (await fleet.gateway.metrics()).value("smg_worker_retries_total") == 0


async def test_refused_and_nobody_else_is_tried_again_with_pauses() -> None:
    """Row 42: five attempts, the decode request is cancelled each time."""
    async with pairs(disable_retries=False) as fleet:
        move_to_nobody(fleet, fleet.prefills[0])
        failed(await fleet.gateway.post(CHAT, chat()), 502, "prefill_request_failed")
        await fleet.at_rest()
        assert charged(fleet) == {"prefill": (0, 5), "decode": (0, 0)}
        samples = await fleet.gateway.metrics()
        for role in ("prefill", "decode"):
            assert samples.value("smg_worker_retries_total", worker_type=role) == 4
        assert samples.value("smg_worker_retries_exhausted_total") == 1


# -- a leg answers with an error -------------------------------------------------------------------

WORDS = {
    400: (400, "bad_request"),
    404: (404, "not_found"),
    500: (500, "internal_error"),
    502: (502, "bad_gateway"),
    503: (503, "unavailable"),
    418: (500, "error"),
    429: (429, "rate_limited"),
    302: (500, "error"),
}
SAID = {
    "openai": ('{"error": {"message": "out of cheese"}}', "out of cheese"),
    "flat": ('{"message": "out of cheese"}', "out of cheese"),
    "text": ("out of cheese", "out of cheese"),
    "number": ("42", "42"),
    "empty": ("", ""),
}


@STREAMED
@pytest.mark.parametrize("status", WORDS)
async def test_decode_answers_with_an_error(status: int, stream: bool) -> None:
    async def decode(peer: Peer) -> None:
        await peer.read_request()
        await peer.respond(status, SAID["openai"][0])
        await peer.finished.wait()

    for engine in ENGINES:
        prefill = friendly if engine == "vllm" else silent
        async with raw_pair(prefill, decode, engine=engine) as (gateway, _, _):
            answer = await gateway.post(CHAT, chat(stream=stream))
            wanted, word = WORDS[status]
            assert failed(answer, wanted, f"decode_{word}")["message"] == "out of cheese"
            await nothing_left(gateway)
            told = charged(gateway)
            assert told["decode"][1] == (1 if status in (500, 502, 503) else 0)
            assert told["prefill"][1] == 0


@pytest.mark.parametrize("kind", SAID)
async def test_what_decode_says_is_passed_on(kind: str) -> None:
    body, message = SAID[kind]

    async def decode(peer: Peer) -> None:
        await peer.read_request()
        await peer.respond(503, body)
        await peer.finished.wait()

    async with raw_pair(silent, decode) as (gateway, _, _):
        error = failed(await gateway.post(CHAT, chat()), 503, "decode_unavailable")
        assert error["message"] == message


@STREAMED
@pytest.mark.parametrize("status", WORDS)
async def test_prefill_answers_with_an_error(status: int, stream: bool) -> None:
    body = SAID["openai"][0]

    async def prefill(peer: Peer) -> None:
        await peer.read_request()
        await peer.respond(status, body)
        await peer.finished.wait()

    for engine in ENGINES:
        async with raw_pair(prefill, silent, engine=engine) as (gateway, _, decode):
            answer = await gateway.post(CHAT, chat(stream=stream))
            wanted, word = WORDS[status]
            if engine == "vllm":
                error = failed(answer, status, "prefill_upstream_error")
                assert not decode.requests
            else:
                error = failed(answer, wanted, f"prefill_{word}")
                peer = next(peer for peer in decode.connections if peer.requests)
                await peer.closed.wait()  # decode was cancelled
            assert error["message"] == f"Prefill server error ({status}): out of cheese"
            await nothing_left(gateway)
            told = charged(gateway)
            assert told["prefill"][1] == (1 if status in (500, 502, 503) else 0)
            assert told["decode"] == (0, 0)


@BOTH
@pytest.mark.parametrize("role", ["prefill", "decode"])
@pytest.mark.parametrize(
    ("asked", "told"), [("7", "7"), (None, None), ("soon", None), ("9" * 13, None)]
)
async def test_a_rate_limit_stays_one(
    engine: str, role: str, asked: str | None, told: str | None
) -> None:
    """And the client learns when to come back."""
    extra = b"" if asked is None else f"Retry-After: {asked}\r\n".encode()

    async def refuses(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 429 X\r\n" + extra + b"Content-Length: 4\r\n\r\nfull")
        await peer.finished.wait()

    partner = friendly if (engine, role) == ("vllm", "decode") else silent
    scripts = (refuses, partner) if role == "prefill" else (partner, refuses)
    async with raw_pair(*scripts, engine=engine) as (gateway, _, _):
        answer = await gateway.post(CHAT, chat())
        own = (engine, role) == ("vllm", "prefill")
        code = "prefill_upstream_error" if own else f"{role}_rate_limited"
        error = failed(answer, 429, code)
        assert error["type"] == "rate_limit_error"
        assert error["message"].endswith("full")
        assert answer.header("retry-after") == told
        await nothing_left(gateway)
        assert charged(gateway)[role] == (0, 0)


@pytest.mark.parametrize("role", ["prefill", "decode"])
async def test_an_error_that_breaks_off(role: str) -> None:
    async def half(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 503 X\r\nContent-Length: 100\r\n\r\nhalf")
        peer.close()

    scripts = (half, silent) if role == "prefill" else (silent, half)
    async with raw_pair(*scripts) as (gateway, _, _):
        failed(await gateway.post(CHAT, chat()), 503, f"{role}_read_failed")
        await nothing_left(gateway)


@BOTH
@pytest.mark.parametrize("role", ["prefill", "decode"])
async def test_an_error_is_tried_again_with_another_pair(engine: str, role: str) -> None:
    config = {**ENGINES[engine], "sim": {"kv_timeout_secs": 0.2}, "disable_retries": False}
    async with pairs(engine, prefills=2, decodes=2, **config) as fleet:
        workers = fleet.prefills if role == "prefill" else fleet.decodes
        workers[0].fault("status=503")
        for _ in range(4):
            assert (await fleet.gateway.post(CHAT, chat())).status == 200
        assert workers[0].engine.completed == 0
        assert workers[1].engine.completed == 4
        await fleet.at_rest()
        other = "decode" if role == "prefill" else "prefill"
        assert charged(fleet)[other][1] == 0


# -- a leg breaks off ------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("role", ["prefill", "decode"])
async def test_cut_before_its_head(engine: str, how: str, role: str) -> None:
    async def dies(peer: Peer) -> None:
        await peer.read_request()
        getattr(peer, how)()

    partner = friendly if (engine, role) == ("vllm", "decode") else silent
    scripts = (dies, partner) if role == "prefill" else (partner, dies)
    async with raw_pair(*scripts, engine=engine) as (gateway, _, _):
        # kept connections die as well: that may be healed once, by a fresh one
        failed(await gateway.post(CHAT, chat()), 502, f"{role}_request_failed")
        await nothing_left(gateway)
        told = charged(gateway)
        assert told[role] == (0, 1)
        assert told["decode" if role == "prefill" else "prefill"][1] == 0


async def test_prefill_cut_after_its_head_while_decode_is_silent() -> None:
    async def prefill(peer: Peer) -> None:
        await peer.read_request()
        await peer.start_stream()
        peer.close()

    async with raw_pair(prefill, silent) as (gateway, _, decode):
        failed(await gateway.post(CHAT, chat()), 502, "prefill_request_failed")
        await (await decode.connection()).closed.wait()
        await nothing_left(gateway)
        assert charged(gateway) == {"prefill": (0, 1), "decode": (0, 0)}


async def test_prefill_cut_after_its_head_and_decodes() -> None:
    """Decode's head is out, no byte of its body: it would wait for ever."""
    begun = asyncio.Event()

    async def prefill(peer: Peer) -> None:
        await peer.read_request()
        await peer.start_stream()
        await begun.wait()
        peer.close()

    async def decode(peer: Peer) -> None:
        await peer.read_request()
        await peer.start_stream()
        await peer.finished.wait()

    async with raw_pair(prefill, decode) as (gateway, _, _):
        async with await gateway.connect() as client:
            await send_chat(client, stream=True)
            head = await client.read_head()
            begun.set()
            body = await client.read_body(head)
        assert b"upstream_stream_cut" in body
        assert b"prefill" in body
        await nothing_left(gateway)
        assert charged(gateway) == {"prefill": (0, 1), "decode": (0, 0)}


async def test_prefill_cut_after_decode_spoke_costs_nothing() -> None:
    said = asyncio.Event()

    async def prefill(peer: Peer) -> None:
        await peer.read_request()
        await peer.start_stream()
        await said.wait()
        peer.close()

    async def decode(peer: Peer) -> None:
        await peer.read_request()
        await peer.start_stream()
        await peer.send_event({"n": 1})
        await said.wait()
        await until(lambda: charged(gateway)["prefill"] == (0, 1))
        await peer.end_stream()

    async with raw_pair(prefill, decode) as (gateway, _, _):
        async with await gateway.connect() as client:
            await send_chat(client, stream=True)
            head = await client.read_head()
            assert await client.read_chunk() == b'data: {"n": 1}\n\n'
            said.set()
            assert await client.read_body(head) == b"data: [DONE]\n\n"
        await nothing_left(gateway)
        assert charged(gateway) == {"prefill": (0, 1), "decode": (1, 0)}


async def test_vllm_prefill_cut_in_its_answer() -> None:
    async def prefill(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        peer.close()

    async with raw_pair(prefill, silent, engine="vllm") as (gateway, _, decode):
        failed(await gateway.post(CHAT, chat()), 502, "prefill_read_failed")
        assert not decode.requests
        await nothing_left(gateway)
        assert charged(gateway) == {"prefill": (0, 1), "decode": (0, 0)}


@BOTH
@pytest.mark.parametrize("fault", ["cut", "cut-mid-frame=2", "reset=3", "error-frame=2"])
async def test_decode_cut_in_its_answer(engine: str, fault: str) -> None:
    async with pairs(engine, **ENGINES[engine]) as fleet:
        fleet.decodes[0].fault(fault)
        try:
            answer = await fleet.gateway.post(CHAT, chat(stream=True))
            assert "error" in answer.body.decode()
        except ClosedEarly:
            pass  # in the middle of a frame nothing can be said
        await fleet.at_rest()
        if not fault.startswith("error-frame"):
            assert charged(fleet) == {"prefill": (1, 0), "decode": (0, 1)}


# -- nobody says anything --------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("role", ["prefill", "decode"])
async def test_a_leg_that_says_nothing_is_named(engine: str, role: str) -> None:
    partner = friendly if (engine, role) == ("vllm", "decode") else silent
    if engine == "sglang" and role == "decode":
        partner = friendly
    scripts = (silent, partner) if role == "prefill" else (partner, silent)
    for limit in ("upstream_first_byte_timeout_secs", "request_timeout_secs"):
        config: dict[str, Any] = {limit: 0.1, "engine": engine}
        async with raw_pair(*scripts, **config) as (gateway, _, _):
            error = failed(await gateway.post(CHAT, chat()), 504, f"{role}_request_failed")
            assert role in error["message"]
            await nothing_left(gateway)
            told = charged(gateway)
            assert told[role] == (0, 1)
            assert told["decode" if role == "prefill" else "prefill"][1] == 0


async def test_decode_that_waits_for_the_prompts_logprobs_is_not_to_blame() -> None:
    async def prefill(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        await peer.finished.wait()

    async with raw_pair(prefill, friendly, request_timeout_secs=0.1) as (gateway, _, _):
        body = {"model": "test-model", "text": "x", "return_logprob": True}
        failed(await gateway.post("/generate", body), 504, "prefill_request_failed")
        await nothing_left(gateway)
        assert charged(gateway) == {"prefill": (0, 1), "decode": (0, 0)}


async def test_the_gateway_stops_with_pairs_in_flight() -> None:
    async with raw_pair(silent, silent) as (gateway, prefill, decode):
        async with await gateway.connect() as client:
            await send_chat(client)
            await prefill.request()
            await decode.request()
            await gateway.stop()
            assert (await client.answer()).status == 503


# -- breakers --------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("role", ["prefill", "decode"])
async def test_nothing_is_sent_while_a_breaker_is_open(engine: str, role: str) -> None:
    async with pairs(engine, cb_failure_threshold=1, **ENGINES[engine]) as fleet:
        workers = fleet.prefills if role == "prefill" else fleet.decodes
        workers[0].fault("status=500,times=1")
        assert (await fleet.gateway.post(CHAT, chat())).status == 500
        before = [w.engine.requests[CHAT] for w in (*fleet.prefills, *fleet.decodes)]
        failed(await fleet.gateway.post(CHAT, chat()), 503, "no_available_workers")
        after = [w.engine.requests[CHAT] for w in (*fleet.prefills, *fleet.decodes)]
        assert after == before
        # half-open: a trial of both halves ends it
        (worker,) = (w for w in fleet.gateway.registry.all() if w.worker_type == role)
        assert worker.breaker.state == breaker.OPEN
        worker.breaker.tick(worker.breaker.due)
        for _ in range(3):
            assert (await fleet.gateway.post(CHAT, chat())).status == 200
        assert worker.breaker.state == breaker.CLOSED
        for store in (w.kv for w in fleet.prefills):
            for holding in list(store.holdings.values()):
                store.release(holding)
        await fleet.at_rest()


# -- the client leaves -----------------------------------------------------------------------------


async def leave(fleet: Fleet, **more: Any) -> None:
    """Send a request; leave when the caller's `when` is true."""
    when = more.pop("when")
    async with await fleet.gateway.connect() as client:
        await send_chat(client, **more)
        await until(when)


@BOTH
@STREAMED
async def test_the_client_leaves_before_prefill_answers(engine: str, stream: bool) -> None:
    async with pairs(engine, prefill_sim=SLOW, **ENGINES[engine]) as fleet:
        await leave(fleet, stream=stream, when=lambda: fleet.held > 0)
        await fleet.at_rest()
        assert fleet.kv("freed") == 1
        assert fleet.kv("expired") == 0
        assert fleet.prefills[0].engine.aborted == 1
        if engine == "vllm":
            assert not fleet.decodes[0].engine.requests[CHAT]
        assert charged(fleet) == {"prefill": (0, 0), "decode": (0, 0)}


@BOTH
@STREAMED
async def test_the_client_leaves_while_decode_takes_the_cache(engine: str, stream: bool) -> None:
    """Decode is kept until it has the cache; it counts as load, the request does not."""
    # uvloop's timers: the transfer is over long after the client left, and before the limit
    slow = {"kv_transfer_ms": 150.0}
    async with pairs(engine, prefill_sim=slow, **ENGINES[engine]) as fleet:
        gateway = fleet.gateway
        engine_of_decode = fleet.decodes[0].engine
        await leave(fleet, stream=stream, when=lambda: fleet.kv("waiting") == 1)
        await until(lambda: not gateway.server.exchanges)
        assert len(gateway.product.backend.kept) == 1
        loads = {worker.worker_type: worker.load for worker in gateway.registry.all()}
        assert loads == {"prefill": 0, "decode": 1}
        await fleet.at_rest()
        assert fleet.kv("taken") == 1
        assert fleet.kv("expired") == 0
        assert engine_of_decode.requests[CHAT] == 1


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_kept_decode_leg_has_a_limit(engine: str) -> None:
    never = {"kv_transfer_ms": 60_000.0, "kv_timeout_secs": 0.5}
    async with pairs(engine, prefill_sim=never, **ENGINES[engine]) as fleet:
        backend = fleet.gateway.product.backend
        assert backend.kept.seconds == backend.draining.seconds == 30
        backend.kept.seconds = backend.draining.seconds = 0.1
        await leave(fleet, when=lambda: fleet.kv("waiting") == 1)
        await fleet.at_rest()
        assert fleet.kv("expired") == 1  # by the engine's timer, as nobody took it


@BOTH
async def test_the_client_leaves_after_decode_spoke(engine: str) -> None:
    async with pairs(engine, decode_sim={"token_latency_ms": 20.0}, **ENGINES[engine]) as fleet:
        async with await fleet.gateway.connect() as client:
            await send_chat(client, stream=True, max_tokens=10_000)
            await client.read_head()
            await client.read_chunk()
        await until(lambda: fleet.decodes[0].engine.aborted == 1)
        assert not fleet.gateway.product.backend.kept
        await fleet.at_rest()
        assert fleet.kv("taken") == 1


async def test_the_client_leaves_in_the_middle_of_a_vllm_prefills_answer() -> None:
    """Its head is there: the cache is kept, so decode is asked to take it."""
    half, rest = asyncio.Event(), asyncio.Event()

    async def prefill(peer: Peer) -> None:
        await peer.read_request()
        body = b'{"kv_transfer_params": {"do_remote_prefill": true}}'
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:9])
        half.set()
        await rest.wait()
        await peer.send(body[9:])

    for connector, asked in (("NixlConnector", 1), ("Other", 0)):
        half.clear()
        rest.clear()
        async with raw_pair(prefill, friendly, engine="vllm") as (gateway, _, decode):
            for worker in gateway.registry.all():
                worker.labels["kv_connector"] = connector
            async with await gateway.connect() as client:
                await send_chat(client)
                await half.wait()
                await until(lambda: _answered(gateway))
            await until(lambda: not gateway.server.exchanges)
            rest.set()
            await nothing_left(gateway)
            assert len(decode.requests) == asked
            assert not gateway.product.backend.kept


def _answered(gateway: Any) -> bool:
    (exchange,) = gateway.server.exchanges
    leg = exchange.consumer and exchange.consumer._leg
    return leg is not None and leg.answered


async def test_passthrough_keeps_nothing() -> None:
    async with raw_pair(friendly, silent, engine="vllm") as (gateway, _, decode):
        async with await gateway.connect() as client:
            await send_chat(client)
            await decode.request()
        peer = next(peer for peer in decode.connections if peer.requests)
        await peer.closed.wait()
        assert not gateway.product.backend.kept
        await nothing_left(gateway)


# -- chaos -----------------------------------------------------------------------------------------

FAULTS = (
    "status=500",
    "status=503",
    "status=429",
    "close",
    "partial-head",
    "garbage",
    "cut=2",
    "cut-mid-frame=2",
    "reset=1",
)


@BOTH
@pytest.mark.limit(30)
@pytest.mark.parametrize("slots", [-1, 2])
async def test_chaos(engine: str, slots: int) -> None:
    """Faults of both roles, and clients that leave at any moment: every request ends, and every
    slot of a prefill worker comes back.
    """
    dice = random.Random(engine)
    timing = {"token_latency_ms": 1.0, "prefill_tokens_per_second": 2000.0, "kv_timeout_secs": 1.0}
    config: dict[str, Any] = {
        **ENGINES[engine],
        "prefill_sim": {**timing, "kv_transfer_ms": 3.0},
        "decode_sim": timing,
        "disable_retries": False,
        "cb_failure_threshold": 1_000_000,
        "prefill_max_inflight_requests_per_worker": slots,
    }
    async with pairs(engine, prefills=3, decodes=3, **config) as fleet:
        for number, fault in enumerate(FAULTS):
            for workers in (fleet.prefills, fleet.decodes):
                one = workers[dice.randrange(3)]
                one.fault(f"{fault},probability=0.1,seed={number}")

        async def request() -> int:
            body = chat(stream=dice.random() < 0.5, max_tokens=dice.randrange(1, 20))
            if dice.random() < 0.7:
                try:
                    return (await fleet.gateway.post(CHAT, body)).status
                except ClosedEarly:
                    return -1
            async with await fleet.gateway.connect() as client:
                await send_chat(client, **{k: v for k, v in body.items() if k != "model"})
                await asyncio.sleep(dice.random() * 0.03)
            return 0

        results: list[int] = []
        for _ in range(6):
            results += await asyncio.gather(*(request() for _ in range(40)))
        await fleet.at_rest(10)
        assert results.count(200) > 120
        assert {200, 0} <= set(results) <= {200, 0, -1, 429, 500, 502, 503}
        assert fleet.kv("taken") > 120
