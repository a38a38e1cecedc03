from __future__ import annotations

import random
import threading
from array import array

import pytest

from smg.tokenization.boundaries import SHORTEST_PIECE, Cutter
from smg.tokenization.encode_cache import CacheLimits
from smg.tokenization.encoder import AddedToken
from smg.tokenization.errors import EncodeFailed
from smg.tokenization.hf import HfEncoder
from smg.tokenization.tokenizer import Tokenizer
from tests.doubles import tokenizers as models

ALL = [
    CacheLimits(),
    CacheLimits(l0=True),
    CacheLimits(l1=True),
    CacheLimits(l0=True, l1=True),
    CacheLimits(l0=True, l1=True, l0_entries=2, l1_bytes=1000),
]
WORDS = ["Hello", " world", "\n", " ", "12345", "漢字", "🎉", "user", "<|im_", "it's", "\u00a0", ""]


def chat(turns: int, rng: random.Random) -> list[str]:
    """The prompts of a growing ChatML conversation."""
    history = "<|im_start|>system\nYou are helpful.<|im_end|>\n"
    prompts = []
    for _ in range(turns):
        for role in ("user", "assistant"):
            content = "".join(rng.choices(WORDS, k=rng.randrange(40)))
            history += f"<|im_start|>{role}\n{content}<|im_end|>\n"
        prompts.append(history + "<|im_start|>assistant\n")
    return prompts


def texts() -> list[str]:
    rng = random.Random(5)
    edges = [
        "",
        "<|im_start|>",
        "<|im_start|><|im_end|>",
        " <|im_end|>",
        "no token",
        "a<|im_end|> ",
    ]
    mixed = ["".join(rng.choices([*WORDS, *models.CHATML], k=30)) for _ in range(20)]
    return [*edges, *mixed, *chat(10, rng), *chat(10, rng)]


@pytest.mark.parametrize("make", [models.byte_level, models.from_ranks])
@pytest.mark.parametrize("limits", ALL, ids=str)
def test_the_ids_are_always_those_of_a_plain_encode(make, limits):
    plain, cached = make(), make(limits)
    for _ in range(2):
        for text in texts():
            for flag in (False, True):
                expected = plain.encode(text, add_special_tokens=flag)
                assert cached.encode(text, add_special_tokens=flag) == expected, text


@pytest.mark.parametrize("name", models.REAL)
def test_real_tokenizers_too(name):
    tokenizer = models.real(name)
    marks = [token.content for token in tokenizer.encoder.added] or [""]
    rng = random.Random(2)
    for _ in range(60):
        text = "".join(rng.choices([*WORDS, *rng.choices(marks, k=8)], k=60))
        assert tokenizer.encode(text) == tokenizer.encoder.encode(text, False)


def test_deepseek_is_cut_at_tokens_that_are_not_special():
    tokenizer = models.real("deepseek")
    before = tokenizer.stats
    text = "<｜User｜>What is the weather in Paris?<｜Assistant｜>"
    tokenizer.encode(text + "a")
    tokenizer.encode(text + "b")
    after = tokenizer.stats
    assert after.l1_hits == before.l1_hits + 1
    assert after.reused == before.reused + len(text)


def with_post_processor(library):
    import tokenizers

    number = library.token_to_id
    library.post_processor = tokenizers.processors.TemplateProcessing(
        single=["<|im_start|>", "$A", "<|im_end|>"],
        special_tokens=[(name, number(name)) for name in ("<|im_start|>", "<|im_end|>")],
    )
    return library


def rstrip():
    import tokenizers

    return tokenizers.AddedToken("<|user|>", rstrip=True, special=True)


def lstrip():
    import tokenizers

    return tokenizers.AddedToken("<|user|>", lstrip=True, special=True)


def single_word():
    import tokenizers

    return tokenizers.AddedToken("stop", single_word=True, special=True)


