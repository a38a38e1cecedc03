"""Directions of imports where import-linter cannot look: .pyx files, and the documents that state
the rule.
"""

from __future__ import annotations

import pathlib
import re

import pytest

from tests.meta.project import ROOT, contract

# cimport of these is C or compiler, not a dependency
COMPILER = {"cython", "libc", "libcpp", "cpython"}
_IMPORT = re.compile(r"^\s*(?:from\s+([\w.]+)\s+c?import\b|c?import\s+([\w., ]+))", re.MULTILINE)

CYTHON_FILES = sorted([*ROOT.glob("smg/**/*.pyx"), *ROOT.glob("smg/**/*.pxd")])


def imported(text: str) -> set[str]:
    """Modules named by import and cimport lines."""
    names = set()
    for source, plain in _IMPORT.findall(text):
        for name in [source] if source else plain.split(","):
            names.add(name.split(" as ")[0].strip())
    return names


def test_the_scan_finds_all_forms():
    text = (
        "from libc.string cimport memchr\ncimport cython\nimport a.b as c, d\n  from x.y import z\n"
    )
    assert imported(text) == {"libc.string", "cython", "a.b", "d", "x.y"}


@pytest.mark.parametrize("path", CYTHON_FILES, ids=lambda path: path.name)
def test_compiled_modules_are_leaves(path: pathlib.Path):
    assert path.is_relative_to(ROOT / "smg" / "_speedups")
    forbidden = set(contract("pure")["forbidden_modules"])
    for name in imported(path.read_text()):
        top = name.split(".")[0]
        assert top in COMPILER or not name.startswith("smg") or name.startswith("smg._speedups")
        assert top not in forbidden, f"{path.name} imports {name}"


@pytest.mark.parametrize("path", CYTHON_FILES, ids=lambda path: path.name)
def test_compiled_modules_have_a_stub(path: pathlib.Path):
    if path.suffix == ".pyx":
        assert path.with_suffix(".pyi").exists()


def test_the_architecture_page_states_the_checked_layers():
    text = (ROOT / "docs" / "architecture.md").read_text()
    stated = text.split("Imports go down this list only:")[1].split("import-linter")[0]
    layers = [layer.replace("`", "").strip() for layer in stated.split("·")]
    assert layers == contract("layers")["layers"]
    assert contract("pure")["forbidden_modules"] == ["asyncio", "socket", "ssl"]


def test_every_package_has_an_init():
    """A folder without one is left out of the wheel without a word."""
    folders = {path.parent for path in ROOT.glob("smg/**/*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []
