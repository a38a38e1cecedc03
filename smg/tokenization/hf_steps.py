"""Reading a `tokenizer.json` in steps, so that the interpreter's lock is held for shorter.

The library reads one in a single call that lets no other thread run: the event loop stands still
for all of it. For the usual kind, BPE, the same object is put together here from the same parts:
the longest step, building the vocabulary, takes two fifths of that call. The library still does
all the building; what is not written as expected is left to its own reader.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import msgspec

from smg.tokenization.libraries import library

# Options of the model that its constructor takes; another means that there is something new.
_OPTIONS = frozenset(
    {
        "dropout",
        "unk_token",
        "continuing_subword_prefix",
        "end_of_word_suffix",
        "fuse_unk",
        "byte_fallback",
        "ignore_merges",
    }
)
_MOST_RUNS = 16  # of added tokens that are special, or not: each run looks at all tokens again

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_vocabulary = msgspec.json.Decoder(dict[str, int])
_merges = msgspec.json.Decoder(list[str | tuple[str, str]])


class _Added(msgspec.Struct, forbid_unknown_fields=True):
    id: int
    content: str
    single_word: bool
    lstrip: bool
    rstrip: bool
    normalized: bool
    special: bool


_added = msgspec.json.Decoder(list[_Added])


def in_steps(raw: bytes) -> Any | None:
    """The `tokenizers.Tokenizer` of a file's content; None if the library must read it itself."""
    try:
        whole = _members.decode(raw)
        model = _members.decode(whole["model"])
        if msgspec.json.decode(model.pop("type")) != "BPE":
            return None
        vocabulary = _vocabulary.decode(model.pop("vocab"))
        merges = list(_pairs(model.pop("merges")))
        options = {name: msgspec.json.decode(value) for name, value in model.items()}
        added = _added.decode(whole["added_tokens"])
    except (KeyError, ValueError):  # msgspec's errors are ValueErrors
        return None
    if not options.keys() <= _OPTIONS:
        return None
    runs = [(special, list(run)) for special, run in groupby(added, lambda token: token.special)]
    if len(runs) > _MOST_RUNS:
        return None
    tokenizers = library("tokenizers")
    given = {name: value for name, value in options.items() if value is not None}
    try:
        built = tokenizers.models.BPE(vocabulary, merges, **given)
        tokenizer = tokenizers.Tokenizer.from_str(_without_model(whole))
        tokenizer.model = built
        for special, run in runs:
            add = tokenizer.add_special_tokens if special else tokenizer.add_tokens
            add([_token(tokenizers, token) for token in run])
    except Exception:  # the library raises bare Exception; its own reader says what is wrong
        return None
    right = all(tokenizer.token_to_id(token.content) == token.id for token in added)
    return tokenizer if right else None


def _pairs(raw: msgspec.Raw) -> Iterator[tuple[str, str]]:
    """The merges as pairs; older files write each as one text. ValueError for what is neither."""
    for merge in _merges.decode(raw):
        if isinstance(merge, str):
            left, right = merge.split(" ")
            yield left, right
        else:
            yield merge


def _without_model(whole: dict[str, msgspec.Raw]) -> str:
    """The file with an empty vocabulary."""
    empty = {"model": {"type": "BPE", "vocab": {}, "merges": []}, "added_tokens": []}
    return msgspec.json.encode({**whole, **empty}).decode()


def _token(tokenizers: Any, token: _Added) -> Any:
    return tokenizers.AddedToken(
        token.content,
        single_word=token.single_word,
        lstrip=token.lstrip,
        rstrip=token.rstrip,
        normalized=token.normalized,
        special=token.special,
    )
