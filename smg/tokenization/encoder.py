"""What every kind of tokenizer offers: text to ids and back, and its table of tokens."""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# Ids are unsigned 32-bit numbers: 4 bytes each instead of the 36 of a tuple of ints. They are
# shared by the caches, so nobody may change an array that came out of `encode`.
IDS = "I"


@dataclass(frozen=True, slots=True)
class AddedToken:
    """A token that is matched in the text before the vocabulary's own rules.

    `special`: dropped by decoding with `skip_special`. `plain`: matched on the raw text as it is,
    without regard to blanks or words around it. `normalized`: looked for after those that are not.
    """

    id: int
    content: str
    special: bool
    plain: bool = True
    normalized: bool = False


class Encoder(ABC):
    """One vocabulary. All methods may be called from several threads at once.

    `vocab_size`: as reported by the API. `added`: the tokens matched first.
    """

    vocab_size: int
    added: tuple[AddedToken, ...] = ()
    #: whether `decode` refuses ids that the vocabulary does not have; else it leaves them out
    refuses_unknown_ids = False

    @abstractmethod
    def encode(self, text: str, add_special_tokens: bool) -> array[int]:
        """The ids of a text; errors: EncodeFailed."""

    def encode_many(self, texts: Sequence[str]) -> list[array[int]]:
        """The ids of several texts, without special tokens."""
        return [self.encode(text, False) for text in texts]

    @abstractmethod
    def decode(self, ids: Sequence[int], skip_special: bool) -> str:
        """The text of all these ids; errors: DecodeFailed."""

    @abstractmethod
    def token_to_id(self, token: str) -> int | None: ...

    @abstractmethod
    def id_to_token(self, token_id: int) -> str | None: ...

    def pieces(self) -> list[bytes | None] | None:
        """The bytes of every id, None for unused ids; or None if ids do not stand for bytes."""
        return None

    def stream(self, skip_special: bool) -> TextStream | None:
        """A decoder for vocabularies without `pieces`."""
        return None

    @property
    def scans_alike(self) -> bool:
        """Whether the scan of `boundaries` finds added tokens exactly where this encoder does."""
        return True

    def special_ids(self) -> frozenset[int]:
        """Ids that `skip_special` drops."""
        return frozenset(token.id for token in self.added if token.special)


class TextStream(ABC):
    """Decodes the ids of one answer one by one, for vocabularies that are not byte-level."""

    @abstractmethod
    def step(self, token_id: int) -> str:
        """The text that is certain after this id."""

    @abstractmethod
    def finish(self) -> str:
        """The text that still waited at the end of the answer."""


def ids_of(numbers: Iterable[int]) -> array[int]:
    """Ids in the form that the caches share."""
    return array(IDS, numbers)


def joined(parts: Iterable[array[int]]) -> array[int]:
    """One array of all parts."""
    whole = array(IDS)
    for part in parts:
        whole.extend(part)
    return whole
