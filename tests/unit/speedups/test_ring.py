"""The circle of points, held against a plain walk over all of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from smg._speedups.loads import Candidates, LoadTable
from smg._speedups.ring import HashRing

CIRCLE = 2**64
TABLE = LoadTable()
for _ in range(6):
    TABLE.attach()

# Few different positions, so that equal ones and both ends of the circle are met.
POSITIONS = st.one_of(
    st.integers(0, 20), st.integers(CIRCLE - 5, CIRCLE - 1), st.integers(0, CIRCLE - 1)
)
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 5), st.lists(POSITIONS, max_size=5)),
        st.tuples(st.integers(0, 5), st.none()),
    ),
    max_size=12,
)


def distance_to(
    points: list[tuple[int, int]], owners: set[int], probes: tuple[int, ...]
) -> dict[int, int]:
    """How far each owner is from the nearest probe, clockwise."""
    found: dict[int, int] = {}
    for position, owner in points:
        if owner in owners:
            for probe in probes:
                way = (position - probe) % CIRCLE
                found[owner] = min(way, found.get(owner, way))
    return found


@given(
    changes=CHANGES,
    probes=st.lists(POSITIONS, min_size=1, max_size=4).map(tuple),
    available=st.sets(st.integers(0, 5)),
)
def test_the_nearest_candidate_clockwise(
    changes: list[tuple[int, list[int] | None]], probes: tuple[int, ...], available: set[int]
) -> None:
    ring = HashRing()
    slots = sorted(available, reverse=True)
    candidates = Candidates(TABLE, slots)
    points: list[tuple[int, int]] = []
    for owner, positions in changes:
        if positions is None:
            ring.remove(owner)
            points = [point for point in points if point[1] != owner]
        else:
            ring.add(owner, positions)
            points += [(position, owner) for position in positions]
        assert len(ring) == len(points)
        place = ring.find(probes, candidates)
        away = distance_to(points, available, probes)
        if place < 0:
            assert not away
        else:
            # Two owners on one position are equally right.
            assert away[slots[place]] == min(away.values())


def test_an_empty_ring() -> None:
    assert HashRing().find((1, 2), Candidates(TABLE, [0])) == -1
