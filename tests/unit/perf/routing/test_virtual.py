"""The virtual driver: deterministic, complete, and right about what affinity brings."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from perf.routing.contenders import ORACLE, REFERENCE_RULE, Contender
from perf.routing.experiments import PromptTree, ReferenceCacheAware
from perf.routing.figures import Figures, peak
from perf.routing.policies import UnknownPolicy, View, make_policy
from perf.routing.records import Record
from perf.routing.shapes import SHAPES, Shape
from perf.routing.users import MOST_TRIES, RETRY_SECONDS, Clock
from perf.routing.virtual import Run, simulate
from smg.workers import Worker

ROUND_ROBIN = Contender.parse("ours:round_robin")
REFERENCE = Contender.parse(REFERENCE_RULE)


class First:
    """Always the first worker; notes what it was told."""

    def __init__(self) -> None:
        self.ends = 0
        self.keys: set[bytes | None] = set()

    def select(self, workers: Sequence[Worker], view: Any) -> Worker | None:
        self.keys.add(view.routing_key())
        return workers[0] if workers else None

    def ended(self, worker: Worker, view: Any) -> None:
        self.ends += 1


def small(name: str) -> Shape:
    shape = SHAPES[name]
    return replace(
        shape,
        sessions=min(shape.sessions, 12),
        turns=min(shape.turns, 3),
        at_once=min(shape.at_once, 6),
    )


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("who", ["ours:round_robin", "ours:random", REFERENCE_RULE, ORACLE])
def test_every_turn_is_answered_and_repeatable(name: str, who: str) -> None:
    shape = small(name)
    records = simulate(shape, Contender.parse(who), 1)
    # `random` draws from the system: the gateway's policy takes no seed from its context.
    assert who == "ours:random" or records == simulate(shape, Contender.parse(who), 1)
    assert len(records) == shape.requests
    assert all(record.answered and record.sent <= record.first for record in records)
    figures = Figures.of(records, shape)
    assert figures.unanswered == 0
    assert bool(figures.errors) <= shape.lose_worker


def test_affinity_beats_turns_on_the_baseline() -> None:
    shape = SHAPES["baseline"]
    turns = Figures.of(simulate(shape, ROUND_ROBIN, 1), shape)
    affinity = Figures.of(simulate(shape, REFERENCE, 1), shape)
    assert affinity.hit > turns.hit
    assert affinity.mean_ms < 0.35 * turns.mean_ms


def test_the_written_rule_herds_one_prompt_on_one_worker() -> None:
    shape = SHAPES["one-prompt"]
    assert Figures.of(simulate(shape, REFERENCE, 1), shape).spread == pytest.approx(4.0)


def test_a_session_is_sequential() -> None:
    records = simulate(small("baseline"), ROUND_ROBIN, 1)
    by_session: dict[str, list[Any]] = {}
    for record in records:
        by_session.setdefault(record.session, []).append(record)
    for turns in by_session.values():
        assert [record.turn for record in turns] == [0, 1, 2]
        assert all(turns[n].ended <= turns[n + 1].sent for n in range(2))
    sessions = [
        Record("", 0, turns[0].sent, ended=turns[-1].ended) for turns in by_session.values()
    ]
    assert peak(sessions) == 6  # as many as there are places


def test_a_lost_worker_fails_what_it_has() -> None:
    records = simulate(small("worker-lost"), ROUND_ROBIN, 1)
    failed = [record for record in records if record.errors]
    assert failed
    assert all(record.reason == "worker lost" for record in failed)
    assert all(record.ended - record.sent >= RETRY_SECONDS for record in failed)


def test_a_lost_worker_gets_nothing_more() -> None:
    shape = replace(small("baseline"), workers=2)
    run = Run(shape, run_sessions(shape), First(), Clock())
    run._lose(run.workers[0])
    assert {record.worker for record in run.run()} == {run.workers[1].url}


def test_without_any_worker_users_go() -> None:
    shape = replace(small("baseline"), workers=1)
    run = Run(shape, run_sessions(shape), First(), Clock())
    run._lose(run.workers[0])
    records = run.run()
    assert [record.errors for record in records] == [MOST_TRIES] * shape.sessions
    assert Figures.of(records, shape).unanswered == shape.requests


def run_sessions(shape: Shape) -> list[Any]:
    from perf.routing.sessions import sessions

    return sessions(shape, 1)


def test_loads_return_to_zero_and_trackers_hear_of_every_end() -> None:
    shape = small("baseline")
    policy = First()
    run = Run(shape, run_sessions(shape), policy, Clock(), keys=False)
    run.run()
    assert policy.ends == shape.requests
    assert policy.keys == {None}
    assert [worker.load for worker in run.workers] == [0] * shape.workers


def test_policies_are_made_by_name() -> None:
    assert type(make_policy("round_robin")).__name__ == "RoundRobin"
    rule = make_policy(REFERENCE_RULE, flags={"cache-threshold": "0.9"})
    assert isinstance(rule, ReferenceCacheAware)
    for unknown in ("nonsense", "bucket", "perf.routing.experiments:Nobody", "no.such.module:X"):
        with pytest.raises(UnknownPolicy):
            make_policy(unknown)
    with pytest.raises(UnknownPolicy):
        simulate(SHAPES["baseline"], Contender.parse("reference:cache_aware"), 1)


def workers(*loads: int) -> list[Worker]:
    made = [Worker(f"http://10.0.0.{number + 1}") for number in range(len(loads))]
    for worker, load in zip(made, loads, strict=True):
        for _ in range(load):
            worker.acquire()
    return made


def test_the_written_rule_follows_its_worked_example() -> None:
    rule = ReferenceCacheAware(random.Random(1))
    a, b = workers(0, 0)
    known = "p" * 400
    assert rule.select([a, b], View(known)) is a  # nothing known: the first of equals
    assert rule.select([a, b], View(known + "n" * 100)) is a  # 400 of 500 match
    assert rule.select([a, b], View("q" * 50)) is b  # b was given less
    for _ in range(140):
        a.acquire()
    for _ in range(10):
        b.acquire()
    assert rule.select([a, b], View(known)) is b  # 140 > 1.5 x 75 and > 75 + 64
    assert rule.select([a, b], View(known)) is b  # now both hold it, and b has less to do
    only_a = View(known + "n" * 100)
    assert rule.select([b], only_a) is b  # not the holder: the first that is there


def test_a_child_matched_in_part_counts_as_the_node() -> None:
    tree = PromptTree()
    a, b, c = workers(0, 0, 0)
    tree.insert("system-alpha", a)
    tree.insert("system-beta", b)
    assert tree.match("system-gamma") == (7, [a, b])
    assert tree.match("system-bxxx") == (8, [b])
    assert tree.match("other") == (0, [])
    tree.insert("system-", c)
    assert tree.match("system-gamma") == (7, [a, b, c])
    assert tree.match("system-beta")[0] == 11
