"""A rate with a burst."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smg.reliability.token_bucket import NEVER, TokenBucket


def test_a_burst_then_the_rate():
    bucket = TokenBucket(2, 3, 10)
    assert [bucket.take(10) for _ in range(4)] == [True, True, True, False]
    assert bucket.wait(10) == 0.5
    assert not bucket.take(10.4)
    assert bucket.take(10.5)
    assert bucket.fill(1000) == 3


def test_several_at_once():
    bucket = TokenBucket(1, 10)
    assert bucket.take(0, 7)
    assert not bucket.take(0, 4)
    assert bucket.level == 3  # nothing was taken
    assert bucket.wait(0, 4) == 1
    assert bucket.wait(0, 10) == 7
    assert bucket.wait(0, 10.5) == NEVER
    assert bucket.wait(0, 3) == 0


def test_without_a_rate_only_what_comes_back():
    bucket = TokenBucket(0, 2)
    assert [bucket.take(0), bucket.take(0), bucket.take(1e9)] == [True, True, False]
    assert bucket.wait(1e9) == NEVER
    bucket.put_back()
    assert bucket.take(1e9)
    for _ in range(5):
        bucket.put_back()
    assert bucket.level == 2


def test_debt():
    bucket = TokenBucket(1, 10)
    bucket.charge(0, 25)
    assert bucket.level == -15
    assert not bucket.take(15, 1)
    assert bucket.wait(15, 1) == 1
    assert bucket.take(16, 1)
    bucket.charge(16, -100)
    assert bucket.level == 10


def test_a_clock_that_steps_back_gives_nothing():
    bucket = TokenBucket(1, 1, 100)
    assert bucket.take(100)
    assert not bucket.take(50)
    assert not bucket.take(100.9)
    assert bucket.take(101)
    full = TokenBucket(1, 1, 100)
    assert full.take(50)


@pytest.mark.parametrize(("rate", "burst"), [(-1, 1), (1, 0), (0, -1)])
def test_nonsense(rate, burst):
    with pytest.raises(ValueError, match="bucket"):
        TokenBucket(rate, burst)


PAUSES = st.lists(st.floats(0, 5), max_size=60)


@given(PAUSES, st.floats(0.01, 50), st.integers(1, 20), st.floats(0, 1e6))
def test_never_more_than_burst_and_rate(pauses, rate, burst, start):
    """Also within any stretch in between, not only from the start."""
    bucket = TokenBucket(rate, burst, start)
    now = start
    taken: list[float] = []
    for pause in pauses:
        now += pause
        while bucket.take(now):
            taken.append(now)
    for first, begin in enumerate(taken):
        for last in range(first, len(taken)):
            assert last - first + 1 <= burst + rate * (taken[last] - begin) + 1e-3


@given(PAUSES, st.floats(0.01, 50), st.integers(1, 20))
def test_waiting_as_told_is_enough(pauses, rate, burst):
    bucket = TokenBucket(rate, burst)
    now = 0.0
    for pause in pauses:
        now += pause
        bucket.take(now)
        wait = bucket.wait(now)
        assert wait <= 1 / rate + 1e-6
        if wait > 1e-6:
            assert not bucket.take(now + wait / 2)
            assert bucket.take(now + wait)
            now += wait
