"""`smg --version` and `smg --help` are fast because they load next to nothing."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.doubles.gateway import run_smg

# What a gateway needs and a version line does not.
HEAVY = ["asyncio", "uvloop", "httptools", "orjson", "msgspec", "prometheus_client", "ssl", "yaml"]
VERSION_SECS = 0.1


def loaded_by(*arguments: str) -> set[str]:
    """Modules in memory after `smg ARGUMENTS`."""
    code = (
        "import sys, contextlib, io\n"
        "from smg.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        f"    try: main({list(arguments)!r})\n"
        "    except SystemExit: pass\n"
        "print(*sys.modules)"
    )
    command = [sys.executable, "-c", code]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["launch", "--help"]])
def test_nothing_heavy_is_loaded(arguments: list[str]):
    assert sorted(loaded_by(*arguments) & set(HEAVY)) == []


def test_importing_the_package_loads_nothing_but_the_version():
    command = [
        sys.executable,
        "-c",
        "import sys, smg; print(*(m for m in sys.modules if 'smg' in m))",
    ]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert set(output.split()) <= {"smg", "smg.version"} | {
        name for name in output.split() if name.startswith("__editable__")
    }


def test_version_takes_less_than_100_ms_of_cpu():
    """CPU time of the whole process: steadier than the clock on a busy machine. Best of five."""
    best = min(_cpu_seconds([sys.executable, "-m", "smg", "--version"]) for _ in range(5))
    assert best < VERSION_SECS


def _cpu_seconds(command: list[str]) -> float:
    before = os.times()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    user = after.children_user - before.children_user
    return user + after.children_system - before.children_system


def test_version_output():
    from smg.version import __version__

    result = run_smg("--version")
    assert result.returncode == 0
    assert __version__ in result.stdout