TRAPS = {
    "metaspace, first": lambda: models.metaspace_library("first"),
    "metaspace, always": lambda: models.metaspace_library("always"),
    "eos behind": lambda: with_post_processor(models.byte_level_library()),
    "rstrip": lambda: models.byte_level_library((*models.CHATML, rstrip())),
    "lstrip": lambda: models.byte_level_library((*models.CHATML, lstrip())),
    "single word": lambda: models.byte_level_library((*models.CHATML, single_word())),
    "overlaps": lambda: models.byte_level_library(("<a>", "<a><b>", "b><c>", "<c>", "x<a")),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_tokenizers_that_look_over_a_cut(trap, caplog):
    pytest.importorskip("tokenizers")
    library = TRAPS[trap]
    plain = Tokenizer(HfEncoder(library()))
    cached = Tokenizer(HfEncoder(library()), limits=CacheLimits(l1=True))
    rng = random.Random(1)
    marks = ["<|user|>", "stop", "<a>", "<b>", "<c>", "x<a"]
    more = ["".join(rng.choices([*WORDS, *marks, *models.CHATML], k=25)) for _ in range(100)]
    for text in [*texts(), *more]:
        for flag in (False, True):
            expected = plain.encode(text, add_special_tokens=flag)
            assert cached.encode(text, add_special_tokens=flag) == expected, text
    off = trap in ("metaspace, first", "single word")
    assert (cached.stats.l1_entries == 0) == off
    assert ("tokenizer cache L1 is off" in caplog.text) == off


def test_a_growing_chat_costs_its_new_text_only():
    tokenizer = models.byte_level(CacheLimits(l1=True))
    prompts = chat(10, random.Random(3))
    for before, prompt in zip(["", *prompts], prompts, strict=False):
        start = tokenizer.stats.encoded
        tokenizer.encode(prompt)
        new = len(prompt) - len(before)
        # besides the new turn: the opened assistant message at the end, once more
        assert tokenizer.stats.encoded - start <= new + 2 * len("<|im_start|>assistant\n") + 1
    assert tokenizer.stats.l1_hits == 9
    assert tokenizer.stats.l1_misses == 1


def test_l0_counts_and_keeps_the_flags_apart():
    library = models.byte_level_library()
    tokenizer = Tokenizer(HfEncoder(with_post_processor(library)), limits=CacheLimits(l0=True))
    assert tokenizer.cached("hello") is None
    plain = tokenizer.encode("hello")
    more = tokenizer.encode("hello", add_special_tokens=True)
    assert len(more) == len(plain) + 2
    assert tokenizer.cached("hello") is plain
    assert tokenizer.cached("hello", add_special_tokens=True) is more
    stats = tokenizer.stats
    assert (stats.l0_hits, stats.l0_misses, stats.l0_entries) == (2, 2, 2)
    assert stats.l0_bytes > 10


def test_l0_drops_the_least_recently_used():
    tokenizer = models.byte_level(CacheLimits(l0=True, l0_entries=3))
    for text in ("a", "b", "c", "a", "d"):
        tokenizer.encode(text)
    assert [tokenizer.cached(text) is not None for text in "abcd"] == [True, False, True, True]


@pytest.mark.parametrize("level", ["l0", "l1"])
def test_bytes_are_bounded(level):
    tokenizer = models.byte_level(CacheLimits(**{level: True, f"{level}_bytes": 5000}))
    for number in range(200):
        tokenizer.encode(f"a message of number {number}<|im_end|>and more")
        assert getattr(tokenizer.stats, f"{level}_bytes") <= 5000
    assert getattr(tokenizer.stats, f"{level}_entries") > 5
    tokenizer.encode("long " * 5000 + "<|im_end|>.")  # larger than everything: not kept
    assert getattr(tokenizer.stats, f"{level}_entries") > 5


def test_lone_surrogates_are_an_error_of_the_encoder():
    tokenizer = models.byte_level(models.BOTH)
    with pytest.raises(EncodeFailed):
        tokenizer.encode("\ud800 and so on and on<|im_end|>x")


def test_many_threads():
    tokenizer = models.byte_level(CacheLimits(l0=True, l1=True, l0_entries=5, l1_bytes=2000))
    plain = models.byte_level()
    every = texts()
    expected = [plain.encode(text) for text in every]
    wrong = []

    def work(seed):
        rng = random.Random(seed)
        for _ in range(300):
            at = rng.randrange(len(every))
            if tokenizer.encode(every[at]) != expected[at]:
                wrong.append(at)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert tokenizer.stats.l1_bytes <= 2000
    assert tokenizer.stats.l0_entries <= 5


class TestCutter:
    def test_pieces_join_to_the_text(self):
        cutter = Cutter([AddedToken(1, "<|im_start|>", True), AddedToken(2, "<|im_end|>", True)])
        for text in texts():
            pieces = cutter.pieces(text)
            assert "".join(pieces) == text
            assert all(len(piece) >= SHORTEST_PIECE for piece in pieces[:-1])

    def test_longest_first_and_no_overlaps(self):
        names = ("<a>", "<a><b>", "<b><c>")
        cutter = Cutter(AddedToken(at, name, True) for at, name in enumerate(names))
        assert cutter.ends("x<a><b><c>y<a>.") == [7, 14]

    def test_normalized_tokens_come_second(self):
        tokens = [AddedToken(1, "<a", False, normalized=True), AddedToken(2, "a>", True)]
        assert Cutter(tokens).ends("<a>.<a.") == [3, 6]

    def test_unfit_tokens_are_found_but_not_cut_behind(self):
        tokens = [AddedToken(1, "<a>", True, plain=False), AddedToken(2, ">b", True)]
        assert Cutter(tokens).ends("<a>b >b.") == [7]

    def test_no_tokens(self):
        assert not Cutter([]).finds_any
        assert Cutter([]).pieces("text") == ["text"]


def test_ids_take_four_bytes():
    ids = models.byte_level().encode("hello")
    assert isinstance(ids, array)
    assert ids.itemsize == 4
