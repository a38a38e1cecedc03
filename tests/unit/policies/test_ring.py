"""Who a key belongs to, and that few keys move."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smg.policies.candidates import CandidateCache
from smg.policies.ring import Ring
from smg.workers import Worker

FLEET = tuple(Worker(f"http://10.0.0.{number}:8000") for number in range(50))
KEYS = [b"user-%d" % number for number in range(20_000)]
PREPARED = CandidateCache()


def ring_of(workers: Sequence[Worker]) -> Ring:
    ring = Ring()
    for worker in workers:
        ring.add(worker)
    return ring


def owners(
    ring: Ring, workers: tuple[Worker, ...], keys: Sequence[bytes] = KEYS
) -> list[Worker | None]:
    candidates = PREPARED.of(workers)
    return [ring.find(key, candidates, workers) for key in keys]


@pytest.mark.parametrize("size", [3, 10, 50])
def test_removing_one_moves_its_keys_and_no_others(size: int) -> None:
    workers = FLEET[:size]
    ring = ring_of(workers)
    before = owners(ring, workers)
    for gone in workers[:: max(1, size // 5)]:
        rest = tuple(worker for worker in workers if worker is not gone)
        ring.remove(gone)
        after = owners(ring, rest)
        moved = [(old, new) for old, new in zip(before, after, strict=True) if old is not new]
        assert {old for old, _ in moved} == {gone}
        assert len(moved) / len(KEYS) <= 1 / size + 0.02
        ring.add(gone)
        assert owners(ring, workers) == before


def test_shares_are_even() -> None:
    for offset in range(0, 48, 3):
        workers = FLEET[offset : offset + 3]
        counts = Counter(owners(ring_of(workers), workers, KEYS[:6000]))
        assert max(counts.values()) < 6000 / 3 * 1.08, workers


def test_the_keys_of_one_that_is_left_out_are_spread() -> None:
    workers = FLEET[:5]
    ring = ring_of(workers)
    mine = [key for key, owner in zip(KEYS, owners(ring, workers), strict=True)
            if owner is workers[2]]  # fmt: skip
    rest = (*workers[:2], *workers[3:])
    counts = Counter(owners(ring, rest, mine))
    assert set(counts) == set(rest)
    assert max(counts.values()) < 0.4 * len(mine)


@given(
    members=st.sets(st.integers(0, 9), min_size=1),
    late=st.sets(st.integers(0, 9)),
    gone=st.sets(st.integers(0, 9)),
    away=st.sets(st.integers(0, 9)),
)
@settings(max_examples=40, deadline=None)
def test_every_change_moves_only_what_it_must(
    members: set[int], late: set[int], gone: set[int], away: set[int]
) -> None:
    keys = KEYS[:60]
    ring = ring_of([FLEET[number] for number in members])
    now = members
    before = owners(ring, tuple(FLEET[number] for number in sorted(now)), keys)
    for number in late:
        ring.add(FLEET[number])
    for number in gone:
        ring.remove(FLEET[number])
    now = (members | late) - gone
    workers = tuple(FLEET[number] for number in sorted(now - away))
    after = owners(ring, workers, keys)
    # Neither the order of changes nor who stands on the ring unavailable makes a difference.
    assert after == owners(ring_of(workers[::-1]), workers, keys)
    stayed = {FLEET[number] for number in members & now - away}
    arrived = {FLEET[number] for number in now - members - away}
    for old, new in zip(before, after, strict=True):
        assert new is old or old not in stayed or new in arrived
    assert all(worker in workers for worker in after) if workers else set(after) == {None}


def test_the_ring_depends_on_urls_alone() -> None:
    twins = tuple(Worker(worker.url) for worker in FLEET[:4])
    first = owners(ring_of(FLEET[:4]), FLEET[:4], KEYS[:200])
    second = owners(ring_of(twins[::-1]), twins, KEYS[:200])
    assert [worker and worker.url for worker in first] == [
        worker and worker.url for worker in second
    ]


def test_one_url_stands_once() -> None:
    ring = ring_of(FLEET[:2])
    ring.add(FLEET[0])
    assert len(ring) == 2
    fresh = Worker(FLEET[0].url)
    ring.add(fresh)
    assert len(ring) == 2
    assert set(owners(ring, (fresh, FLEET[1]), KEYS[:100])) == {fresh, FLEET[1]}
    ring.remove(FLEET[0])  # replaced already
    assert len(ring) == 2
    ring.remove(fresh)
    ring.remove(fresh)
    assert set(owners(ring, FLEET[:2], KEYS[:100])) == {FLEET[1]}
    assert owners(ring, (FLEET[3],), KEYS[:2]) == [None, None]
