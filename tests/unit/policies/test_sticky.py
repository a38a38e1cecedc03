"""The memory of routing keys: order, bounds, and workers that go."""

from __future__ import annotations

import gc
import weakref

from hypothesis import given
from hypothesis import strategies as st

from smg.policies.candidates import CandidateCache
from smg.policies.sticky import StickyMap
from smg.workers import Worker

WORKERS = tuple(Worker(f"http://w{number}:1") for number in range(5))
CACHE = CandidateCache()
ALL = CACHE.of(WORKERS)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def make(max_idle: float = 100, limit: int = 1000) -> tuple[StickyMap, Clock]:
    clock = Clock()
    return StickyMap(max_idle, clock, limit), clock


def test_the_first_that_is_available() -> None:
    keys, _ = make()
    assert keys.find(b"k", ALL) is None
    assert b"k" not in keys
    keys.append(b"k", WORKERS[0])
    keys.append(b"k", WORKERS[1])
    assert keys.find(b"k", ALL) is WORKERS[0]
    assert keys.find(b"k", CACHE.of(WORKERS[1:])) is WORKERS[1]
    assert keys.find(b"k", CACHE.of(WORKERS[2:])) is None
    assert b"k" in keys
    assert keys.find(b"k", ALL) is WORKERS[0]


def test_of_three_the_oldest_goes() -> None:
    keys, _ = make()
    for worker in WORKERS[:3]:
        keys.append(b"k", worker)
    assert keys.find(b"k", ALL) is WORKERS[1]
    assert keys.find(b"k", CACHE.of((WORKERS[0], WORKERS[2]))) is WORKERS[2]


def test_a_preferred_worker_comes_first_and_nobody_stands_twice() -> None:
    keys, _ = make()
    for number in (0, 1, 1, 0):
        keys.prefer(b"k", WORKERS[number])
    assert keys.find(b"k", ALL) is WORKERS[0]
    assert keys.find(b"k", CACHE.of(WORKERS[1:])) is WORKERS[1]
    keys.prefer(b"k", WORKERS[2])
    assert keys.find(b"k", CACHE.of(WORKERS[:2])) is WORKERS[0]


def test_keys_not_used_go_when_swept() -> None:
    keys, clock = make(max_idle=100)
    keys.append(b"old", WORKERS[0])
    keys.append(b"used", WORKERS[0])
    clock.now += 60
    keys.find(b"used", ALL)
    clock.now += 40
    keys.sweep()
    assert (b"old" in keys, b"used" in keys) == (False, True)
    clock.now += 59
    keys.sweep()
    assert b"used" in keys
    clock.now += 1
    keys.sweep()
    assert len(keys) == 0


def test_new_keys_sweep_a_little() -> None:
    keys, clock = make(max_idle=100)
    for number in range(10):
        keys.append(b"old-%d" % number, WORKERS[0])
    clock.now += 200
    for number in range(5):
        keys.append(b"new-%d" % number, WORKERS[0])
    assert len(keys) == 5


def test_zero_is_never() -> None:
    keys, clock = make(max_idle=0)
    keys.append(b"k", WORKERS[0])
    clock.now += 1e9
    keys.sweep()
    assert b"k" in keys


def test_the_number_of_keys_is_bounded() -> None:
    keys, _ = make(limit=3)
    for number in range(3):
        keys.append(b"%d" % number, WORKERS[0])
    keys.find(b"0", ALL)
    keys.append(b"2", WORKERS[1])  # known: needs no room
    assert len(keys) == 3
    keys.append(b"3", WORKERS[0])
    assert len(keys) == 3
    assert b"1" not in keys
    assert b"0" in keys


def test_a_worker_that_is_gone_is_let_go_and_its_pins_with_it() -> None:
    keys, _ = make()
    worker = Worker("http://gone:1")
    keys.append(b"k", worker)
    keys.append(b"k", WORKERS[0])
    keys.forget(worker)
    keys.forget(worker)
    assert keys.find(b"k", CACHE.of((worker, *WORKERS))) is WORKERS[0]
    keys.append(b"k", WORKERS[1])  # the gone one leaves its place
    assert keys.find(b"k", ALL) is WORKERS[0]
    CACHE.clear()
    CACHE.of(WORKERS)
    watched = weakref.ref(worker)
    del worker
    gc.collect()
    assert watched() is None


@given(
    st.lists(
        st.tuples(st.sampled_from("apf"), st.sampled_from([b"x", b"y", b"z"]), st.integers(0, 4)),
        max_size=40,
    ),
    st.sets(st.integers(0, 4)),
)
def test_as_a_plain_list_per_key(steps: list[tuple[str, bytes, int]], available: set[int]) -> None:
    keys, _ = make()
    plain: dict[bytes, list[int]] = {}
    for step, key, number in steps:
        held = [other for other in plain.get(key, []) if other != number]
        if step == "a":
            keys.append(key, WORKERS[number])
            plain[key] = [*held[-1:], number]
        elif step == "p":
            keys.prefer(key, WORKERS[number])
            plain[key] = [number, *held[:1]]
        else:
            keys.forget(WORKERS[number])
            plain = {key: [n for n in held if n != number] for key, held in plain.items()}
        workers = tuple(WORKERS[n] for n in sorted(available))
        for key, held in plain.items():
            expected = [WORKERS[n] for n in held if n in available]
            assert keys.find(key, CACHE.of(workers)) is (expected[0] if expected else None)
