"""The built-in tokenizer `mock`: a dozen words, for tests and demonstrations without files."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from smg.tokenization.encoder import AddedToken, Encoder, TextStream, ids_of

WORDS = {
    "Hello": 1,
    "world": 2,
    "test": 3,
    "token": 4,
    " ": 5,
    ".": 6,
    "system": 7,
    "user": 8,
    "assistant": 9,
    "<eos>": 999,
    "<bos>": 1000,
    "<|im_start|>": 1001,
    "<|im_end|>": 1002,
    "<|eot_id|>": 1003,
}
TOKENS = {"bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>"}
_SKIPPED = frozenset({999, 1000})


class MockEncoder(Encoder):
    """Words between blanks; those it does not know are dropped."""

    def __init__(self) -> None:
        self.vocab_size = len(WORDS)
        self.added = tuple(
            AddedToken(WORDS[name], name, True, plain=False) for name in ("<eos>", "<bos>")
        )
        self._names = {number: word for word, number in WORDS.items()}

    def encode(self, text: str, add_special_tokens: bool) -> array[int]:
        return ids_of(WORDS[word] for word in text.split() if word in WORDS)

    def decode(self, ids: Sequence[int], skip_special: bool) -> str:
        kept = (number for number in ids if not (skip_special and number in _SKIPPED))
        return " ".join(self._names[number] for number in kept if number in self._names)

    def token_to_id(self, token: str) -> int | None:
        return WORDS.get(token)

    def id_to_token(self, token_id: int) -> str | None:
        return self._names.get(token_id)

    def stream(self, skip_special: bool) -> MockStream:
        return MockStream(self, skip_special)


class MockStream(TextStream):
    """One word after the other, a blank before each but the first."""

    def __init__(self, encoder: MockEncoder, skip_special: bool) -> None:
        self._encoder = encoder
        self._skip_special = skip_special
        self._begun = False

    def step(self, token_id: int) -> str:
        word = self._encoder.decode([token_id], self._skip_special)
        if not word:
            return ""
        before = " " if self._begun else ""
        self._begun = True
        return before + word

    def finish(self) -> str:
        return ""
