"""Parsers in a package of their own: the example of the documents, installed and used."""

from __future__ import annotations

import pathlib
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from smg.core.errors import ConfigError
from smg.parsers import ToolContext, Tools
from smg.parsers.registry import REASONING_PARSERS, TOOL_PARSERS
from tests.meta.project import ROOT, blocks
from tests.unit.parsers.support import check_everywhere

EXAMPLE = ROOT / "docs" / "examples" / "arrow_parsers"
TOOLS = Tools([{"type": "function", "function": {"name": "lookup"}}])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder into which the example is installed, as pip does it."""
    folder = tmp_path_factory.mktemp("site")
    source = shutil.copytree(EXAMPLE, folder / "source")  # pip builds beside the source
    command = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    command += ["--no-deps", "--no-index", "--no-build-isolation", "--target", str(folder / "site")]
    subprocess.run([*command, str(source)], check=True, capture_output=True)
    return folder / "site"


@pytest.fixture
def installed(site: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This very process finds the package."""
    monkeypatch.syspath_prepend(str(site))
    yield
    sys.modules.pop("arrow_pkg", None)
    for table in (TOOL_PARSERS, REASONING_PARSERS):
        table._loaded.pop("arrow", None)


def test_the_documents_show_the_example_as_it_is() -> None:
    shown = [block.text for block in blocks(ROOT / "docs" / "guide" / "parsers.md")]
    for name in ("arrow_pkg.py", "pyproject.toml"):
        assert (EXAMPLE / name).read_text() in shown, name


@pytest.mark.usefixtures("installed")
def test_its_names_are_names() -> None:
    assert "arrow" in TOOL_PARSERS.names()
    assert "arrow" in REASONING_PARSERS.names()
    assert TOOL_PARSERS.canonical("ARROW") == "arrow"


def test_its_names_are_unknown_where_it_is_not_installed() -> None:
    assert TOOL_PARSERS.canonical("arrow") is None
    with pytest.raises(ConfigError, match="unknown tool-call parser 'arrow'"):
        TOOL_PARSERS.kind("arrow")


@pytest.mark.usefixtures("installed")
def test_calls_are_recognised_however_the_text_is_cut() -> None:
    kind = TOOL_PARSERS.kind("arrow")
    text = 'a->b, so ->lookup {"id": 7} and ->what'
    parsed = check_everywhere(lambda: kind(ToolContext(TOOLS, lambda n, name: f"{name}{n}")), text)
    assert parsed.content == "a->b, so  and ->what"
    assert [(call.id, call.arguments) for call in parsed.calls] == [("lookup0", '{"id":7}')]


@pytest.mark.usefixtures("installed")
def test_thoughts_are_told_from_the_answer() -> None:
    kind = REASONING_PARSERS.kind("arrow")
    parsed = check_everywhere(kind, "(((hm (or not)) )))so be it")
    assert (parsed.reasoning, parsed.content) == ("hm (or not)) ", "so be it")
