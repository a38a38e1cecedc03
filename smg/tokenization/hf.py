"""Tokenizers of Hugging Face: `tokenizer.json`, read by the library `tokenizers`."""

from __future__ import annotations

import json
import logging
import os
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from smg.tokenization.encoder import IDS, AddedToken, Encoder, TextStream
from smg.tokenization.errors import DecodeFailed, EncodeFailed, LoadFailed
from smg.tokenization.hf_steps import in_steps
from smg.tokenization.libraries import library

log = logging.getLogger(__name__)

_WINDOW = 64
_GAPS = 4  # ids are looked for up to this many times their number


def byte_alphabet() -> dict[str, int]:
    """The printable characters that byte-level vocabularies write bytes with (GPT-2's mapping).

    Bytes that are visible characters of Latin-1 stand for themselves, all others for the
    characters from U+0100 on, in order.
    """
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    alphabet = {chr(byte): byte for byte in visible}
    hidden = (byte for byte in range(256) if byte not in set(visible))
    alphabet.update((chr(0x100 + at), byte) for at, byte in enumerate(hidden))
    return alphabet


def _changes_text(normalizer: Any) -> bool:
    """Whether a normalizer does anything; DeepSeek's is an empty sequence."""
    if normalizer is None:
        return False
    state = json.loads(normalizer.__getstate__())
    return state["type"] != "Sequence" or bool(state["normalizers"])


class HfEncoder(Encoder):
    """A vocabulary of the library `tokenizers`."""

    def __init__(self, tokenizer: Any) -> None:
        # A prompt is never cut or filled up, whatever the file says.
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self._batch = tokenizer.encode_batch_fast
        self.vocab_size = int(tokenizer.get_vocab_size(with_added_tokens=False))
        added = tokenizer.get_added_tokens_decoder()
        normalizes = _changes_text(tokenizer.normalizer)
        self._single_words = any(token.single_word for token in added.values())
        self.added = tuple(
            AddedToken(
                id=number,
                content=token.content,
                special=token.special,
                plain=not (token.lstrip or token.rstrip or token.single_word)
                and not (token.normalized and normalizes),
                normalized=token.normalized,
            )
            for number, token in sorted(added.items())
        )

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> HfEncoder:
        """Read a `tokenizer.json`; errors: LoadFailed."""
        tokenizers = library("tokenizers")
        try:
            raw = Path(path).read_bytes()
            made = in_steps(raw)
            return cls(tokenizers.Tokenizer.from_buffer(raw) if made is None else made)
        except Exception as error:  # the library raises bare Exception
            raise LoadFailed(f"Failed to load tokenizer {path}: {error}") from error

    @property
    def library_tokenizer(self) -> Any:
        """The `tokenizers.Tokenizer` below."""
        return self._tokenizer

    @property
    def scans_alike(self) -> bool:
        # A word's neighbours would have to be looked at.
        return not self._single_words

    def encode(self, text: str, add_special_tokens: bool) -> array[int]:
        # Twice as fast as `encode` (no offsets), and other threads run meanwhile.
        try:
            [encoding] = self._batch([text], add_special_tokens=add_special_tokens)
        except Exception as error:
            raise EncodeFailed(f"Tokenization failed: {error}", cause=error) from error
        return array(IDS, encoding.ids)

    def encode_many(self, texts: Sequence[str]) -> list[array[int]]:
        try:
            encodings = self._batch(list(texts), add_special_tokens=False)
        except Exception as error:
            raise EncodeFailed(f"Tokenization failed: {error}", cause=error) from error
        return [array(IDS, encoding.ids) for encoding in encodings]

    def decode(self, ids: Sequence[int], skip_special: bool) -> str:
        try:
            return str(self._tokenizer.decode(list(ids), skip_special_tokens=skip_special))
        except Exception as error:
            raise DecodeFailed(f"Detokenization failed: {error}", cause=error) from error

    def token_to_id(self, token: str) -> int | None:
        found: int | None = self._tokenizer.token_to_id(token)
        return found

    def id_to_token(self, token_id: int) -> str | None:
        found: str | None = self._tokenizer.id_to_token(token_id)
        return found

    def pieces(self) -> list[bytes | None] | None:
        if not self._is_byte_level():
            return None
        # Into Latin-1, whose characters are the bytes; U+0100 for what stands for no byte.
        alphabet = dict.fromkeys(range(256), 0x100)
        alphabet.update({ord(character): byte for character, byte in byte_alphabet().items()})
        table: list[bytes | None] = []
        for token in self._tokens():
            if token is None:
                table.append(None)
                continue
            try:
                table.append(token.translate(alphabet).encode("latin-1"))
            except UnicodeEncodeError:
                # Not written in the alphabet: an added token, which is text.
                table.append(token.encode("utf-8", "replace"))
        return table

    def _tokens(self) -> Iterator[str | None]:
        """All tokens in the order of their ids, None for ids between them that are not used.

        One by one: `get_vocab` would keep all other threads waiting for a tenth of a second.
        """
        left = int(self._tokenizer.get_vocab_size(with_added_tokens=True))
        highest = _GAPS * left
        for number in range(highest):
            token = self.id_to_token(number)
            yield token
            left -= token is not None
            if not left:
                return

    def _is_byte_level(self) -> bool:
        decoder = self._tokenizer.decoder
        if decoder is None:
            return False
        state = json.loads(decoder.__getstate__())
        kinds = state["decoders"] if state["type"] == "Sequence" else [state]
        return [kind["type"] for kind in kinds] == ["ByteLevel"]

    def stream(self, skip_special: bool) -> HfStream:
        return HfStream(self._tokenizer, skip_special)


class HfStream(TextStream):
    """`tokenizers.DecodeStream`, with what it keeps to itself at the end of an answer."""

    def __init__(self, tokenizer: Any, skip_special: bool) -> None:
        self._new = library("tokenizers").decoders.DecodeStream
        self._tokenizer = tokenizer
        self._skip_special = skip_special
        self._stream = self._new(skip_special_tokens=skip_special)
        self._before: list[int] = []  # ids whose text has come, a few: they shape what follows
        self._waiting: list[int] = []  # ids since then

    def step(self, token_id: int) -> str:
        self._waiting.append(token_id)
        try:
            text: str | None = self._stream.step(self._tokenizer, token_id)
        except Exception as error:  # an id that is none, or a prefix that the library lost
            log.debug("token %d is left out of a stream: %s", token_id, error)
            self._stream = self._new(skip_special_tokens=self._skip_special)
            self._before, self._waiting = [], []
            return ""
        if text:
            self._before = (self._before + self._waiting)[-_WINDOW:]
            self._waiting = []
        return text or ""

    def finish(self) -> str:
        if not self._waiting:
            return ""
        known = self._text(self._before)
        whole = self._text(self._before + self._waiting)
        self._waiting = []
        return whole[len(known) :] if whole.startswith(known) else ""

    def _text(self, ids: list[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=self._skip_special))
