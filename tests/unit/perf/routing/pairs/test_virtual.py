"""Pairs in virtual time: deterministic, complete; each role's policy matters where it should."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from perf.routing.contenders import REFERENCE_RULE, Contender
from perf.routing.pairs.figures import PairFigures
from perf.routing.pairs.shapes import PAIR_SHAPES, PairShape
from perf.routing.pairs.virtual import PairRun, measured
from perf.routing.policies import UnknownPolicy
from perf.routing.sessions import sessions
from perf.routing.users import MOST_TRIES, Clock
from smg.workers import Worker

FEWEST = "perf.routing.experiments:LeastInFlight"


def small(name: str) -> PairShape:
    shape = PAIR_SHAPES[name]
    return replace(
        shape,
        sessions=min(shape.sessions, 12),
        turns=min(shape.turns, 3),
        at_once=min(shape.at_once, 6),
    )


def figures(shape: str, who: str, seed: int = 1) -> PairFigures:
    return measured(PAIR_SHAPES[shape], Contender.parse(who), seed)[1]


class Last:
    """Always the last worker; notes what it was told."""

    def __init__(self, *, picks: bool = True) -> None:
        self.picks = picks
        self.told: list[tuple[str, str]] = []

    def select(self, workers: Sequence[Worker], view: Any) -> Worker | None:
        view.ticket += 1
        return workers[-1] if self.picks else None

    def first_byte(self, worker: Worker, view: Any) -> None:
        assert view.ticket == 1  # a view of its own for each leg
        self.told.append(("first", worker.url))

    def ended(self, worker: Worker, view: Any) -> None:
        self.told.append(("ended", worker.url))


@pytest.mark.parametrize("name", PAIR_SHAPES)
@pytest.mark.parametrize("who", ["ours:round_robin", "ours:cache_aware/least_load", REFERENCE_RULE])
def test_every_turn_is_answered_and_repeatable(name: str, who: str) -> None:
    shape = small(name)
    records, found = measured(shape, Contender.parse(who), 1)
    assert len(records) == shape.requests
    assert all(record.answered and record.sent < record.first for record in records)
    assert (found.errors, found.unanswered) == (0, 0)
    if who != "ours:cache_aware/least_load":  # whose ties fall by chance
        assert records == measured(shape, Contender.parse(who), 1)[0]


def test_both_roles_hear_of_every_request_and_loads_return_to_zero() -> None:
    shape = small("baseline")
    prefill, decode = Last(), Last()
    run = PairRun(shape, list(sessions(shape, 1)), prefill, decode, Clock())
    records = run.run()
    for policy, workers in ((prefill, run.prefills), (decode, run.decodes)):
        expected = [(what, workers[-1].url) for what in ("first", "ended")] * shape.requests
        assert sorted(policy.told) == sorted(expected)
    assert [worker.load for worker in (*run.prefills, *run.decodes)] == [0] * 8
    assert {record.worker for record in records} == {run.decodes[-1].url}
    assert [tally.requests for tally in run.tallies.values()] == [0, 0, 0, shape.requests]


def test_without_a_decode_worker_nobody_reads_the_prompt() -> None:
    shape = small("baseline")
    prefill = Last()
    run = PairRun(shape, list(sessions(shape, 1)), prefill, Last(picks=False), Clock())
    records = run.run()
    assert [record.errors for record in records] == [MOST_TRIES] * shape.sessions
    assert {record.reason for record in records} == {"no pair"}
    assert [worker.load for worker in run.prefills] == [0] * 4
    assert not any(tally.requests for tally in run.tallies.values())


def test_prefills_policy_decides_where_prompts_are_shared() -> None:
    turns = figures("baseline", "ours:round_robin")
    affinity = figures("baseline", "ours:cache_aware/round_robin")
    assert affinity.hit > turns.hit
    assert affinity.mean_ms < 0.5 * turns.mean_ms


def test_decodes_policy_decides_where_answers_are_long() -> None:
    turns = figures("long-answers", "ours:cache_aware/round_robin")
    fewest = figures("long-answers", f"ours:cache_aware/{FEWEST}")
    assert fewest.mean_ms < 0.5 * turns.mean_ms
    assert fewest.peak < turns.peak


def test_a_policy_that_reads_reports_gets_them() -> None:
    # Between two reports least_load counts what it sent and not what is over: nearly turns.
    reported = figures("long-answers", "ours:cache_aware/least_load")
    fewest = figures("long-answers", f"ours:cache_aware/{FEWEST}")
    assert fewest.mean_ms < 0.7 * reported.mean_ms


def test_decodes_policy_decides_what_a_slow_link_carries() -> None:
    least = figures("documents", "ours:cache_aware/least_load")
    affinity = figures("documents", "ours:cache_aware")
    assert affinity.decode_hit > least.decode_hit + 0.2
    assert affinity.mean_ms < least.mean_ms


def test_bucket_is_for_prefill_only() -> None:
    shape = small("baseline")
    assert measured(shape, Contender.parse("ours:bucket/least_load"), 1)[1].errors == 0
    with pytest.raises(UnknownPolicy):
        measured(shape, Contender.parse("ours:least_load/bucket"), 1)
    with pytest.raises(UnknownPolicy):
        measured(shape, Contender.parse("reference:cache_aware"), 1)
