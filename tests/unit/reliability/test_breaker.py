"""The circuit breaker, state by state (routing-reliability 16)."""

from __future__ import annotations

from typing import Any

import pytest

from smg.reliability.breaker import (
    CLOSED,
    FAILURE,
    HALF_OPEN,
    NEVER,
    NOTHING,
    OPEN,
    SUCCESS,
    Breaker,
)
from smg.reliability.settings import BreakerSettings


def fail(breaker: Breaker, times: int, now: float = 0.0) -> None:
    for _ in range(times):
        breaker.failed(breaker.dispatched(now), now)


def succeed(breaker: Breaker, times: int, now: float = 0.0) -> None:
    for _ in range(times):
        breaker.succeeded(breaker.dispatched(now), now)


def opened(now: float = 0.0, **settings: Any) -> Breaker:
    breaker = Breaker(BreakerSettings(**settings))
    fail(breaker, breaker._failure_threshold, now)
    assert breaker.state == OPEN
    return breaker


def half_open(now: float = 60.0, **settings: Any) -> Breaker:
    breaker = opened(**settings)
    breaker.tick(now)
    assert breaker.state == HALF_OPEN
    return breaker


# -- closed ----------------------------------------------------------------------------------------


def test_ten_failures_in_a_row_open_it():
    breaker = Breaker(BreakerSettings())
    fail(breaker, 9)
    assert (breaker.state, breaker.failures, breaker.admits) == (CLOSED, 9, True)
    fail(breaker, 1, 7.0)
    assert (breaker.state, breaker.admits) == (OPEN, False)
    assert breaker.next_change_at() == breaker.retry_at == 67.0


def test_a_success_ends_the_run():
    breaker = Breaker(BreakerSettings())
    fail(breaker, 9)
    succeed(breaker, 1)
    assert (breaker.failures, breaker.successes) == (0, 1)
    fail(breaker, 9)
    assert breaker.state == CLOSED
    assert breaker.successes == 0


@pytest.mark.parametrize(
    ("status", "says"),
    [(status, FAILURE) for status in (408, 500, 502, 503, 504)]
    + [(429, NOTHING)]
    + [(s, SUCCESS) for s in (200, 204, 304, 400, 401, 403, 404, 413, 422, 501, 505, 999, 100)],
)
def test_what_a_status_says(status, says):
    assert Breaker(BreakerSettings()).judge(status) == says


def test_configured_statuses():
    breaker = Breaker(BreakerSettings(failing=frozenset({404, 529}), capacity=frozenset({529})))
    assert [breaker.judge(status) for status in (404, 529, 500, 429)] == [
        FAILURE,
        NOTHING,
        SUCCESS,
        SUCCESS,
    ]
    Breaker(BreakerSettings(failing=frozenset({-1, 1000}), capacity=frozenset({10**9})))


def report(breaker: Breaker, status: int) -> None:
    """As a relay does with the status of a whole answer."""
    term, says = breaker.dispatched(0), breaker.judge(status)
    if says == SUCCESS:
        breaker.succeeded(term, 0)
    elif says == FAILURE:
        breaker.failed(term, 0)
    else:
        breaker.abandoned(term)


def test_row_31_a_full_worker_is_not_a_broken_one():
    breaker = Breaker(BreakerSettings())
    for _ in range(20):
        report(breaker, 429)
    assert (breaker.state, breaker.failures, breaker.successes) == (CLOSED, 0, 0)
    for status in [500] * 9 + [429, 500]:  # and neither does it end a run
        report(breaker, status)
    assert breaker.state == OPEN


def test_row_32_a_bad_request_proves_that_the_worker_is_well():
    breaker = Breaker(BreakerSettings())
    for status in [500] * 9 + [400] + [500] * 9:
        report(breaker, status)
    assert breaker.state == CLOSED


def test_clients_with_bad_requests_open_nothing():
    breaker = Breaker(BreakerSettings(failure_threshold=1))
    for status in (400, 401, 403, 404, 413, 422) * 10:
        report(breaker, status)
    assert breaker.state == CLOSED


def test_failures_older_than_the_window_do_not_count():
    breaker = Breaker(BreakerSettings(failure_threshold=3, window=10))
    fail(breaker, 1, 0.0)
    fail(breaker, 1, 1.0)
    fail(breaker, 1, 10.5)  # the first is 10.5 s old
    assert (breaker.state, breaker.failures) == (CLOSED, 2)
    fail(breaker, 1, 11.0)  # the second is exactly as old as the window: it counts
    assert breaker.state == OPEN


def test_slow_failures_never_add_up():
    breaker = Breaker(BreakerSettings(failure_threshold=2, window=10))
    for time in range(0, 1000, 11):
        fail(breaker, 1, time)
    assert (breaker.state, breaker.failures) == (CLOSED, 1)


