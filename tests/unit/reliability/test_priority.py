"""Admission by class (routing-reliability 20)."""

from __future__ import annotations

import pytest

from smg.reliability.classes import BULK, DEFAULT, INTERACTIVE, SYSTEM, ClassSettings
from smg.reliability.line import Place
from smg.reliability.priority import PriorityAdmission

#: one permit is kept for system, two for interactive; three are left
CLASSES = (
    ClassSettings(1, 0.0, 2, 30.0, 5.0, True),
    ClassSettings(2, 0.0, 3, 30.0, 5.0, True),
    ClassSettings(0, 0.0, 4, 60.0, 30.0, False),
    ClassSettings(0, 0.0, 5, 300.0, 120.0, False),
)


class Request:
    def __init__(self) -> None:
        self.told: list[str] = []
        self.begun = False

    def admitted(self) -> None:
        self.told.append("admitted")

    def expired(self) -> None:
        self.told.append("expired")

    def preempted(self) -> None:
        self.told.append("preempted")


def new() -> PriorityAdmission:
    return PriorityAdmission(6, CLASSES)


def fill(admission: PriorityAdmission, rank: int, number: int, now: float = 0.0) -> list[Place]:
    places = [admission.enter(Request(), rank, now) for _ in range(number)]
    assert None not in places
    return places  # type: ignore[return-value]


def park(admission: PriorityAdmission, rank: int, now: float = 0.0) -> Place:
    assert admission.enter(Request(), rank, now) is None
    place = admission.park(Request(), rank, now)
    assert place is not None
    return place


def admitted(admission: PriorityAdmission, now: float = 0.0) -> list[Place]:
    places = []
    while (place := admission.admit(now)) is not None:
        places.append(place)
    return places


def test_what_is_kept_for_others_is_not_given_away():
    admission = new()
    fill(admission, BULK, 3)
    assert admission.enter(Request(), BULK, 0) is None
    assert admission.enter(Request(), DEFAULT, 0) is None
    fill(admission, INTERACTIVE, 2)
    assert admission.enter(Request(), INTERACTIVE, 0) is None
    fill(admission, SYSTEM, 1)
    assert (admission.inflight, admission.seats) == (6, [1, 2, 0, 3])


def test_a_class_takes_from_the_pool_what_it_needs_beyond_its_own():
    admission = new()
    fill(admission, SYSTEM, 4)
    assert admission.enter(Request(), SYSTEM, 0) is None
    fill(admission, INTERACTIVE, 2)
    assert admission.enter(Request(), BULK, 0) is None


def test_reservations_above_the_capacity_share_half_of_it():
    admission = PriorityAdmission(64)  # the defaults with a single worker that does not say
    assert admission.reserved == (6, 24, 1, 0)  # 32, 128 and 7 of 167
    fill(admission, DEFAULT, 34)  # its own, and the pool
    assert admission.enter(Request(), DEFAULT, 0) is None
    assert PriorityAdmission(256).reserved == (32, 128, 26, 0)


def test_the_highest_class_is_next():
    admission = new()
    inside = fill(admission, SYSTEM, 4) + fill(admission, INTERACTIVE, 2)
    bulk, default = park(admission, BULK), park(admission, DEFAULT)
    interactive, system = park(admission, INTERACTIVE), park(admission, SYSTEM)
    assert admission.waiting == 4
    assert admission.admit(0) is None
    for place in inside[:4]:
        admission.leave(place)
    # system has left its own permit and three of the pool
    assert admitted(admission) == [system, interactive, default, bulk]


def test_first_come_first_served_within_a_class():
    admission = new()
    inside = fill(admission, BULK, 3)
    places = [park(admission, BULK) for _ in range(3)]
    admission.leave(inside[0])
    assert admission.enter(Request(), BULK, 0) is None  # somebody of it waits
    assert admitted(admission) == places[:1]
    assert admission.depth(BULK) == 2


def test_a_class_that_may_not_have_one_does_not_hold_up_the_next():
    admission = new()
    fill(admission, BULK, 3)
    waits = park(admission, DEFAULT)
    inside = fill(admission, INTERACTIVE, 2)
    interactive = park(admission, INTERACTIVE)
    admission.leave(inside[0])
    assert admitted(admission) == [interactive]  # from its own; default may not have that
    assert waits.line is not None


