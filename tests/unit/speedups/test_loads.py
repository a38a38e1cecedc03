"""Loads side by side: slots that are used again, and what is compared over them."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smg._speedups.loads import Candidates, LoadTable


def table_with(loads: list[int], costs: list[float] | None = None) -> LoadTable:
    table = LoadTable()
    for load in loads:
        table.set_load(table.attach(), load)
    for slot, cost in enumerate(costs or ()):
        table.set_cost(slot, cost)
    return table


def test_a_slot_counts_up_and_down_but_not_below_zero() -> None:
    table = LoadTable()
    slot = table.attach()
    assert table.release(slot) == 0
    assert [table.acquire(slot), table.acquire(slot), table.release(slot)] == [1, 2, 1]
    assert table.load(slot) == 1


def test_a_slot_that_is_used_again_is_as_new() -> None:
    table = LoadTable()
    slot = table.attach()
    table.acquire(slot)
    table.set_cost(slot, 3.0)
    table.detach(slot)
    assert table.weighted == 0
    assert table.attach() == slot
    assert (table.load(slot), table.cost(slot)) == (0, 1.0)


def test_slots_out_of_range_are_harmless() -> None:
    table = LoadTable()
    assert (table.load(9), table.cost(9), table.acquire(9), table.release(9)) == (0, 1.0, 0, 0)
    for change in (table.detach, lambda slot: table.set_load(slot, 1)):
        with pytest.raises(IndexError):
            change(9)
    with pytest.raises(IndexError):
        Candidates(table, [0])


def test_a_table_that_grows_keeps_what_it_holds_and_candidates_follow() -> None:
    table = table_with([5, 7])
    candidates = Candidates(table, [1, 0])
    for _ in range(1000):
        table.attach()
    assert (candidates.total(), candidates.weight(0), candidates.least(0)) == (12.0, 7.0, 1)


def test_places() -> None:
    candidates = Candidates(table_with([0] * 5), [4, 1])
    assert candidates.count == 2
    assert [candidates.place(slot) for slot in range(7)] == [-1, 1, -1, -1, 0, -1, -1]
    for place in (-1, 2):
        with pytest.raises(IndexError):
            candidates.weight(place)


def test_of_nobody() -> None:
    candidates = Candidates(LoadTable(), ())
    assert (candidates.count, candidates.total(), candidates.least(3)) == (0, 0.0, -1)
    assert candidates.place(0) == -1


def test_equals_have_the_same_chance() -> None:
    candidates = Candidates(table_with([2, 1, 1, 3, 1]), range(5))
    counts = Counter(candidates.least(tie) for tie in range(3000))
    assert counts == {1: 1000, 2: 1000, 4: 1000}


@given(
    members=st.lists(
        st.tuples(st.integers(0, 50), st.sampled_from([0.5, 1.0, 1.0, 3.0])), min_size=1
    ),
    tie=st.integers(0, 2**32 - 1),
    reverse=st.booleans(),
)
def test_as_in_plain_python(members: list[tuple[int, float]], tie: int, reverse: bool) -> None:
    table = table_with([load for load, _ in members], [cost for _, cost in members])
    slots = list(range(len(members)))[:: -1 if reverse else 1]
    weights = [members[slot][0] * members[slot][1] for slot in slots]
    candidates = Candidates(table, slots)
    assert candidates.total() == sum(weights)
    assert [candidates.weight(place) for place in range(len(slots))] == weights
    lowest = [place for place, weight in enumerate(weights) if weight == min(weights)]
    assert candidates.least(tie) == lowest[tie % len(lowest)]
