"""The two commands of the README, as far as they can be checked without a fresh clone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest

from tests.doubles.gateway import run_smg
from tests.meta.project import ROOT, pyproject

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="no make")


def make(*arguments: str) -> str:
    """What make would do."""
    command = ["make", "-n", "--no-print-directory", *arguments]
    # Inside `make test` the outer make's flags would come along.
    env = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    return subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, check=True
    ).stdout


@needs_make
def test_run_starts_what_the_readme_says():
    command = next(line for line in make("run").splitlines() if line.startswith("exec"))
    words = command.split()
    assert words[1].endswith("bin/smg")
    assert words[2:] == ["serve", "--backend", "sim", "--data-parallel-size", "2", "--port", "8080"]


@needs_make
def test_a_fresh_clone_gets_everything(tmp_path):
    steps = make("test", f"VENV={tmp_path}/venv")
    for step in (
        "-m venv",
        "install --no-build-isolation",
        ".[dev]",
        "ruff check",
        "mypy",
        "pytest",
    ):
        assert step in steps


@needs_make
def test_help_names_every_command():
    text = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert phony
    documented = set(re.findall(r"@echo 'make ([\w-]+)", text))
    assert set(phony[1].split()) - {"help", "types"} == documented


def test_build_requirements_match():
    text = (ROOT / "Makefile").read_text()
    stated = re.search(r"^BUILD_REQUIRES := (.*)$", text, re.MULTILINE)
    assert stated
    assert re.findall(r'"([^"]+)"', stated[1]) == pyproject()["build-system"]["requires"]


def test_ci_runs_make_test():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "make test" in script.read_text()


def test_unknown_flags_are_refused():
    """What `make run` prints would otherwise hide a typo in ARGS."""
    assert run_smg("launch", "--no-such-flag").returncode == 2
