"""Whether and when an attempt is repeated (routing-reliability 17)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smg.reliability.budget import Budget
from smg.reliability.retry import (
    AWAY,
    BEGUN,
    EXHAUSTED,
    FINAL,
    LATE,
    NEVER,
    NOBODY,
    RETRY,
    SUPPRESSED,
    backoff,
    untried,
    verdict,
)
from smg.reliability.settings import RetrySettings

PLAIN = RetrySettings(jitter=0.0)
NOW = 1000.0


def ask(settings: RetrySettings = PLAIN, budget: Budget | None = None, **case: Any):
    case = {"attempts": 1, "status": 503, "random": 0.5, **case}
    return verdict(settings, budget or Budget(), NOW, **case)


# -- back-off --------------------------------------------------------------------------------------


def test_the_numbers_of_the_specification():
    assert [backoff(PLAIN, attempts, 0.9) for attempts in (1, 2, 3, 4)] == [
        0.050,
        0.075,
        0.112,
        0.168,
    ]


def test_jitter_is_a_share_either_way_also_at_the_cap():
    settings = RetrySettings()
    assert backoff(settings, 1, 0.0) == pytest.approx(0.040)
    assert backoff(settings, 1, 0.5) == pytest.approx(0.050)
    assert backoff(settings, 1, 1.0) == pytest.approx(0.060)
    assert backoff(settings, 100, 0.0) == pytest.approx(24.0)
    assert backoff(settings, 100, 1.0) == pytest.approx(36.0)
    assert backoff(RetrySettings(jitter=1.0), 1, 0.0) == 0


def test_the_cap_holds_however_many_attempts():
    assert backoff(PLAIN, 10**6, 0.5) == 30
    assert backoff(RetrySettings(multiplier=1.0, jitter=0.0), 10**6, 0.5) == 0.05


@given(
    st.integers(1, 1000),
    st.integers(0, 60_000),
    st.floats(1, 10),
    st.floats(0, 1),
    st.integers(1, 5000),
    st.floats(0, 1),
)
def test_back_off_stays_within_its_bounds(initial, more, multiplier, jitter, attempts, random):
    settings = RetrySettings(5, initial, initial + more, multiplier, jitter)
    pause = backoff(settings, attempts, random)
    assert initial * (1 - jitter) * 0.999999 <= pause * 1000
    assert 0 <= pause * 1000 <= (initial + more) * (1 + jitter) * 1.000001


# -- verdict ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_again(status):
    answer = ask(status=status)
    assert (answer.reason, answer.wait, answer.again) == (RETRY, 0.05, True)


@pytest.mark.parametrize("status", [200, 204, 301, 400, 401, 403, 404, 409, 413, 422, 499, 501])
def test_an_answer_is_final(status):
    answer = ask(status=status)
    assert (answer.reason, answer.wait, answer.again) == (FINAL, 0.0, False)


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ({"begun": True}, BEGUN),  # never after a byte
        ({"attempts": 4}, RETRY),
        ({"attempts": 5}, EXHAUSTED),
        ({"attempts": 6}, EXHAUSTED),
        ({"deadline": NOW + 0.051}, RETRY),
        ({"deadline": NOW + 0.05}, LATE),
        ({"deadline": NOW - 1}, LATE),
    ],
)
def test_when_not(case, reason):
    assert ask(**case).reason == reason


def test_row_28_two_attempts_are_two_calls():
    settings = RetrySettings(attempts=2, jitter=0.0)
    assert ask(settings, attempts=1, status=500).reason == RETRY
    assert ask(settings, attempts=2, status=500).reason == EXHAUSTED


def test_row_30_retries_switched_off():
    assert ask(RetrySettings(attempts=1), status=500).reason == EXHAUSTED


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("others", "asked", "expected"),
    [
        (True, 2.0, (RETRY, 0.05)),  # somebody else may have time now
        (False, 0.0, (RETRY, 0.05)),
        (False, 0.01, (RETRY, 0.05)),  # at least the back-off
        (False, 2.0, (RETRY, 2.0)),
        (False, 30.0, (RETRY, 30.0)),
        (False, 30.5, (AWAY, 0.0)),  # above --retry-max-backoff-ms
        (False, NEVER, (AWAY, 0.0)),
        (True, NEVER, (RETRY, 0.05)),
    ],
)
def test_retry_after_is_honoured(status, others, asked, expected):
    assert tuple(ask(status=status, others=others, asked=asked)) == expected


def test_retry_after_counts_with_429_and_503_only():
    assert ask(status=500, asked=2.0).wait == 0.05


def test_retry_after_does_not_outlast_the_request():
    assert ask(status=503, asked=2.0, deadline=NOW + 1).reason == LATE


@pytest.mark.parametrize(
    ("attempts", "opens_in", "expected"),
    [
        # left with defaults: 50 + 75 + 112 + 168 = 405 ms
        (1, 0.02, (RETRY, 0.05)),
        (1, 0.4, (RETRY, 0.4)),
        (1, 0.41, (NOBODY, 0.0)),
        (1, 60.0, (NOBODY, 0.0)),
        (1, NEVER, (NOBODY, 0.0)),
        (3, 0.28, (RETRY, 0.28)),  # 112 + 168
        (3, 0.29, (NOBODY, 0.0)),
    ],
)
def test_fail_fast_when_nobody_can_be_there_in_time(attempts, opens_in, expected):
    answer = ask(attempts=attempts, available_at=NOW + opens_in)
    assert (answer.reason, pytest.approx(answer.wait)) == expected


def test_exactly_the_remaining_back_offs_are_in_time():
    for settings, sum_of_all in ((PLAIN, 0.405), (RetrySettings(attempts=2, jitter=0.0), 0.05)):
        for late, reason in ((0.0, RETRY), (0.001, NOBODY)):
            at = sum_of_all + late
            answer = verdict(settings, Budget(), 0.0, attempts=1, status=503, available_at=at)
            assert answer.reason == reason


def test_waiting_for_a_breaker_is_one_attempt_not_four():
    settings = RetrySettings(attempts=100, jitter=0.0)
    assert ask(settings, available_at=NOW + 60).wait == 60


def test_the_budget_is_asked_last_and_only_then_spent():
    budget = Budget(share=0, constant=1)
    for case in (
        {"begun": True},
        {"status": 400},
        {"attempts": 5},
        {"deadline": NOW},
        {"available_at": NEVER},
        {"asked": NEVER},
    ):
        assert not ask(budget=budget, **case).again
    assert budget.left(NOW) == 1
    assert ask(budget=budget).again
    assert ask(budget=budget).reason == SUPPRESSED
    assert budget.suppressed == 1


def test_the_first_reason_that_applies():
    """Order matters to whoever counts reasons: what can never be retried is not `exhausted`."""
    empty = Budget(share=0, constant=0)
    assert ask(budget=empty, begun=True, status=400, attempts=9).reason == BEGUN
    assert ask(budget=empty, status=400, attempts=9).reason == FINAL
    assert ask(budget=empty, attempts=9, deadline=0.0).reason == EXHAUSTED


def test_workers_that_were_tried_are_left_out():
    assert untried(("a", "b", "c"), ("b",)) == ("a", "c")
    assert untried(("a", "b"), ()) == ("a", "b")
    assert untried(("a",), ("a", "b")) == ()
