"""Permits and the queue for them (routing-reliability 19)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smg.reliability.admission import Admission
from smg.reliability.drain import LONGEST_SECS, RETRY_AFTER_SECS, DrainRate


class Request:
    """Does at once what its name says; keeps what it was told."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.told: list[str] = []

    def admitted(self) -> None:
        self.told.append("admitted")

    def expired(self) -> None:
        self.told.append("expired")


def admit_all(admission: Admission, now: float) -> list[Request]:
    """As an owner does."""
    admitted = []
    while (place := admission.admit(now)) is not None:
        place.target.admitted()
        admitted.append(place.target)
    return admitted


def expire_all(admission: Admission, now: float) -> list[Request]:
    expired = []
    while (place := admission.expire(now)) is not None:
        place.target.expired()
        expired.append(place.target)
    return expired


def test_row_35_two_run_five_wait_three_are_refused():
    admission = Admission(2, 5, 1.0)
    requests = [Request(str(number)) for number in range(10)]
    inside = [request for request in requests if admission.enter(0.0)]
    parked = [one for one in requests[2:] if admission.park(one, 0.0) is not None]
    assert inside == requests[:2]
    assert parked == requests[2:7]
    assert (admission.refused, admission.retry_after()) == (3, 2)
    order, now = [], 0.0
    while inside:
        now += 0.2
        for _ in inside:
            admission.leave()
        inside = admit_all(admission, now)
        order += inside
        assert expire_all(admission, now) == []
    assert order == parked
    assert now == pytest.approx(0.8)
    assert (admission.inflight, admission.waiting, admission.allowed) == (0, 0, 7)


def test_row_37_who_waits_too_long():
    admission = Admission(1, 5, 1.0)
    assert admission.enter(0.0)
    early, late = Request(), Request()
    admission.park(early, 0.0)
    admission.park(late, 0.5)
    assert expire_all(admission, 0.999) == []
    assert expire_all(admission, 1.0) == [early]
    assert early.told == ["expired"]
    admission.leave()
    assert admit_all(admission, 1.2) == [late]
    assert (admission.expired, admission.refused, admission.gone) == (1, 0, 0)


def test_without_a_queue_one_is_refused_at_once():
    admission = Admission(1, 0, 0.0)
    assert admission.enter(0)
    assert not admission.enter(0)
    assert admission.park(Request(), 0) is None
    admission.leave()
    assert admission.enter(0)


def test_a_permit_is_held_until_it_is_given_back():
    admission = Admission(2)
    assert [admission.enter(now) for now in (0, 0, 0, 1e9)] == [True, True, False, False]
    admission.leave()
    assert [admission.enter(1e9), admission.enter(1e9)] == [True, False]


def test_nobody_overtakes_who_waits():
    admission = Admission(1)
    admission.enter(0)
    first = Request()
    admission.park(first, 0)
    admission.leave()
    assert not admission.enter(0)  # a permit is free, but somebody waits for it
    assert admit_all(admission, 0) == [first]


def test_a_client_that_leaves_while_waiting():
    admission = Admission(1, 2)
    admission.enter(0)
    requests = [Request(str(number)) for number in range(3)]
    places = [admission.park(request, 0) for request in requests[:2]]
    assert places[0] is not None
    assert admission.forget(places[0])
    assert not admission.forget(places[0])
    assert (admission.waiting, admission.gone) == (1, 1)
    assert admission.park(requests[2], 0) is not None  # its place in the queue is free again
    admission.leave()
    assert admit_all(admission, 0) == [requests[1]]


def test_who_was_admitted_is_not_forgotten_but_leaves():
    admission = Admission(1)
    admission.enter(0)
    place = admission.park(Request(), 0)
    admission.leave()
    assert admission.admit(0) is place
    assert place is not None
    assert not admission.forget(place)
    assert admission.inflight == 1
    admission.leave()
    assert (admission.inflight, admission.free) == (0, 1)


def test_a_surplus_leave_makes_no_permit():
    admission = Admission(1)
    admission.leave()
    assert (admission.free, admission.inflight) == (1, 0)
    assert [admission.enter(0), admission.enter(0)] == [True, False]


def test_a_thousand_that_end_at_once_need_no_deep_stack():
    """Each gives its permit back from within `admitted`; the owner's loop hands it on."""
    admission = Admission(1, 5000)

    class Hasty(Request):
        def admitted(self) -> None:
            super().admitted()
            admission.leave()

    admission.enter(0)
    for _ in range(5000):
        admission.park(Hasty(), 0)
    admission.leave()
    assert len(admit_all(admission, 0)) == 5000
    assert admission.inflight == 0


# -- with a rate -----------------------------------------------------------------------------------


def test_a_rate_brings_permits_back_by_time():
    admission = Admission(2, 5, 60, rate=1, now=100)
    assert [admission.enter(100) for _ in range(3)] == [True, True, False]
    waiting = Request()
    admission.park(waiting, 100)
    assert admission.next_permit_in(100) == 1
    assert admit_all(admission, 100.9) == []
    assert admit_all(admission, 101) == [waiting]
    assert admission.inflight == 3  # more than the limit: it is a rate now
    assert admission.next_permit_in(110) == 0


def test_a_waiter_does_not_give_up_before_the_queue_timeout():
    """Trap 35: at 1 permit in 10 s the reference gives up after 10 s whatever the timeout."""
    admission = Admission(1, 5, 60, rate=0.1)
    admission.enter(0)
    requests = [Request(str(number)) for number in range(3)]
    for request in requests:
        admission.park(request, 0)
    for now in range(1, 31):
        admit_all(admission, now)
        assert expire_all(admission, now) == []
    assert [one.told for one in requests] == [["admitted"]] * 3


