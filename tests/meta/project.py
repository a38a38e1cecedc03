"""Reads what the project says about itself: pyproject.toml and the documents."""

from __future__ import annotations

import pathlib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = pathlib.Path(__file__).parents[2]
_FENCE = re.compile(r"^```(.*?)\n(.*?)^```\s*$", re.MULTILINE | re.DOTALL)


def pyproject() -> dict[str, Any]:
    """pyproject.toml as data."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def contract(name: str) -> dict[str, Any]:
    """The import-linter contract with this id."""
    contracts = pyproject()["tool"]["importlinter"]["contracts"]
    return next(entry for entry in contracts if entry["id"] == name)


def pages() -> list[pathlib.Path]:
    """Every document of the project."""
    return sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/**/*.md")])


def page_ids(paths: list[pathlib.Path]) -> list[str]:
    """Test ids: paths from the root."""
    return [str(path.relative_to(ROOT)) for path in paths]


@dataclass
class Block:
    """One fenced block of a page."""

    info: str
    text: str
    line: int


def blocks(path: pathlib.Path) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    text = path.read_text()
    for match in _FENCE.finditer(text):
        yield Block(match[1].strip(), match[2], text.count("\n", 0, match.start()) + 1)


def requirements() -> dict[str, str]:
    """Every distribution named in [project] and [build-system], with its version bounds."""
    data = pyproject()
    rows = [*data["project"]["dependencies"], *data["build-system"]["requires"]]
    for extra in data["project"]["optional-dependencies"].values():
        rows += extra
    found = {}
    for row in rows:
        match = re.match(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?\s*([^;]*)", row)
        assert match, row
        if match[1] != "smg":
            found[match[1].lower()] = match[2].strip()
    return found
