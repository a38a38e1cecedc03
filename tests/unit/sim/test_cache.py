from __future__ import annotations

from smg.sim.cache import BLOCK_CHARACTERS, BLOCK_TOKENS, PrefixCache, block_keys

BLOCK = "x" * BLOCK_CHARACTERS


def test_only_full_blocks_count():
    assert block_keys("x" * (BLOCK_CHARACTERS - 1)) == []
    assert len(block_keys(BLOCK * 2 + "y")) == 2
    assert len(block_keys(list(range(BLOCK_TOKENS * 3 + 1)))) == 3


def test_the_second_time_the_prefix_is_cached():
    cache = PrefixCache(100)
    prompt = "".join(chr(97 + place) * BLOCK_CHARACTERS for place in range(4))
    assert cache.use(prompt) == 0
    assert cache.use(prompt) == 4 * BLOCK_TOKENS
    assert cache.use(prompt[: 2 * BLOCK_CHARACTERS] + "z" * 200) == 2 * BLOCK_TOKENS
    assert cache.hit_rate == 6 / (6 + 4 + 3)


def test_equal_blocks_after_different_beginnings_are_different():
    cache = PrefixCache(100)
    cache.use("a" * BLOCK_CHARACTERS + BLOCK)
    assert cache.use("b" * BLOCK_CHARACTERS + BLOCK) == 0


def test_the_oldest_leave_first_and_from_the_end():
    cache = PrefixCache(4)
    old = "a" * BLOCK_CHARACTERS * 3
    cache.use(old)
    cache.use("b" * BLOCK_CHARACTERS * 2)
    assert len(cache) == 4
    assert cache.use(old) == 2 * BLOCK_TOKENS, "the last block of the old prompt was dropped"


def test_capacity_zero_is_off():
    cache = PrefixCache(0)
    assert cache.use(BLOCK) == cache.use(BLOCK) == 0
    assert len(cache) == 0
    assert cache.hit_rate == 0


def test_clear():
    cache = PrefixCache(10)
    cache.use(BLOCK)
    cache.clear()
    assert cache.use(BLOCK) == 0