@pytest.mark.parametrize(("rank", "size"), [(SYSTEM, 2), (INTERACTIVE, 3), (DEFAULT, 4), (BULK, 5)])
def test_each_class_has_a_queue_of_its_own(rank, size):
    admission = PriorityAdmission(3, CLASSES)
    fill(admission, SYSTEM, 1)
    fill(admission, INTERACTIVE, 2)
    for _ in range(size):
        park(admission, rank)
    assert admission.park(Request(), rank, 0) is None
    other = BULK if rank != BULK else SYSTEM
    park(admission, other)


@pytest.mark.parametrize(
    ("rank", "timeout"), [(SYSTEM, 30), (INTERACTIVE, 30), (DEFAULT, 60), (BULK, 300)]
)
def test_each_class_has_a_timeout_of_its_own(rank, timeout):
    admission = PriorityAdmission(3, CLASSES)
    fill(admission, SYSTEM, 1)
    fill(admission, INTERACTIVE, 2)
    place = park(admission, rank, 100)
    assert admission.expire(100 + timeout - 0.01) is None
    assert admission.expire(100 + timeout) is place
    assert admission.expire(100 + timeout) is None


def test_who_starves_is_next_whatever_is_kept():
    admission = new()
    fill(admission, BULK, 3)
    starving = park(admission, BULK, 0.0)
    default = park(admission, DEFAULT, 100.0)
    assert admission.admit(119.9) is None  # free permits are kept for others
    assert admission.admit(120.0) is starving
    assert admission.promoted == [0, 0, 0, 1]
    assert admission.admit(129.9) is None
    assert admission.admit(130.0) is default
    assert admission.promoted == [0, 0, 1, 1]


def test_starving_the_lowest_class_first_then_the_usual_order():
    admission = new()
    inside = fill(admission, SYSTEM, 4) + fill(admission, INTERACTIVE, 2)
    places = {rank: park(admission, rank, 0.0) for rank in (BULK, DEFAULT, INTERACTIVE, SYSTEM)}
    for place in inside:
        admission.leave(place)
    order = admitted(admission, 120.0)
    assert order == [places[rank] for rank in (BULK, DEFAULT, INTERACTIVE, SYSTEM)]
    assert admission.promoted == [0, 1, 1, 1]  # system is served in order


def test_never_more_in_flight_than_the_capacity_also_for_the_starving():
    admission = new()
    fill(admission, SYSTEM, 4)
    fill(admission, INTERACTIVE, 2)
    park(admission, BULK)
    assert admission.admit(1e6) is None


# -- giving way ------------------------------------------------------------------------------------


def test_the_newest_of_the_lowest_class_gives_way():
    admission = new()
    fill(admission, DEFAULT, 1)
    bulk = fill(admission, BULK, 2)
    fill(admission, INTERACTIVE, 2)
    urgent = park(admission, INTERACTIVE)
    victim = admission.victim(INTERACTIVE, 0)
    assert victim is bulk[1]
    assert admission.preempted[BULK][INTERACTIVE] == 1
    admission.leave(victim)
    assert admitted(admission) == [urgent]
    assert admission.inflight == 5


def test_who_has_a_byte_is_left_alone():
    admission = new()
    bulk = fill(admission, BULK, 3)
    fill(admission, INTERACTIVE, 2)
    bulk[2].target.begun = bulk[0].target.begun = True
    park(admission, INTERACTIVE)
    assert admission.victim(INTERACTIVE, 0) is bulk[1]
    assert admission.victim(INTERACTIVE, 0) is None


def test_nobody_of_the_same_class_or_a_higher_one():
    admission = new()
    fill(admission, SYSTEM, 1)
    fill(admission, INTERACTIVE, 5)
    park(admission, INTERACTIVE)
    assert admission.victim(INTERACTIVE, 0) is None
    park(admission, SYSTEM)
    assert admission.victim(SYSTEM, 0) is not None


@pytest.mark.parametrize("rank", [DEFAULT, BULK])
def test_not_for_classes_that_may_not(rank):
    admission = new()
    fill(admission, BULK, 3)
    park(admission, rank)
    assert admission.victim(rank, 0) is None


