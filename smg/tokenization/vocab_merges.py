"""Qwen2-style tokenizers without a `tokenizer.json`: `vocab.json` and `merges.txt`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smg.tokenization.errors import LoadFailed
from smg.tokenization.hf import HfEncoder
from smg.tokenization.libraries import library
from smg.tokenization.ranks import QWEN_PATTERN, declared_tokens

CLASSES = frozenset({"Qwen2Tokenizer", "Qwen2TokenizerFast"})


def load_vocab_merges(folder: Path, tokenizer_config: Mapping[str, Any]) -> HfEncoder:
    """Build the tokenizer of the two files; errors: LoadFailed.

    Added tokens must get the ids that the config declares for them.
    """
    declared_class = tokenizer_config.get("tokenizer_class")
    if declared_class not in CLASSES:
        what = f"has the unsupported tokenizer_class '{declared_class}'"
        if declared_class is None:
            what = "names no tokenizer_class in tokenizer_config.json"
        raise LoadFailed(f"Directory '{folder}' has vocab.json and merges.txt, but {what}")
    tokenizers = library("tokenizers")
    try:
        model = tokenizers.models.BPE.from_file(
            str(folder / "vocab.json"), str(folder / "merges.txt")
        )
    except Exception as error:
        raise LoadFailed(
            f"Failed to load {folder / 'vocab.json'} and merges.txt: {error}"
        ) from error
    tokenizer = tokenizers.Tokenizer(model)
    pre = tokenizers.pre_tokenizers
    tokenizer.normalizer = tokenizers.normalizers.NFC()
    tokenizer.pre_tokenizer = pre.Sequence(
        [
            pre.Split(tokenizers.Regex(QWEN_PATTERN), behavior="isolated"),
            pre.ByteLevel(
                add_prefix_space=bool(tokenizer_config.get("add_prefix_space", False)),
                use_regex=False,
            ),
        ]
    )
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    tokenizer.post_processor = tokenizers.processors.ByteLevel(trim_offsets=False)
    declared = tokenizer_config.get("added_tokens_decoder") or {}
    for token in declared_tokens(tokenizer_config):
        row = declared[str(token.id)]
        tokenizer.add_tokens(
            [
                tokenizers.AddedToken(
                    token.content,
                    single_word=bool(row.get("single_word", False)),
                    lstrip=bool(row.get("lstrip", False)),
                    rstrip=bool(row.get("rstrip", False)),
                    normalized=token.normalized,
                    special=token.special,
                )
            ]
        )
        got = tokenizer.token_to_id(token.content)
        if got != token.id:
            raise LoadFailed(f"added token '{token.content}': expected ID {token.id}, got {got}")
    return HfEncoder(tokenizer)