def test_who_leaves_says_nothing():
    breaker = Breaker(BreakerSettings(failure_threshold=2))
    fail(breaker, 1)
    for _ in range(10):
        breaker.abandoned(breaker.dispatched(0))
    assert (breaker.state, breaker.failures) == (CLOSED, 1)
    fail(breaker, 1)
    assert breaker.state == OPEN


# -- open ------------------------------------------------------------------------------------------


def test_open_until_the_timeout_has_passed():
    breaker = opened(now=5.0)
    breaker.tick(64.9)
    assert not breaker.allows(64.9)
    assert breaker.state == OPEN
    breaker.tick(65.0)
    assert (breaker.state, breaker.admits, breaker.failures) == (HALF_OPEN, True, 0)
    assert breaker.retry_at == 0


def test_asking_is_as_good_as_the_timer():
    breaker = opened(now=5.0)
    assert breaker.allows(65.0)
    assert breaker.state == HALF_OPEN


def test_late_results_while_open_change_nothing():
    breaker = Breaker(BreakerSettings(failure_threshold=2, success_threshold=1))
    early = [breaker.dispatched(0) for _ in range(4)]
    fail(breaker, 2)
    breaker.succeeded(early[0], 1)
    breaker.failed(early[1], 1)
    breaker.abandoned(early[2])
    assert breaker.state == OPEN
    assert breaker.next_change_at() == 60


def test_results_of_before_count_nothing_afterwards():
    """A stream that began before the outage: its end, good or bad, says nothing about now."""
    breaker = Breaker(BreakerSettings(failure_threshold=2, success_threshold=2))
    early = [breaker.dispatched(0) for _ in range(9)]
    fail(breaker, 2)
    breaker.tick(60)
    for term in early[:3]:
        breaker.succeeded(term, 61)
    breaker.failed(early[3], 61)
    breaker.abandoned(early[4])
    assert (breaker.state, breaker.successes, breaker.trials) == (HALF_OPEN, 0, 0)
    succeed(breaker, 2, 62)
    assert breaker.state == CLOSED
    for term in early[5:]:
        breaker.failed(term, 63)
    assert (breaker.state, breaker.failures) == (CLOSED, 0)


# -- half-open -------------------------------------------------------------------------------------


def test_three_successes_close_it():
    breaker = half_open()
    succeed(breaker, 2, 61)
    assert (breaker.state, breaker.successes) == (HALF_OPEN, 2)
    succeed(breaker, 1, 61)
    assert (breaker.state, breaker.successes, breaker.failures) == (CLOSED, 0, 0)
    assert breaker.next_change_at() == NEVER


def test_row_33_one_failure_opens_it_again_with_a_new_timer():
    breaker = half_open(now=60)
    succeed(breaker, 1, 61)
    fail(breaker, 1, 70)
    assert breaker.state == OPEN
    assert breaker.next_change_at() == 130
    breaker.tick(130)
    assert (breaker.state, breaker.successes) == (HALF_OPEN, 0)


def test_three_trials_at_a_time():
    breaker = half_open()
    terms = [breaker.dispatched(61) for _ in range(3)]
    assert (breaker.admits, breaker.trials) == (False, 3)
    assert not breaker.allows(61)
    breaker.succeeded(terms[0], 62)
    assert (breaker.admits, breaker.trials) == (True, 2)
    breaker.dispatched(62)
    assert not breaker.admits


def test_who_leaves_gives_the_place_back():
    breaker = half_open()
    terms = [breaker.dispatched(61) for _ in range(3)]
    breaker.abandoned(terms[0])
    assert (breaker.admits, breaker.trials, breaker.successes) == (True, 2, 0)
    assert breaker.state == HALF_OPEN


def test_a_full_worker_keeps_the_door_open():
    breaker = half_open()
    for _ in range(50):
        report(breaker, 429)
    assert (breaker.state, breaker.admits, breaker.trials) == (HALF_OPEN, True, 0)


def test_an_answer_that_began_gives_the_place_back_and_still_counts():
    """Else three streams of ten minutes keep a recovered worker out for ten minutes."""
    breaker = half_open()
    terms = [breaker.began(breaker.dispatched(61)) for _ in range(5)]
    assert (breaker.admits, breaker.trials) == (True, 0)
    assert breaker.state == HALF_OPEN
    for term in terms[:3]:
        breaker.succeeded(breaker.began(term), 70)
    assert breaker.state == CLOSED

    breaker = half_open()
    term = breaker.began(breaker.dispatched(61))
    breaker.failed(term, 62)  # cut in the middle
    assert breaker.state == OPEN

    breaker = half_open()
    breaker.dispatched(61)
    breaker.abandoned(breaker.began(breaker.dispatched(61)))
    assert breaker.trials == 1


def test_a_place_is_given_back_once():
    breaker = half_open()
    began = breaker.began(breaker.dispatched(61))
    breaker.dispatched(61)
    breaker.succeeded(began, 62)
    assert (breaker.state, breaker.successes, breaker.trials) == (HALF_OPEN, 1, 1)


def test_began_is_for_trials_only():
    breaker = Breaker(BreakerSettings())
    term = breaker.dispatched(0)
    assert breaker.began(term) == term
    fail(breaker, 10)
    assert breaker.began(term) == term
    breaker.tick(60)
    breaker.dispatched(60)
    assert breaker.began(term) == term
    assert breaker.trials == 1


def test_trials_that_never_end_do_not_keep_the_worker_out():
    breaker = half_open()
    hung = [breaker.dispatched(61 + number) for number in range(3)]
    assert breaker.next_change_at() == 63 + 60
    breaker.tick(122.9)
    assert not breaker.admits
    breaker.tick(123.0)
    assert (breaker.admits, breaker.trials, breaker.state) == (True, 0, HALF_OPEN)
    fresh = [breaker.dispatched(124) for _ in range(3)]
    breaker.abandoned(hung[0])  # holds no place any more
    assert (breaker.admits, breaker.trials) == (False, 3)
    breaker.succeeded(hung[1], 125)  # but what it shows still counts
    assert breaker.successes == 1
    breaker.succeeded(fresh[0], 125)
    breaker.succeeded(fresh[1], 125)
    assert breaker.state == CLOSED


def test_more_trials_than_places():
    """Somebody sends without asking: counted right, and no further place until they are gone."""
    breaker = half_open(success_threshold=2)
    terms = [breaker.dispatched(61) for _ in range(4)]
    for term in terms[:2]:
        breaker.abandoned(term)
        assert not breaker.admits
    breaker.abandoned(terms[2])
    assert breaker.admits


# -- switched off, configured ----------------------------------------------------------------------


def test_switched_off_only_the_counts_move():
    breaker = Breaker(BreakerSettings(enabled=False))
    fail(breaker, 1000)
    assert (breaker.state, breaker.failures, breaker.admits) == (CLOSED, 1000, True)
    assert breaker.next_change_at() == NEVER
    succeed(breaker, 1)
    assert breaker.failures == 0


def test_switching_off_closes():
    breaker = opened()
    breaker.configure(BreakerSettings(enabled=False), 1)
    assert (breaker.state, breaker.admits, breaker.next_change_at()) == (CLOSED, True, NEVER)


def test_a_shorter_timeout_holds_at_once_a_longer_one_next_time():
    breaker = opened()
    breaker.configure(BreakerSettings(timeout=5), 10)
    assert breaker.next_change_at() == 15
    breaker.configure(BreakerSettings(timeout=500), 10)
    assert breaker.next_change_at() == 15


def test_more_places_by_configuration():
    breaker = half_open(success_threshold=1)
    breaker.dispatched(61)
    assert not breaker.admits
    breaker.configure(BreakerSettings(success_threshold=2), 62)
    assert (breaker.admits, breaker.next_change_at()) == (True, NEVER)
    breaker.configure(BreakerSettings(success_threshold=1), 63)
    assert (breaker.admits, breaker.next_change_at()) == (False, 123)


# -- being told ------------------------------------------------------------------------------------


def test_the_hook_hears_every_change_and_nothing_else():
    heard: list[tuple[int, int, bool]] = []
    owner = object()

    def changed(breaker: Breaker, before: int) -> None:
        assert breaker.owner is owner
        heard.append((before, breaker.state, breaker.admits))

    breaker = Breaker(BreakerSettings(failure_threshold=2, success_threshold=2), owner, changed)
    succeed(breaker, 3)
    fail(breaker, 1)
    assert heard == []
    fail(breaker, 1)
    breaker.tick(1)
    breaker.tick(60)
    terms = [breaker.dispatched(60), breaker.dispatched(60)]
    breaker.succeeded(terms[0], 61)
    breaker.succeeded(terms[1], 61)
    succeed(breaker, 3)
    assert heard == [
        (CLOSED, OPEN, False),
        (OPEN, HALF_OPEN, True),
        (HALF_OPEN, HALF_OPEN, False),
        (HALF_OPEN, HALF_OPEN, True),
        (HALF_OPEN, CLOSED, True),
    ]


def test_memory_of_a_failing_worker_is_bounded_by_the_threshold():
    breaker = Breaker(BreakerSettings(failure_threshold=5, window=10**6))
    for _ in range(100):
        fail(breaker, 5)
        breaker.tick(breaker.next_change_at())
        succeed(breaker, 3)
        assert len(breaker._failed_at) == 0


def test_repr():
    assert repr(opened()) == "<Breaker open failures=10 trials=0>"
