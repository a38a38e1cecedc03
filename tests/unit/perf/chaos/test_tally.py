from __future__ import annotations

import math

import pytest

from perf.chaos.report import bounds
from perf.chaos.tally import Record, Tally
from perf.chaos.verdict import NOTHING_CAME, Verdict


def tally(*records: tuple[Verdict, str]) -> Tally:
    made = Tally()
    for number, (verdict, reason) in enumerate(records):
        made.add(Record(verdict, reason, "stall", at=number / 2, took=0.1))
    return made


MIXED = tally(
    *[(Verdict.RIGHT, "")] * 6,
    (Verdict.FAILED, "status 502"),
    (Verdict.HUNG, NOTHING_CAME),
    (Verdict.HUNG, "in the answer"),
    (Verdict.CUT, "framing broken off"),
    (Verdict.CUT, "framing broken off"),
    (Verdict.WRONG, "another text"),
    (Verdict.LEFT, ""),
)


def test_what_could_be_retried() -> None:
    """Cut and wrong answers, clients that left and hangs in an answer are no part of it."""
    assert MIXED.retryable == 6 + 1 + 1
    assert MIXED.success == 6 / 8


def test_all_that_waited() -> None:
    assert (MIXED.ended, MIXED.judged) == (13, 12)
    assert MIXED.right_of_all == 6 / 12


def test_nothing_is_no_success() -> None:
    assert math.isnan(Tally().success)
    assert not bounds(Tally(), 0, {})[0].held


def test_by_fault_and_by_second() -> None:
    assert MIXED.by_fault["stall"][Verdict.CUT] == 2
    assert [MIXED.by_second[second][Verdict.RIGHT] for second in (0, 1, 2, 3)] == [2, 2, 2, 0]
    assert MIXED.milliseconds(50) == pytest.approx(100)


def missed(made: Tally, strays: int = 0, left: dict[str, object] | None = None) -> list[str]:
    return [
        bound.name.split(",")[0] for bound in bounds(made, strays, left or {}) if not bound.held
    ]


def test_bounds() -> None:
    good = tally(*[(Verdict.RIGHT, "")] * 999, (Verdict.FAILED, "status 502"))
    assert missed(good) == []
    assert missed(tally(*[(Verdict.RIGHT, "")] * 99, (Verdict.FAILED, ""))) == [
        "right answers to requests that could be retried"
    ]
    assert missed(tally((Verdict.RIGHT, ""), (Verdict.CUT, "framing broken off"))) == []
    assert missed(tally((Verdict.RIGHT, ""), (Verdict.WRONG, "another text"))) == ["wrong bodies"]
    assert missed(tally((Verdict.RIGHT, ""), (Verdict.HUNG, "in the answer"))) == ["hung requests"]
    assert missed(good, strays=1) == ["wrong bodies"]
    assert missed(good, left={"sockets": 1}) == ["left behind in the gateway"]
    assert not all(bound.held for bound in bounds(good, 0, {}, ended=True))
