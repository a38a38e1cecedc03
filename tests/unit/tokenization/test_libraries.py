from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest

from smg.tokenization import libraries
from smg.tokenization.errors import LoadFailed
from smg.tokenization.loader import Source, load


def test_nothing_is_imported_before_the_first_tokenizer():
    folder = pathlib.Path(libraries.__file__).parent
    names = [f"smg.tokenization.{path.stem}" for path in folder.glob("[!_]*.py")]
    code = (
        f"import sys, {', '.join(names)}\n"
        "found = {'tokenizers', 'tiktoken', 'jinja2', 'huggingface_hub'} & set(sys.modules)\n"
        "sys.exit(f'imported: {found}' if found else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("name", ["tokenizers", "tiktoken"])
def test_a_missing_library_names_the_extra(name, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, name, None)
    file = tmp_path / ("tokenizer.json" if name == "tokenizers" else "x.tiktoken")
    file.write_bytes(b"YQ== 0\n")
    with pytest.raises(LoadFailed, match=rf"{name} is not installed: pip install 'smg\[tok"):
        load(Source(str(file)))
