"""docs/develop/edge-cases.md names tests that exist."""

from __future__ import annotations

import re

import pytest

from tests.meta.project import ROOT

_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
NAMED = _TEST.findall((ROOT / "docs/develop/edge-cases.md").read_text())


def test_the_page_has_rows() -> None:
    assert len(NAMED) > 30


@pytest.mark.parametrize(("file", "name"), NAMED, ids=[name for _, name in NAMED])
def test_the_named_test_exists(file: str, name: str) -> None:
    assert re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text(), re.MULTILINE)
