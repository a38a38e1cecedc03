"""CPU and memory accounting of a process tree."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from perf import cpu

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

# A shell-like parent: burns CPU in a child, reaps it, then waits.
PARENT = """
import subprocess, sys, time
burn = "import time; end = time.process_time() + 0.2\\nwhile time.process_time() < end: pass"
subprocess.run([sys.executable, "-c", burn])
print("reaped", flush=True)
time.sleep(60)
"""


def test_parse_stat_takes_fields_after_the_last_bracket() -> None:
    rest = " ".join(["S", "7"] + ["0"] * 9 + ["100", "50", "30", "20"] + ["0"] * 30)
    stat = cpu.parse_stat(f"42 (a (b) name) {rest}")
    assert (stat.pid, stat.parent) == (42, 7)
    assert stat.own == pytest.approx(150 * cpu.TICK)
    assert stat.ended_children == pytest.approx(50 * cpu.TICK)


def test_own_time_agrees_with_the_process_clock() -> None:
    before, exact = cpu.process_seconds(os.getpid()), time.process_time()
    until = time.process_time() + 0.05
    while time.process_time() < until:
        pass
    after = cpu.process_seconds(os.getpid())
    assert before is not None
    assert after is not None
    assert after - before == pytest.approx(time.process_time() - exact, abs=0.005)


def test_a_process_that_is_gone_counts_nothing() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert cpu.process_seconds(process.pid) is None
    assert cpu.cpu_seconds(process.pid) == 0.0
    assert cpu.rss_bytes(process.pid) == 0


def test_ended_children_are_counted_with_their_parent() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        try:
            assert parent.stdout is not None
            parent.stdout.readline()
            assert 0.2 <= cpu.cpu_seconds(parent.pid) < 2.0
            assert 1_000_000 < cpu.rss_bytes(parent.pid) < 1_000_000_000
        finally:
            parent.kill()


def test_the_tree_holds_living_descendants() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        try:
            assert {os.getpid(), child.pid} <= set(cpu.tree(os.getpid()))
            assert cpu.tree(child.pid) == [child.pid]
        finally:
            child.kill()


def test_meter_measures_between_start_and_stop() -> None:
    meter = cpu.Meter(os.getpid())
    meter.start()
    until = time.process_time() + 0.05
    while time.process_time() < until:
        pass
    assert 0.04 < meter.stop() < 1.0
