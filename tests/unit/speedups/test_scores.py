"""`Lineup` against the written formula (routing-reliability 4.2), worker by worker."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smg._speedups.loads import LoadTable
from smg._speedups.scores import Figures, Lineup

MEAN, DEFAULT = 1024.0, 2000.0


@dataclass
class Plain:
    """One worker; `report` is queued tokens, waiting requests, tokens per second, pressure."""

    load: int
    cost: float
    report: tuple[float, int, float, float] | None
    credits: list[float]

    def full(self, cap: int) -> bool:
        return bool(cap and self.report and self.report[1] + len(self.credits) >= cap)


def plain_score(worker: Plain, all_workers: list[Plain]) -> float:
    reports = [other.report for other in all_workers if other.report]
    if worker.report:
        queued, _, throughput, pressure = worker.report
        speed = throughput if throughput > 0 else DEFAULT
        score = (queued + sum(worker.credits)) / speed + pressure
    elif reports:
        speeds = [report[2] for report in reports if report[2] > 0]
        score = worker.load * MEAN / (sum(speeds) / len(speeds) if speeds else DEFAULT)
    else:
        score = worker.load
    return score * worker.cost


def build(workers: list[Plain], chance: float = 0.0) -> Lineup:
    table, figures = LoadTable(), Figures(MEAN, DEFAULT)
    slots = [table.attach() for _ in workers]
    places = [figures.attach() for _ in workers]
    for slot, worker in zip(slots, workers, strict=True):
        table.set_load(slot, worker.load)
        table.set_cost(slot, worker.cost)
    lineup = Lineup(figures, table, lambda: chance, places, slots)
    for position, worker in enumerate(workers):
        if worker.report is not None:
            figures.report(places[position], *worker.report)
            for tokens in worker.credits:
                lineup.credit(position, tokens)
    return lineup


TOKENS = st.integers(0, 10_000).map(float)
REPORTS = st.tuples(
    TOKENS, st.integers(0, 5), st.sampled_from([0.0, 500.0, 3000.0]), st.sampled_from([0.0, 0.15])
)
WORKERS = st.lists(
    st.builds(
        Plain,
        st.integers(0, 4),
        st.sampled_from([1.0, 1.0, 2.5]),
        st.none() | REPORTS,
        st.lists(TOKENS, max_size=3),
    ),
    min_size=1,
    max_size=8,
)


@given(workers=WORKERS, cap=st.integers(0, 6), chance=st.floats(0, 0.999))
@settings(max_examples=300, deadline=None)
def test_as_written(workers: list[Plain], cap: int, chance: float) -> None:
    lineup = build(workers, chance)
    expected = [plain_score(worker, workers) for worker in workers]
    for position, score in enumerate(expected):
        assert lineup.score(position) == pytest.approx(score)
        assert lineup.reported(position) == (workers[position].report is not None)
    able = [position for position, worker in enumerate(workers) if not worker.full(cap)]
    picked = lineup.lowest(cap)
    assert (picked == -1) == (not able)
    if able:
        assert picked in able
        assert expected[picked] == pytest.approx(min(expected[position] for position in able))
    for first in range(len(workers)):
        for second in range(len(workers)):
            chosen = lineup.lower(first, second)
            assert chosen in (first, second)
            assert lineup.score(chosen) == min(lineup.score(first), lineup.score(second))
            if lineup.score(first) == lineup.score(second):
                assert chosen == first


def test_every_tie_has_the_same_chance() -> None:
    seeded = random.Random(5)
    table, figures = LoadTable(), Figures(MEAN, DEFAULT)
    slots = [table.attach() for _ in range(4)]
    table.set_load(slots[1], 1)
    lineup = Lineup(figures, table, seeded.random, [figures.attach() for _ in slots], slots)
    counts = [0] * 4
    for _ in range(3000):
        counts[lineup.lowest(0)] += 1
    assert counts[1] == 0
    assert all(900 < count < 1100 for count in (counts[0], *counts[2:]))


def test_the_same_work_in_queue_or_just_sent_ties() -> None:
    workers = [
        Plain(0, 1.0, (0.0, 0, 1700.0, 0.1), [999.0]),
        Plain(0, 1.0, (999.0, 1, 1700.0, 0.1), []),
    ]
    assert {build(workers, chance).lowest(0) for chance in (0.0, 0.9)} == {0, 1}


def test_loads_and_costs_are_read_when_asked() -> None:
    table, figures = LoadTable(), Figures(MEAN, DEFAULT)
    slots = [table.attach() for _ in range(2)]
    lineup = Lineup(figures, table, lambda: 0.0, [figures.attach() for _ in slots], slots)
    table.acquire(slots[0])
    assert lineup.lowest(0) == 1
    table.acquire(slots[1])
    table.set_cost(slots[1], 2.0)
    assert lineup.lowest(0) == 0
    for _ in range(1000):
        table.attach()  # the table moves in memory
    assert lineup.lowest(0) == 0


def test_a_place_is_used_again_without_its_past() -> None:
    figures = Figures(MEAN, DEFAULT)
    place = figures.attach()
    figures.report(place, 5.0, 5, 5.0, 0.0)
    figures.detach(place)
    assert figures.attach() == place
    table = LoadTable()
    assert not Lineup(figures, table, lambda: 0.0, [place], [table.attach()]).reported(0)


def test_what_does_not_fit() -> None:
    table, figures = LoadTable(), Figures(MEAN, DEFAULT)
    slot, place = table.attach(), figures.attach()
    lineup = Lineup(figures, table, lambda: 0.0, [place], [slot])
    for places, slots in (([place + 1], [slot]), ([place], [slot + 1])):
        with pytest.raises(IndexError):
            Lineup(figures, table, lambda: 0.0, places, slots)
    with pytest.raises(ValueError, match="slots"):
        Lineup(figures, table, lambda: 0.0, [place], [])
    for call in (lineup.score, lineup.reported, lambda n: lineup.lower(0, n)):
        with pytest.raises(IndexError):
            call(1)
    with pytest.raises(IndexError):
        lineup.credit(1, 1.0)
    with pytest.raises(IndexError):
        figures.drop(place + 1)
    assert Lineup(figures, table, lambda: 0.0, [], []).lowest(0) == -1
