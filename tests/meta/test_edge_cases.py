"""Pages that say which test holds what name tests that exist."""

from __future__ import annotations

import re

import pytest

from tests.meta.project import ROOT

_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
PAGES = ("docs/develop/edge-cases.md", "docs/develop/faults.md")
NAMED = {page: _TEST.findall((ROOT / page).read_text()) for page in PAGES}
ALL = sorted({test for tests in NAMED.values() for test in tests})


@pytest.mark.parametrize("page", PAGES)
def test_the_page_has_rows(page: str) -> None:
    assert len(NAMED[page]) > 30


@pytest.mark.parametrize(("file", "name"), ALL, ids=[name for _, name in ALL])
def test_the_named_test_exists(file: str, name: str) -> None:
    assert re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text(), re.MULTILINE)