def test_nobody_is_sent_away_for_a_permit_that_another_would_get():
    admission = new()
    fill(admission, BULK, 3)
    fill(admission, INTERACTIVE, 2)
    fill(admission, SYSTEM, 1)
    park(admission, BULK, 0.0)
    park(admission, INTERACTIVE, 130.0)
    assert admission.victim(INTERACTIVE, 130.0) is None  # the starving one would have it
    assert admission.victim(INTERACTIVE, 100.0) is not None


def test_a_starving_request_of_the_same_class_may_have_a_victim():
    admission = new()
    fill(admission, BULK, 3)
    fill(admission, INTERACTIVE, 2)
    fill(admission, SYSTEM, 1)
    oldest = park(admission, INTERACTIVE, 0.0)
    park(admission, INTERACTIVE, 6.0)
    victim = admission.victim(INTERACTIVE, 6.0)
    assert victim is not None
    admission.leave(victim)
    assert admitted(admission, 6.0)[0] is oldest


def test_what_is_kept_for_a_lower_class_is_not_taken_either():
    classes = (*CLASSES[:2], ClassSettings(3, 0.0, 4, 60.0, 30.0, False), CLASSES[3])
    admission = PriorityAdmission(6, classes)
    fill(admission, DEFAULT, 3)
    fill(admission, INTERACTIVE, 2)
    park(admission, INTERACTIVE)
    assert admission.victim(INTERACTIVE, 0) is None


# -- ends ------------------------------------------------------------------------------------------


def test_leaving_twice_is_leaving_once():
    admission = new()
    (place,) = fill(admission, BULK, 1)
    admission.leave(place)
    admission.leave(place)
    assert (admission.inflight, admission.seats) == (0, [0, 0, 0, 0])


def test_a_client_that_leaves():
    admission = new()
    fill(admission, BULK, 3)
    place = park(admission, BULK)
    assert admission.forget(place)
    assert not admission.forget(place)
    admission.leave(place)  # it never had a permit
    assert (admission.inflight, admission.waiting) == (3, 0)
    assert admission.expire(1e9) is None


def test_workers_come_and_go():
    admission = new()
    inside = fill(admission, BULK, 3)
    admission.resize(2)  # three reservations share one permit, so none has a whole one
    assert admission.reserved == (0, 0, 0, 0)
    assert admission.enter(Request(), SYSTEM, 0) is None
    admission.leave(inside[0])
    assert admission.enter(Request(), SYSTEM, 0) is None
    admission.leave(inside[1])
    assert admission.enter(Request(), INTERACTIVE, 0) is not None
    admission.resize(60)
    assert admission.reserved == (1, 2, 0, 0)
    fill(admission, BULK, 56)
    assert admission.enter(Request(), BULK, 0) is None
    with pytest.raises(ValueError, match="permit"):
        admission.resize(0)


def test_nobody_gives_way_while_more_are_in_flight_than_there_is_room_for():
    admission = new()
    fill(admission, BULK, 3)
    fill(admission, INTERACTIVE, 2)
    admission.resize(4)
    park(admission, SYSTEM)
    assert admission.victim(SYSTEM, 0) is None


def test_other_classes():
    admission = new()
    inside = fill(admission, BULK, 3)
    waits = park(admission, BULK)
    open_to_all = [ClassSettings(0, 0.0, 1, 1.0, 1.0, False)] * 4
    admission.configure(4, open_to_all)
    assert admitted(admission) == [waits]
    assert (admission.capacity, admission.queue_size(BULK)) == (4, 1)
    park(admission, BULK)
    assert admission.park(Request(), BULK, 0) is None
    admission.leave(inside[0])
    assert admission.inflight == 3


def test_pressure():
    admission = new()
    assert [admission.pressure(rank) for rank in range(4)] == [0, 0, 0, 0]
    fill(admission, BULK, 3)
    assert admission.pressure(BULK) == 1  # all of what is not kept for those above
    park(admission, DEFAULT)
    assert admission.pressure(DEFAULT) == 0.25  # one of four places in the queue
    fill(admission, INTERACTIVE, 2)
    assert admission.pressure(INTERACTIVE) == 0
    other = new()
    fill(other, SYSTEM, 4)
    assert other.pressure(SYSTEM) == 0.5
