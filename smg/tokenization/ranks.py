"""Tokenizers of tiktoken: a file of `base64 rank` lines."""

from __future__ import annotations

import base64
import binascii
import os
import unicodedata
from array import array
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from smg.tokenization.encoder import IDS, AddedToken, Encoder
from smg.tokenization.errors import DecodeFailed, EncodeFailed, LoadFailed
from smg.tokenization.libraries import library

CL100K_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_SUFFIX = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]"
_LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]"
_LEAD = r"[^\r\n\p{L}\p{N}]?"
KIMI_PATTERN = (
    rf"[\p{{Han}}]+|{_LEAD}{_UPPER}*{_LOWER}+{_SUFFIX}|{_LEAD}{_UPPER}+{_LOWER}*{_SUFFIX}"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_WORD = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
O200K_PATTERN = (
    rf"{_LEAD}{_WORD[0]}*{_WORD[1]}+{_SUFFIX}|{_LEAD}{_WORD[0]}+{_WORD[1]}*{_SUFFIX}"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN_PATTERN = CL100K_PATTERN.replace(r"\p{N}{1,3}", r"\p{N}")
R50K_PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
KIMI_RESERVED = 256
_KIMI_TYPES = frozenset({"kimi_k2", "kimi_k25", "kimi_k3"})


def read_ranks(path: str | os.PathLike[str]) -> dict[bytes, int]:
    """Token bytes to rank; errors: LoadFailed naming the line."""
    ranks: dict[bytes, int] = {}
    try:
        lines = Path(path).read_bytes().splitlines()
    except OSError as error:
        raise LoadFailed(f"Failed to read {path}: {error.strerror}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            token, rank = line.split()
            ranks[base64.b64decode(token, validate=True)] = int(rank)
        except (ValueError, binascii.Error) as error:
            raise LoadFailed(f"{path}, line {number}: expected `base64 rank`") from error
    if not ranks:
        raise LoadFailed(f"{path} has no tokens")
    return ranks


def looks_like_ranks(path: Path) -> bool:
    """Whether the first line is `base64 rank` (Llama 3 calls such a file `tokenizer.model`)."""
    try:
        with path.open("rb") as file:
            token, rank = file.readline(4096).split()
            base64.b64decode(token, validate=True)
            return rank.isdigit()
    except (OSError, ValueError, binascii.Error):
        return False


def is_kimi(tokenizer_config: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """Whether the config names Kimi's tokenizer class anywhere, or its model type."""
    return config.get("model_type") in _KIMI_TYPES or _names_kimi(tokenizer_config)


def _names_kimi(value: Any) -> bool:
    if isinstance(value, str):
        return "tokenization_kimi" in value.split(".")
    if isinstance(value, dict):
        return any(map(_names_kimi, value.values()))
    return isinstance(value, list) and any(map(_names_kimi, value))


def declared_tokens(tokenizer_config: Mapping[str, Any]) -> list[AddedToken]:
    """`added_tokens_decoder` of a tokenizer config, by id; errors: LoadFailed."""
    declared = tokenizer_config.get("added_tokens_decoder") or {}
    tokens = []
    try:
        for number, token in declared.items():
            normalized = token.get("normalized", not token.get("special", False))
            tokens.append(
                AddedToken(
                    id=int(number),
                    content=token["content"],
                    special=bool(token.get("special", False)),
                    plain=not any(map(token.get, ("lstrip", "rstrip", "single_word"))),
                    normalized=bool(normalized),
                )
            )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise LoadFailed(f"added_tokens_decoder is not valid: {error!r}") from error
    return sorted(tokens, key=lambda token: token.id)


def reserved_tokens(first: int, named: Sequence[AddedToken]) -> list[AddedToken]:
    """Kimi's 256 ids after the ranks, with names for those that the config does not name."""
    known = {token.id: token for token in named}
    for number in range(first, first + KIMI_RESERVED):
        known.setdefault(number, AddedToken(number, f"<|reserved_token_{number}|>", True))
    return [known[number] for number in sorted(known)]


class RanksEncoder(Encoder):
    """A vocabulary of the library `tiktoken`.

    It adds no special tokens of its own, so `add_special_tokens` changes nothing, and it finds
    added tokens in any text. `composed`: texts are brought into Unicode's form NFC first.
    """

    refuses_unknown_ids = True

    def __init__(
        self,
        ranks: Mapping[bytes, int],
        added: Sequence[AddedToken],
        pattern: str,
        *,
        composed: bool = False,
    ) -> None:
        tiktoken = library("tiktoken")
        specials = {token.content: token.id for token in added}
        if len({*ranks.values(), *specials.values()}) != len(ranks) + len(added):
            raise LoadFailed("two tokens of the vocabulary have the same id or name")
        try:
            self._encoding = tiktoken.Encoding(
                name="smg", pat_str=pattern, mergeable_ranks=dict(ranks), special_tokens=specials
            )
        except Exception as error:
            raise LoadFailed(f"tiktoken does not accept the vocabulary: {error}") from error
        self.added = tuple(
            AddedToken(token.id, token.content, token.special) for token in added if token.content
        )
        self._table: list[bytes | None]
        self._table = [None] * (max([*ranks.values(), *specials.values()]) + 1)
        for token, number in ranks.items():
            self._table[number] = token
        for name, number in specials.items():
            self._table[number] = name.encode()
        self._names = {token.id: token.content for token in self.added}
        self._numbers = dict(specials)
        self._ranks = ranks
        self._composed = composed
        self._skip = self.special_ids()
        self.vocab_size = len(self._table)

    @property
    def scans_alike(self) -> bool:
        # tiktoken searches its special tokens in no fixed order: where one begins with another
        # there is no telling which is found. And composing may take the end of one away.
        names = sorted(self._numbers)
        overlaps = any(longer.startswith(shorter) for shorter, longer in pairwise(names))
        return not (overlaps or self._composed)

    def encode(self, text: str, add_special_tokens: bool) -> array[int]:
        if self._composed:
            text = unicodedata.normalize("NFC", text)
        try:
            ids = self._encoding.encode(text, allowed_special="all", disallowed_special=())
        except Exception as error:
            raise EncodeFailed(f"Tokenization failed: {error}", cause=error) from error
        return array(IDS, ids)

    def decode(self, ids: Sequence[int], skip_special: bool) -> str:
        table = self._table
        parts = []
        for number in ids:
            piece = table[number] if 0 <= number < len(table) else None
            if piece is None:
                text = f"tiktoken decode failed for unknown token id: {number}"
                raise DecodeFailed(text, status=400)
            if not (skip_special and number in self._skip):
                parts.append(piece)
        return b"".join(parts).decode("utf-8", "replace")

    def token_to_id(self, token: str) -> int | None:
        number = self._numbers.get(token)
        return self._ranks.get(token.encode("utf-8", "replace")) if number is None else number

    def id_to_token(self, token_id: int) -> str | None:
        if not 0 <= token_id < len(self._table):
            return None
        piece = self._table[token_id]
        return None if piece is None else piece.decode("utf-8", "replace")

    def pieces(self) -> list[bytes | None]:
        return list(self._table)
