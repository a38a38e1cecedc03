"""Users against simulated workers on the same loop, without a gateway between them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from perf.routing.client import Answer, read_events, unchunked
from perf.routing.contenders import Contender
from perf.routing.crowd import Crowd
from perf.routing.figures import Figures
from perf.routing.real import sim_flags
from perf.routing.records import Record
from perf.routing.sessions import sessions
from perf.routing.shapes import SHAPES, Shape
from perf.routing.virtual import simulate
from smg.sim.settings import parse
from smg.sim.worker import Worker

SPEED = 20.0
ALONE = replace(
    SHAPES["baseline"],
    workers=1,
    sessions=4,
    turns=3,
    groups=2,
    cache_blocks=150,
    at_once=1,
    think_seconds=0.0,
)


@contextlib.asynccontextmanager
async def worker(shape: Shape, *faults: str) -> AsyncIterator[int]:
    settings = replace(parse(sim_flags(shape, SPEED)), port=0, faults=faults)
    one = Worker(settings)
    await one.open()
    try:
        yield one.settings.port
    finally:
        await one.close()


async def crowd(shape: Shape, *faults: str) -> list[Record]:
    async with worker(shape, *faults) as port:
        return await Crowd(shape, sessions(shape, 1), port, SPEED).run()


async def test_one_user_at_a_time_sees_what_the_virtual_driver_computes() -> None:
    records = await crowd(ALONE)
    virtual = simulate(ALONE, Contender.parse("ours:round_robin"), 1)

    def what(record: Record) -> tuple[str, int, int, int]:
        return record.session, record.turn, record.prompt_tokens, record.cached_tokens

    assert list(map(what, records)) == list(map(what, virtual))
    assert Figures.of(records, ALONE).hit == Figures.of(virtual, ALONE).hit
    for record, expected in zip(records, virtual, strict=True):
        assert record.ttft >= expected.ttft * 0.99


@pytest.mark.parametrize(
    "shape", [replace(ALONE, at_once=3), replace(SHAPES["open-loop"], sessions=5, turns=2)]
)
async def test_several_users(shape: Shape) -> None:
    records = await crowd(shape)
    figures = Figures.of(records, shape)
    assert (figures.requests, figures.errors, figures.unanswered) == (shape.requests, 0, 0)
    assert len({record.worker for record in records}) == 1


@pytest.mark.parametrize(
    ("fault", "reason", "begun"),
    [
        ("status=503,times=2", "status 503", False),
        ("close,times=2", "connection lost", False),
        ("cut=2,times=2", "answer cut", True),
        ("error-frame=2,times=2", "error frame", True),
    ],
)
async def test_a_turn_that_fails_is_asked_again(fault: str, reason: str, begun: bool) -> None:
    records = await crowd(ALONE, fault)
    failed, *others = records
    assert failed.errors == 2
    assert failed.reason.startswith(reason)
    assert failed.answered
    pause = 0.1
    assert failed.ended - failed.sent >= 2 * pause
    # What the user waited for: the first piece of any attempt. Behind it came both pauses and a
    # whole answer.
    speaking = (ALONE.answer_tokens - 1) * ALONE.token_ms / 1e3
    assert failed.ended - failed.first >= 2 * pause + 0.9 * speaking or not begun
    assert not any(record.errors for record in others)


async def test_nobody_there_is_an_error_and_a_turn_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("perf.routing.crowd.MOST_TRIES", 2)
    async with worker(ALONE) as port:
        pass
    records = await Crowd(ALONE, sessions(ALONE, 1), port, SPEED).run()
    assert [record.errors for record in records] == [2] * ALONE.sessions
    assert all(record.reason.startswith("connect") for record in records)
    assert Figures.of(records, ALONE).unanswered == ALONE.requests


async def test_half_time_is_told_once() -> None:
    told: list[int] = []
    async with worker(ALONE) as port:
        users = Crowd(ALONE, sessions(ALONE, 1), port, SPEED)
        users.at_half = lambda: told.append(sum(record.answered for record in users.records))
        await users.run()
    assert told == [ALONE.requests // 2]


def test_chunks_are_joined() -> None:
    assert unchunked(b"3\r\nabc\r\n2;x=1\r\nde\r\n0\r\n\r\n") == b"abcde"


def test_events_are_read() -> None:
    text = b'data: {"id":"chatcmpl-0123abcd9999","choices":[{"delta":{"content":"Hi"}}]}\n\n'
    usage = (
        b'data: {"id":"chatcmpl-0123abcd9999","choices":[],"usage":{"prompt_tokens":7,'
        b'"prompt_tokens_details":{"cached_tokens":4}}}\n\n'
    )
    answer = Answer(0.0)
    assert read_events(text + text + usage + b"data: [DONE]\n\n", answer) == ""
    assert answer == Answer(0.0, "HiHi", "0123abcd", 7, 4)
    assert read_events(text + usage, Answer(0.0)) == "no [DONE]"
    assert read_events(text + b"data: [DONE]\n\n", Answer(0.0)) == "no usage"
    error = b'data: {"error":{"code":"x"}}\n\n'
    assert read_events(error + b"data: [DONE]\n\n", Answer(0.0)) == "error frame: x"
