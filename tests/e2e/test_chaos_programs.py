"""A few seconds of `python -m perf.chaos` and of `python -m perf.soak`: workers are processes here,
so they can be killed and frozen. The other faults: tests/faults/test_chaos.py.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

SHORT = "15"  # a seed whose first faults are a frozen and a killed worker


def test_bounds_hold_while_a_worker_is_killed_and_another_frozen(tmp_path: Path) -> None:
    """Both at once: most of their time they wait."""
    few = ("--seconds", "3.5", "--rate", "60", "--settle", "0", "--pace", "5", "--seed", SHORT)
    commands = {
        "chaos": ("--gateways", "smg", "--must-hold", "--json", "chaos.json"),
        "soak": ("--every", "1", "--json", "soak.jsonl"),
    }
    running = {
        name: subprocess.Popen(
            [sys.executable, "-m", f"perf.{name}", *few, *flags[:-1], str(tmp_path / flags[-1])],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for name, flags in commands.items()
    }
    try:
        said = {name: program.communicate(timeout=60)[0] for name, program in running.items()}
    finally:
        for program in running.values():
            if program.poll() is None:
                program.send_signal(signal.SIGINT)  # stops what it started
    assert running["chaos"].returncode == 0, said["chaos"]
    # A few seconds prove nothing about memory; everything else holds.
    missed = re.findall(r"^MISS  (.*)$", said["soak"], re.MULTILINE)
    assert all(line.startswith("growth of memory") for line in missed), said["soak"]
    (figures,) = json.loads((tmp_path / "chaos.json").read_text())["gateways"]
    assert figures["right"] > 150
    assert {"kill -9", "SIGSTOP"} <= {event["fault"] for event in figures["events"]}
    lines = (tmp_path / "soak.jsonl").read_text().splitlines()
    assert len(lines) >= 5  # settings, a sample each second and one more, what was left
