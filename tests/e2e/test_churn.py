"""A few seconds of `python -m perf.churn`: traffic while workers come and go through the API."""

from __future__ import annotations

import subprocess
import sys


def test_no_request_fails_while_the_fleet_changes() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "perf.churn", "--seconds", "6", "--rate", "100"],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "MISS" not in done.stdout
