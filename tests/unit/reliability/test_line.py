"""The row against a list."""

from __future__ import annotations

import sys

import hypothesis.strategies as st
from hypothesis import given

from smg.reliability.line import Line, Place

STEPS = st.lists(st.tuples(st.sampled_from(["join", "leave", "first", "last"]), st.integers(0, 9)))


def forwards(line: Line) -> list[Place]:
    found, place = [], line.oldest
    while place is not None:
        found.append(place)
        place = place.newer
    return found


def backwards(line: Line) -> list[Place]:
    found, place = [], line.newest
    while place is not None:
        found.append(place)
        place = place.older
    return found


@given(STEPS)
def test_as_a_list(steps):
    line, plain = Line(), []
    places = [Place(number, 0.0) for number in range(10)]
    for step, number in steps:
        place = places[number]
        if step == "join" and place.line is None:
            line.join(place)
            plain.append(place)
        elif step == "leave":
            assert line.leave(place) is (place in plain)
            plain = [one for one in plain if one is not place]
        elif step in ("first", "last") and plain:
            place = plain.pop(0 if step == "first" else -1)
            assert place is (line.oldest if step == "first" else line.newest)
            assert line.leave(place)
        assert forwards(line) == plain
        assert backwards(line) == plain[::-1]
        assert len(line) == len(plain)


def test_another_line_is_not_left():
    here, there, place = Line(), Line(), Place(None, 0.0)
    here.join(place)
    assert not there.leave(place)
    assert (len(here), len(there)) == (1, 0)


def test_a_place_is_small_and_keeps_nobody():
    line = Line()
    places = [Place(object(), 0.0) for _ in range(3)]
    for place in places:
        line.join(place)
    for place in places:
        line.leave(place)
        assert (place.older, place.newer, place.line) == (None, None, None)
    assert sys.getsizeof(places[0]) <= 128
