"""Any ids in any chunks: the compiled decoder says what the plain one and the library say."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smg._speedups.detokenize import StopDecoder, Stops, TokenTable
from smg.tokenization.hf import HfEncoder
from smg.tokenization.tokenizer import Tokenizer
from tests.doubles import tokenizers
from tests.unit.tokenization.detokenize_plain import PlainStopDecoder

# Whole and broken characters of one to four bytes, text that stop strings begin with, nothing.
PIECES: list[bytes | None] = [
    *(bytes([value]) for value in (0x41, 0x61, 0x62, 0x80, 0xBF, 0xC3, 0xA9, 0xE2, 0x82, 0xAC)),
    *(bytes([value]) for value in (0xED, 0xA0, 0xF0, 0x9F, 0x8E, 0x89, 0xF4, 0x90, 0xC0, 0xFF)),
    *(b"ab", b"aab", b"abc", b"", None, "é".encode(), "🎉".encode(), b"\xf0\x9f", b"\x8e\x89"),
    *(b"<|", b"im_", b"end|>", b"<|im_end|>", b" \xc3", b"\x97 x"),
]
SPECIAL = [PIECES.index(b"<|im_end|>"), PIECES.index(b"abc")]
TABLE = TokenTable(PIECES, SPECIAL)

tokens = st.integers(0, len(PIECES) - 1) | st.sampled_from([1, 2, 20, 21, 22]) | st.just(999)
chunks = st.lists(st.lists(tokens, max_size=6), max_size=12)
texts = st.lists(
    st.sampled_from(
        ["ab", "abc", "aab", "aabaab", "b", "é", "🎉", "€", "<|im_end|>", " \u00d7", "\ufffd", ""]
    )
    | st.text("ab", max_size=5),
    max_size=4,
)
ids = st.lists(tokens, max_size=2)


@settings(max_examples=400, deadline=None)
@given(chunks, texts, texts, ids, ids, st.booleans())
def test_equals_the_plain_decoder(chunked, hidden, visible, hidden_ids, visible_ids, skip):
    fast = StopDecoder(TABLE, Stops(hidden_ids, visible_ids, hidden, visible), skip)
    plain = PlainStopDecoder(
        PIECES,
        SPECIAL,
        hidden_ids=hidden_ids,
        visible_ids=visible_ids,
        hidden_texts=hidden,
        visible_texts=visible,
        skip_special=skip,
    )
    for chunk in chunked:
        assert fast.feed(chunk) == plain.feed(chunk)
        assert (fast.stopped, fast.matched, fast.taken) == (
            plain.stopped,
            plain.matched,
            plain.taken,
        )
    assert fast.flush() == plain.flush()


@settings(max_examples=200, deadline=None)
@given(chunks, texts)
def test_chunks_do_not_matter(chunked, stops):
    compiled = Stops((), (), stops, ())
    by_chunk = StopDecoder(TABLE, compiled)
    by_token = StopDecoder(TABLE, compiled)
    first = "".join(map(by_chunk.feed, chunked)) + by_chunk.flush()
    second = "".join(by_token.feed([token]) for chunk in chunked for token in chunk)
    assert first == second + by_token.flush()
    assert by_chunk.matched == by_token.matched


@settings(max_examples=200, deadline=None)
@given(chunks, st.booleans())
def test_without_stops_it_is_one_decode(chunked, skip):
    decoder = StopDecoder(TABLE, Stops(), skip)
    got = "".join(map(decoder.feed, chunked)) + decoder.flush()
    raw = b""
    for token in (token for chunk in chunked for token in chunk):
        if token < len(PIECES) and not (skip and token in SPECIAL):
            raw += PIECES[token] or b""
    assert got == raw.decode("utf-8", "replace")


@pytest.mark.parametrize("name", tokenizers.REAL)
def test_real_vocabulary_one_by_one(name):
    """10,000 sequences of random ids, each id alone: the whole is what is decoded at once."""
    tokenizer = tokenizers.real(name)
    highest = tokenizer.encoder.vocab_size + len(tokenizer.encoder.added)
    known = [n for n in range(highest) if tokenizer.encoder.id_to_token(n) is not None]
    rng = random.Random(3)
    no_stops = Stops()
    for at in range(10_000):
        chosen = rng.choices(known, k=rng.randrange(1, 30))
        skip = at % 2 == 0
        decoder = tokenizer.decoder(no_stops, skip_special=skip)
        got = "".join([decoder.feed((number,)) for number in chosen]) + decoder.flush()
        assert got == tokenizer.decode(chosen, skip_special=skip)


SMALL = [tokenizers.byte_level, tokenizers.from_ranks]


@pytest.mark.parametrize("make", SMALL, ids=lambda make: make.__name__)
def test_text_survives(make):
    tokenizer = make()

    @settings(max_examples=100, deadline=None)
    @given(st.text(max_size=60))
    def check(text):
        decoder = tokenizer.decoder(Stops(), skip_special=False)
        parts = [decoder.feed([number]) for number in tokenizer.encode(text)]
        assert "".join(parts) + decoder.flush() == text

    check()


def test_vocabularies_of_characters_survive_too():
    """Metaspace with byte fallback goes through the library's stream."""
    tokenizer = Tokenizer(HfEncoder(tokenizers.metaspace_library("never")))

    @settings(max_examples=60, deadline=None)
    @given(st.text(st.sampled_from("ab e\né🎉漢"), max_size=40))
    def check(text):
        decoder = tokenizer.decoder(Stops(), skip_special=False)
        ids = tokenizer.encode(text)
        parts = [decoder.feed([number]) for number in ids]
        assert "".join(parts) + decoder.flush() == tokenizer.decode(ids, skip_special=False)

    check()
