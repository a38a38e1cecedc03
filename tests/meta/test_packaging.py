"""What ends up in the wheel, and the systemd unit."""

from __future__ import annotations

import configparser
import os
import pathlib
import re
import shutil
import subprocess
import sys
import zipfile

import pytest

from smg import _speedups
from tests.doubles.gateway import run_smg
from tests.meta.project import ROOT, pyproject

UNIT = ROOT / "deploy" / "systemd" / "smg.service"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A wheel built from a copy of the sources, so that the checkout stays as it is."""
    pytest.importorskip("Cython")
    pytest.importorskip("setuptools")
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "copy"
    # With the C that was generated when the checkout was built, where it is newer than its source.
    skip = shutil.ignore_patterns("*.so", "__pycache__")
    shutil.copytree(ROOT / "smg", copy / "smg", ignore=skip)
    for name in ("pyproject.toml", "setup.py", "README.md", "MANIFEST.in"):
        shutil.copy(ROOT / name, copy)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    environment = {**os.environ, "SMG_OPTIMIZE": "0"}
    subprocess.run(
        [*command, "-w", str(folder), str(copy)], check=True, capture_output=True, env=environment
    )
    return next(folder.glob("*.whl"))


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.xdist_group("wheel")  # one build for all of them
def test_wheel_has_everything(wheel: pathlib.Path):
    names = set(zipfile.ZipFile(wheel).namelist())
    sources = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "smg").rglob("*")
        if path.suffix in (".py", ".pyi", ".html") or path.name == "py.typed"
    }
    assert sources - names == set()
    modules = [f"smg/_speedups/{name}" for name in _speedups.MODULES]
    compiled = {*modules, *(name.replace(".", "/") for name in _speedups.TYPED)}
    built = {name.split(".")[0] for name in names if name.endswith((".so", ".pyd"))}
    assert built == compiled
    assert not [name for name in names if name.startswith(("tests", "perf")) or name.endswith(".c")]


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.xdist_group("wheel")  # one build for all of them
def test_wheel_imports_from_elsewhere(wheel: pathlib.Path, tmp_path: pathlib.Path):
    zipfile.ZipFile(wheel).extractall(tmp_path)
    code = "import smg, smg._speedups.framing; print(smg.__file__)"
    command = [sys.executable, "-c", code]
    result = subprocess.run(
        command,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(tmp_path)},
    )
    assert result.stdout.startswith(str(tmp_path))


def test_supported_pythons_are_classified():
    project = pyproject()["project"]
    prefix = "Programming Language :: Python :: 3."
    minors = [int(row[len(prefix) :]) for row in project["classifiers"] if row.startswith(prefix)]
    assert minors == list(range(min(minors), max(minors) + 1))
    assert project["requires-python"] == f">=3.{min(minors)}"


# systemd


def unit() -> dict[str, dict[str, str]]:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNIT)
    return {name: dict(parser[name]) for name in parser.sections()}


def lines_of(name: str) -> list[str]:
    """Every value of a key that may stand several times."""
    return re.findall(rf"^{name}=(.*)$", UNIT.read_text(), flags=re.MULTILINE)


def test_unit_command_is_valid():
    command = re.sub(r"\s+", " ", unit()["Service"]["ExecStart"].replace("\\\n", " ")).split()
    assert command[0].endswith("/smg")
    words = ["http://127.0.0.1:1" if word.startswith("$") else word for word in command[1:]]
    assert words[0] == "launch"
    result = run_smg("check", *[word for word in words[1:] if not word.startswith("/etc")])
    assert "unrecognized" not in result.stderr + result.stdout


def test_unit_gives_the_drain_its_time():
    from smg.config.settings import RouterConfig

    service = unit()["Service"]
    assert int(service["TimeoutStopSec"]) >= RouterConfig().shutdown_grace_period_secs + 30
    assert service["KillMode"] == "mixed"
    assert service["Type"] == "notify"
    assert int(service["WatchdogSec"]) > 0
    assert int(service["LimitNOFILE"]) >= 65536


def test_unit_checks_the_settings_before_they_are_reloaded():
    check, hang_up = lines_of("ExecReload")
    start = unit()["Service"]["ExecStart"]
    assert check == start.replace(" launch ", " check ")
    assert hang_up == "/bin/kill -HUP $MAINPID"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")
def test_unit_is_accepted_by_systemd(tmp_path: pathlib.Path):
    copy = tmp_path / "smg.service"
    # systemd looks whether the program exists; here any program does
    copy.write_text(UNIT.read_text().replace("/opt/smg/bin/smg", sys.executable))
    result = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)],
        capture_output=True,
        text=True,
        check=False,
    )
    complaints = [line for line in result.stderr.splitlines() if "smg.service" in line]
    assert (result.returncode, complaints) == (0, [])
