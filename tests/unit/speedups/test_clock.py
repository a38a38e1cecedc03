"""The clock of compiled modules is the one of everybody else."""

from __future__ import annotations

import time

from smg._speedups.clock import perf_counter, wall_clock


def test_moments_of_both_compare():
    for _ in range(1000):
        before = time.perf_counter()
        now = perf_counter()
        assert before <= now <= time.perf_counter()


def test_the_wall_clock_is_the_usual_one():
    for _ in range(1000):
        before = time.time()
        now = wall_clock()
        assert before <= now <= time.time()
