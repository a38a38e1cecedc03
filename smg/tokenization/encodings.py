"""Files of ranks that are known by their name, because nothing beside them tells how to read them:
the pattern that cuts a text, and the special tokens, belong to the encoding and not to the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from smg.tokenization.encoder import AddedToken
from smg.tokenization.ranks import (
    CL100K_PATTERN,
    O200K_PATTERN,
    QWEN_PATTERN,
    R50K_PATTERN,
    RanksEncoder,
    read_ranks,
)

_END = "<|endoftext|>"
_FILLS = ("<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>")


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a file of ranks is read. `composed`: texts are brought into Unicode's form NFC first."""

    file: str
    pattern: str
    special: Mapping[str, int]
    composed: bool = False


def _numbered(*names: str, first: int) -> dict[str, int]:
    return {name: first + at for at, name in enumerate(names)}


ENCODINGS = {
    "r50k_base": Encoding("r50k_base", R50K_PATTERN, {_END: 50256}),
    "p50k_base": Encoding("p50k_base", R50K_PATTERN, {_END: 50256}),
    "p50k_edit": Encoding(
        "p50k_base", R50K_PATTERN, {_END: 50256, **_numbered(*_FILLS, first=50281)}
    ),
    "cl100k_base": Encoding(
        "cl100k_base",
        CL100K_PATTERN,
        {**_numbered(_END, *_FILLS, first=100257), "<|endofprompt|>": 100276},
    ),
    "o200k_base": Encoding("o200k_base", O200K_PATTERN, {_END: 199999, "<|endofprompt|>": 200018}),
    # Qwen's first generation; later ones come with a tokenizer.json.
    "qwen": Encoding(
        "qwen",
        QWEN_PATTERN,
        _numbered(
            *(_END, "<|im_start|>", "<|im_end|>"),
            *(f"<|extra_{number}|>" for number in range(205)),
            first=151643,
        ),
        composed=True,
    ),
}


def encoding_of(file: Path) -> Encoding | None:
    """The encoding of a file that is called after one, as `cl100k_base.tiktoken`."""
    return ENCODINGS.get(file.stem) if file.suffix == ".tiktoken" else None


def read_encoding(path: Path, encoding: Encoding) -> RanksEncoder:
    """The encoding, with the ranks of this file; errors: LoadFailed."""
    added = [AddedToken(number, name, True) for name, number in encoding.special.items()]
    return RanksEncoder(read_ranks(path), added, encoding.pattern, composed=encoding.composed)
