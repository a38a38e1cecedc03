"""The retry budget: 100 and one for every two requests, in any 10 s."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from smg.reliability.budget import Budget


def spend(budget: Budget, now: float, times: int) -> int:
    return sum(budget.spend(now) for _ in range(times))


def request(budget: Budget, now: float, times: int) -> None:
    for _ in range(times):
        budget.request(now)


def test_a_small_gateway_may_retry():
    budget = Budget()
    assert spend(budget, 5000, 150) == 100
    assert budget.suppressed == 50


def test_half_of_the_requests_on_top():
    budget = Budget()
    request(budget, 5000, 400)
    assert budget.left(5000) == 300
    assert spend(budget, 5000, 1000) == 300
    assert budget.left(5000) == 0


def test_requests_and_retries_are_forgotten():
    budget = Budget()
    request(budget, 5000, 400)
    spend(budget, 5000, 300)
    assert spend(budget, 5008.9, 10) == 0
    assert spend(budget, 5010.9, 10) == 0  # the requests are forgotten, the retries not yet
    assert spend(budget, 5011, 150) == 100


def test_after_a_long_silence():
    budget = Budget()
    request(budget, 5000, 400)
    spend(budget, 5000, 300)
    assert budget.left(1e9) == 100
    assert (budget._requests, budget._retries) == (0, 0)
    assert not any(budget._requests_by_slice)
    assert not any(budget._retries_by_slice)


def test_an_outage_is_not_multiplied():
    """100 requests a second, all fail and all want four retries, for a minute."""
    budget = Budget()
    retries = 0
    for second in range(60):
        request(budget, second, 100)
        retries += spend(budget, second, 400)
    assert retries <= 0.5 * 6000 + 100 * 6  # instead of 24,000


def test_slices_that_do_not_end_on_round_numbers():
    """0.03 * n divided by 0.03 is now and then a little less than n: the slice is entered twice."""
    twice = [n for n in range(1, 2000) if int(n * 0.03 / 0.03) < n]
    assert twice
    for number in twice:
        budget = Budget(share=1, constant=0, window=0.3)
        request(budget, number * 0.03 - 0.01, 2)
        request(budget, number * 0.03, 3)
        request(budget, number * 0.03, 1)
        assert budget.left(number * 0.03) == 6
        assert budget.left(number * 0.03 + 1) == 0


def test_all_or_nothing():
    assert spend(Budget(share=0, constant=0), 0, 5) == 0
    with pytest.raises(ValueError, match="budget"):
        Budget(share=-1)
    with pytest.raises(ValueError, match="budget"):
        Budget(window=0)


def test_a_clock_that_stands_or_steps_back():
    budget = Budget(share=0, constant=2)
    assert [budget.spend(now) for now in (5.0, 4.0, 5.0)] == [True, True, False]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["request", "spend"]),
        st.integers(1, 6),
        st.sampled_from([0.0, 0.05, 0.3, 0.99, 1.0, 2.5, 9.0, 10.0, 11.0, 40.0]),
    ),
    max_size=60,
)


@settings(max_examples=300)
@given(STEPS, st.sampled_from([0.0, 0.2, 0.5, 1.0]), st.integers(0, 5), st.floats(0, 1e6))
def test_as_lists_of_times(steps, share, constant, start):
    budget = Budget(share, constant, 10.0)
    now = start
    requests: list[float] = []
    retries: list[float] = []
    for kind, times, pause in steps:
        now += pause
        for _ in range(times):
            if kind == "request":
                budget.request(now)
                requests.append(now)
                continue
            # a slice is a second: certain to be remembered, certain to be forgotten
            surely = constant + share * sum(now - time < 8.999 for time in requests)
            if budget.spend(now):
                retries.append(now)
                allowed = constant + share * sum(now - time <= 10 for time in requests)
                assert sum(now - time < 10 for time in retries) <= allowed + 1e-6
            else:
                assert sum(now - time <= 11.001 for time in retries) + 1 > surely
        assert budget._requests >= 0
        assert budget._retries >= 0
