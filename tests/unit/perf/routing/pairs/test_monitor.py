"""Load reports in virtual time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perf.routing.contenders import Contender
from perf.routing.model import WorkerModel
from perf.routing.pairs.model import DecodeModel, Speech
from perf.routing.pairs.monitor import Monitor
from perf.routing.pairs.shapes import PAIR_SHAPES
from perf.routing.pairs.virtual import measured
from perf.routing.users import Clock, Users
from smg.workers import LoadReports, RankLoad, Worker

#: 5,000 tokens are read in a second; an answer at a time, a token each 10 ms
SHAPE = replace(PAIR_SHAPES["long-answers"], places=1, token_ms=10.0)
PREFILL, DECODE = Worker("http://10.1.0.1"), Worker("http://10.2.0.1")


class Patient(Users):
    """Users who are not over until they are told."""

    done = False

    @property
    def over(self) -> bool:
        return self.done


def test_workers_tell_what_waits_and_how_fast_they_are() -> None:
    clock = Clock()
    reader, speaker = WorkerModel(SHAPE), DecodeModel(SHAPE, clock)
    users = Patient(SHAPE, [], clock, keys=False)
    reports = LoadReports()
    seen: list[tuple[RankLoad, RankLoad]] = []

    def note(urls: frozenset[str]) -> None:
        loads = [reports.get(worker.url) for worker in (PREFILL, DECODE)]
        assert all(loads)
        seen.append(tuple(load.ranks[0] for load in loads if load))  # type: ignore[arg-type]
        users.done = len(seen) == 2

    reports.subscribe(note)
    monitor = Monitor(reports, clock, 1.0, {PREFILL: reader}, {DECODE: speaker})
    monitor.follow(users)
    for letter in "abc":
        reader.admit(0.0, letter * 16_000, 1)  # 0.8 s each
        speaker.fetch(Speech(letter * 400, 501, lambda: None, lambda: None))
    clock.run()
    first, (prefill, decode) = seen
    for load in first:
        assert (load.waiting_requests, load.waiting_uncached_tokens) == (0, 0)
        assert load.token_usage == load.gen_throughput == 0.0
    assert prefill.waiting_requests == 1
    assert prefill.waiting_uncached_tokens == 7_000
    assert prefill.gen_throughput == 2.0  # of three prompts one was not begun
    assert decode.waiting_requests == 2
    assert decode.waiting_uncached_tokens == 200
    assert decode.gen_throughput == pytest.approx(100, abs=1)
    assert decode.token_usage == pytest.approx(100 / 1_000_000)


def test_a_run_ends_though_reports_could_go_on() -> None:
    shape = replace(PAIR_SHAPES["baseline"], sessions=3, turns=2, at_once=2)
    often = Contender.parse("ours:least_load+load-monitor-interval=1")
    records, figures = measured(shape, often, 1)
    assert figures.unanswered == 0
    assert len(records) == shape.requests
