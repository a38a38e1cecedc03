"""Directions of imports where import-linter cannot look: .pyx files, and the documents that state
the rule.
"""

from __future__ import annotations

import pathlib
import re

import pytest

from smg import _speedups
from tests.meta.project import ROOT, contract

# cimport of these is C or compiler, not a dependency
COMPILER = {"cython", "libc", "libcpp", "cpython"}
_IMPORT = re.compile(r"^\s*(?:from\s+([\w.]+)\s+c?import\b|c?import\s+([\w., ]+))", re.MULTILINE)

CYTHON_FILES = sorted([*ROOT.glob("smg/_speedups/*.pyx"), *ROOT.glob("smg/_speedups/*.pxd")])
# C types beside ordinary modules: they may cimport what their module may import.
TYPE_FILES = sorted(
    path
    for path in ROOT.glob("smg/**/*.pxd")
    if path.parent.name != "_speedups" and path.stem != "__init__"
)


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


def test_every_typed_module_is_compiled():
    typed = {name.replace(".", "/") for name in _speedups.TYPED}
    assert typed == {str(path.relative_to(ROOT).with_suffix("")) for path in TYPE_FILES}
    assert set(_speedups.MODULES) == {path.stem for path in CYTHON_FILES if path.suffix == ".pyx"}


@pytest.mark.parametrize("path", TYPE_FILES, ids=lambda path: path.name)
def test_c_types_point_down_like_imports(path: pathlib.Path):
    """import-linter cannot see .pxd files; a cimport is an import at load time."""
    layers = [name.strip() for row in contract("layers")["layers"] for name in row.split("|")]
    own = layers.index(path.relative_to(ROOT / "smg").parts[0])
    for name in imported(path.read_text()):
        if name.startswith("smg."):
            assert layers.index(name.split(".")[1]) >= own, f"{path.name} cimports {name}"


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