def test_a_rate_never_holds_more_than_the_limit():
    admission = Admission(3, 0, 0, rate=10)
    for _ in range(3):
        admission.enter(1000)
    assert admission.next_permit_in(2000) == 0
    for _ in range(3):
        admission.leave()
    assert admission.free == 3
    assert sum(admission.enter(5000) for _ in range(10)) == 3


def test_without_a_rate_there_is_no_next_permit():
    admission = Admission(1)
    assert admission.next_permit_in(0) == 0
    admission.enter(0)
    assert admission.next_permit_in(0) == float("inf")


@given(
    st.lists(st.tuples(st.floats(0, 3), st.integers(0, 5), st.integers(0, 2)), max_size=40),
    st.integers(1, 5),
    st.floats(0.05, 20),
)
def test_a_rate_lets_through_no_more_than_it_should(steps, limit, rate):
    admission = Admission(limit, 3, 10, rate=rate)
    now, admitted, returned = 0.0, 0, 0
    for pause, arrivals, ends in steps:
        now += pause
        for _ in range(min(ends, admission.inflight)):
            admission.leave()
            returned += 1
        admitted += len(admit_all(admission, now))
        expire_all(admission, now)
        for _ in range(arrivals):
            if admission.enter(now):
                admitted += 1
            else:
                admission.park(Request(), now)
        assert admitted <= limit + returned + rate * now + 1e-6
        assert admission.inflight == admitted - returned
        assert admission.free <= limit


# -- settings --------------------------------------------------------------------------------------


def test_fewer_permits_than_are_out():
    admission = Admission(4)
    for _ in range(4):
        admission.enter(0)
    admission.configure(2, 100, 60, 0, 1)
    for _ in range(2):
        admission.leave()
        assert not admission.enter(1)
    admission.leave()
    assert admission.enter(1)
    assert not admission.enter(1)
    assert admission.inflight == 2


def test_more_permits_for_those_who_wait():
    admission = Admission(1, 10)
    admission.enter(0)
    requests = [Request(str(number)) for number in range(4)]
    for request in requests:
        admission.park(request, 0)
    admission.configure(3, 1, 60, 0, 1)
    assert admission.waiting == 4  # nobody is sent away for a shorter queue
    assert admit_all(admission, 1) == requests[:2]
    assert admission.park(Request(), 1) is None


def test_a_shorter_timeout():
    admission = Admission(1, 10, 60)
    admission.enter(0)
    request = Request()
    admission.park(request, 0)
    admission.configure(1, 10, 5, 0, 1)
    assert expire_all(admission, 5) == [request]


def test_a_rate_that_comes_later_starts_then():
    admission = Admission(2, 10, 60)
    admission.enter(0)
    admission.enter(0)
    admission.configure(2, 10, 60, 1.0, 1000)
    assert not admission.enter(1000.5)
    assert admission.enter(1001)


@pytest.mark.parametrize(
    "wrong", [(0, 1, 1, 0), (-1, 1, 1, 0), (1, -1, 1, 0), (1, 1, 0, 0), (1, 1, 1, -1)]
)
def test_nonsense(wrong):
    with pytest.raises(ValueError, match=r"permit|queue"):
        Admission(*wrong)


# -- when to come back -----------------------------------------------------------------------------


def busy_seconds(rate: DrainRate, first: int, last: int, per_second: int) -> None:
    for second in range(first, last + 1):
        for _ in range(per_second):
            rate.one()
        rate.sample(second, True)
        rate.sample(second + 0.5, True)  # too soon, nothing happens


def test_two_seconds_until_more_is_known():
    rate = DrainRate()
    assert rate.retry_after(1000) == RETRY_AFTER_SECS == 2
    busy_seconds(rate, 1, 9, 1)
    assert rate.retry_after(1000) == 2  # nine are too few to tell
    busy_seconds(rate, 10, 10, 1)
    assert rate.retry_after(40) == 40


def test_as_long_as_the_queue_takes():
    rate = DrainRate()
    busy_seconds(rate, 1, 60, 10)
    assert rate.retry_after(100) == 10
    assert rate.retry_after(5) == 2
    assert rate.retry_after(10**6) == LONGEST_SECS == 60


def test_the_rate_follows():
    rate = DrainRate()
    busy_seconds(rate, 1, 30, 100)
    busy_seconds(rate, 31, 330, 10)
    assert 9 <= rate.retry_after(100) <= 11


def test_quiet_times_are_no_evidence():
    rate = DrainRate()
    busy_seconds(rate, 1, 30, 10)
    for second in range(31, 5000):
        rate.one()
        rate.sample(second, False)
    assert rate.retry_after(100) == 10


def test_what_finished_before_it_was_busy_is_left_out():
    rate = DrainRate()
    for _ in range(100):
        rate.one()
    rate.sample(0.9, False)
    rate.sample(1.4, True)
    assert rate.retry_after(1000) == 2


def test_workers_that_stand_still():
    rate = DrainRate()
    busy_seconds(rate, 1, 1, 100)
    busy_seconds(rate, 2, 600, 0)
    assert rate.retry_after(100) == 60


def test_an_admission_tells_how_long_its_queue_is():
    admission = Admission(10, 100)
    inside = 0
    for now in range(1, 100):
        while admission.enter(now):
            inside += 1
        admission.expire(now)
        for _ in range(inside):
            admission.leave()
        inside = 0
        admission.expire(now + 0.5)  # for a moment it is not busy
        while admission.enter(now):
            inside += 1
        admission.expire(now + 0.6)
    assert admission.retry_after() == 2  # never busy for a whole second
    for now in range(101, 140):
        admission.expire(now)
        for _ in range(10):
            admission.leave()
            admission.enter(now)
    for _ in range(100):
        admission.park(Request(), 140)
    assert admission.retry_after() in (10, 11)  # the first moments were not busy
