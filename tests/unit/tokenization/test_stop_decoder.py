from __future__ import annotations

import pytest

from smg._speedups.detokenize import StopDecoder, Stops, TokenTable
from smg.tokenization.hf import HfEncoder
from smg.tokenization.loader import Source, load
from smg.tokenization.tokenizer import Tokenizer
from tests.doubles import tokenizers as models

PIECES = [b"foo bar ", b"E", b"N", b"D", b"\xf0", b"\x9f\x8e", b"\x89", b"<|im_", b"start|>", None]
PIECES += [b"xabc", b"<eos>", b"\xc3", b"\x97", b" "]
TABLE = TokenTable(PIECES, [11])


def decoder(*texts: str, **more) -> StopDecoder:
    return StopDecoder(TABLE, Stops(hidden_texts=texts, **more))


def each(stop: StopDecoder, ids) -> list[str]:
    return [stop.feed([number]) for number in ids]


def test_a_stop_string_over_three_tokens():
    stop = decoder("END")
    assert each(stop, [0, 1, 2, 3, 0]) == ["foo bar ", "", "", "", ""]
    assert (stop.stopped, stop.matched, stop.taken) == (True, "END", 4)
    assert stop.flush() == ""


def test_what_only_began_like_a_stop_comes_out_whole():
    stop = decoder("<|im_end|>")
    assert each(stop, [7, 8]) == ["", "<|im_start|>"]
    assert not stop.stopped


def test_no_more_is_held_than_needed():
    stop = decoder("ENEND")
    assert each(stop, [1, 2, 1, 2, 1, 2, 3]) == ["", "", "", "", "EN", "", ""]
    assert stop.matched == "ENEND"


def test_a_visible_stop_is_part_of_the_answer():
    stop = StopDecoder(TABLE, Stops(visible_texts=["END"]))
    assert each(stop, [0, 1, 2, 3, 0]) == ["foo bar ", "", "", "END", ""]


def test_of_two_at_one_place_the_longer():
    stop = decoder("ab", "abc")
    assert stop.feed([10]) == "x"
    assert stop.matched == "abc"


def test_ids_stop_after_what_was_held():
    stop = decoder("END", hidden_ids=[11])
    assert stop.feed([0, 1, 11, 3]) == "foo bar E"
    assert (stop.stopped, stop.matched, stop.taken) == (True, None, 3)


def test_visible_ids_are_shown_unless_they_are_special():
    for skip, expected in ((False, "E<eos>"), (True, "E")):
        stop = StopDecoder(TABLE, Stops(visible_ids=[11]), skip)
        assert stop.feed([1, 11]) == expected
        assert stop.stopped


def test_a_character_over_three_ids():
    assert each(decoder(), [4, 5, 6]) == ["", "", "🎉"]


@pytest.mark.parametrize("end", ["flush", "id"])
def test_an_incomplete_character_is_one_replacement(end):
    stop = decoder(hidden_ids=[11])
    assert each(stop, [1, 4, 5]) == ["E", "", ""]
    assert (stop.flush() if end == "flush" else stop.feed([11])) == "\ufffd"


def test_stop_strings_are_not_cut_inside_a_character():
    stop = decoder(" \u00d7")
    assert each(stop, [1, 14, 12, 13]) == ["E", "", "", ""]
    assert stop.matched == " \u00d7"


def test_special_ids_and_unknown_ones():
    assert decoder().feed([1, 11, 9, 2, 5000, -1]) == "EN"
    assert StopDecoder(TABLE, Stops(), False).feed([1, 11, 9]) == "E<eos>"


def test_held_text_comes_at_the_end():
    stop = decoder("END")
    assert stop.feed([1, 2]) == ""
    assert stop.held == 2
    assert stop.flush() == "EN"


def test_long_stop_strings_cost_what_they_are():
    long = "E" * 60_000 + "D"
    stop = decoder(long)
    assert "".join(each(stop, [1] * 60_010)) == "E" * 10
    stop.feed([3])
    assert stop.matched == long


def test_large_chunks():
    stop = decoder("END")
    text = stop.feed([0] * 50_000 + [4])
    assert len(text) == 400_000
    assert stop.feed([5, 6, 1]) == "🎉"


def test_wrong_use():
    with pytest.raises(TypeError):
        StopDecoder(None, Stops())
    with pytest.raises(TypeError):
        decoder().feed(["a"])
    with pytest.raises(OverflowError):
        decoder().feed([1 << 70])


class TestTokenizer:
    """The stops that a request asks for."""

    def test_the_mock_with_a_stop_over_two_words(self):
        tokenizer = load(Source("mock"))
        for visible, expected in ((False, ""), (True, "Hello world")):
            stop = tokenizer.decoder(tokenizer.stops(texts=["Hello world"], visible=visible))
            assert stop.feed([1]) == ""
            assert stop.feed([2]) == expected
            assert stop.stopped
        stop = tokenizer.decoder(tokenizer.stops(texts=["Hello world"]))
        assert [stop.feed([1]), stop.feed([3])] == ["", "Hello test"]

    def test_added_tokens_with_letters_of_the_byte_alphabet(self):
        """The library takes them for bytes, so do we."""
        added = ("é", "Ġx", " a b ", "<é>", "\u0100", "<｜a｜>")
        tokenizer = Tokenizer(HfEncoder(models.byte_level_library(added)))
        ids = [tokenizer.encoder.token_to_id(token) for token in added]
        stop = tokenizer.decoder(tokenizer.stops(), skip_special=False)
        text = "".join(stop.feed([number]) for number in ids) + stop.flush()
        assert text == tokenizer.decode(ids, skip_special=False)
        assert tokenizer.uses_table

    def test_ignore_eos(self):
        tokenizer = load(Source("mock"))
        stop = tokenizer.decoder(tokenizer.stops(ids=[4]))
        assert stop.feed([1, 999, 2]) == "Hello"
        stop = tokenizer.decoder(tokenizer.stops(ids=[4], ignore_eos=True))
        assert stop.feed([1, 999, 2, 4, 3]) == "Hello world"
        assert stop.taken == 4

    def test_byte_fallback_at_the_end(self):
        tokenizer = Tokenizer(HfEncoder(models.metaspace_library()))
        ids = tokenizer.encode("a 🎉")
        stop = tokenizer.decoder(tokenizer.stops())
        assert "".join(stop.feed([number]) for number in ids) == tokenizer.decode(ids)
        stop = tokenizer.decoder(tokenizer.stops())
        parts = [stop.feed([number]) for number in ids[:-1]]
        assert "".join(parts) + stop.flush() == tokenizer.decode(ids[:-1])
