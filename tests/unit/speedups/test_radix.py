"""The routing trees and their memory by examples.

Against the plain twin: tests/property/test_radix.py.
"""

from __future__ import annotations

import gc
import random
import sys
from array import array

import pytest

from smg._speedups.extents import Extents, fail_growth_after
from smg._speedups.radix import TextTree, TokenTree
from smg._speedups.radix_check import check, configure, layout, order

A, B, C = 3, 7, 1 << 20


@pytest.fixture
def tree():
    tree = TextTree(1000)
    yield tree
    check(tree)


# What the routing specification says, section 29


def test_an_empty_prompt_changes_nothing(tree):
    tree.insert("", A)
    assert (tree.total, tree.nodes, tree.tenants()) == (0, 0, [])
    assert tree.match("") == []


def test_a_common_prefix_is_a_node_of_both(tree):
    tree.insert("hello world", A)
    tree.insert("hello there", B)
    assert tree.match("hello") == [(5, [A, B])]
    assert tree.match("hello w") == [(6, [A, B]), (7, [A])]
    assert (tree.size(A), tree.size(B), tree.total) == (11, 11, 22)
    assert tree.tenants() == [A, B]


def test_the_oldest_leaf_goes_first_and_then_its_parent(tree):
    tree.insert("hello world", A)
    tree.insert("hello there", B)
    assert order(tree) == [(b"hello world", A), (b"hello ", A), (b"hello there", B), (b"hello ", B)]
    tree.max_size = 11
    assert (tree.size(A), tree.size(B)) == (0, 11)
    assert tree.match("hello world") == [(6, [B])]


def test_characters_not_bytes_are_counted(tree):
    tree.insert("日本語テスト", A)
    tree.insert("日本", B)
    assert (tree.size(A), tree.size(B)) == (6, 2)
    assert tree.match("日本語テスト") == [(2, [A, B]), (6, [A])]


def test_a_removed_tenant_is_gone(tree):
    tree.insert("hello world", A)
    tree.insert("hello there", B)
    tree.remove(A)
    tree.remove(A)
    tree.remove(999)
    assert tree.match("hello world") == [(6, [B])]
    assert (tree.tenants(), tree.size(A), tree.total) == ([B], 0, 11)
    tree.remove(B)
    assert (tree.nodes, tree.attachments, tree.match("hello")) == (0, 0, [])


def test_only_whole_pages_of_tokens_count():
    tree = TokenTree(1000)
    tree.insert(list(range(15)), A)
    assert tree.nodes == 0
    tree.insert(list(range(40)), A)
    assert tree.match(list(range(40))) == [(32, [A])]
    assert tree.match(list(range(15))) == []
    assert tree.match([*range(20), 99]) == [(16, [A])]
    assert (tree.size(A), tree.total) == (32, 32)
    check(tree)


# Text


@pytest.mark.parametrize("pair", ["éè", "日旦", "😀😁", "\ud800\ud801", "éę"])
def test_characters_are_never_cut(pair, tree):
    first, second = (f"ab{letter}cd" for letter in pair)
    tree.insert(first, A)
    tree.insert(second, B)
    assert tree.match(first) == [(2, [A, B]), (5, [A])]
    assert tree.match(second) == [(2, [A, B]), (5, [B])]
    tree.insert(pair[0], A)
    tree.insert(pair[1], A)
    assert [tree.match(letter) for letter in pair] == [[(1, [A])], [(1, [A])]]


@pytest.mark.parametrize("text", ["a" * 70_000, "é" * 70_000, "日" * 70_000, "😀a" * 40_000])
def test_long_texts_of_any_kind(text):
    tree = TextTree(1 << 20)
    tree.insert(text, A)
    assert tree.match(text)[-1] == (len(text), [A])
    assert tree.match(text[:50_001] + "x")[-1] == (50_001, [A])
    assert tree.nodes == -(-len(text.encode()) // (16380 // 12 * 12))
    tree.insert(text[:50_001] + "x", B)
    assert (tree.size(A), tree.size(B)) == (len(text), 50_002)
    check(tree)


def test_a_long_text_goes_bit_by_bit():
    tree = TextTree(50_000)
    tree.insert("a" * 40_000, A)
    tree.insert("b" * 20_000, B)
    assert tree.match("a" * 40_000)[-1][0] == tree.size(A) == 16380
    assert (tree.size(B), tree.total) == (20_000, 36_380)
    check(tree)


def test_a_text_above_the_cap_is_kept_as_far_as_it_fits(tree):
    tree.insert("other", B)
    tree.insert("x" * 5000, A)
    assert (tree.size(A), tree.size(B), tree.total) == (1000, 0, 1000)
    assert tree.match("x" * 5000) == [(1000, [A])]
    tree.insert("é" * 5000, A)
    assert tree.match("é" * 5000) == [(1000, [A])]


def test_a_cap_of_nothing_keeps_nothing():
    tree = TextTree(0)
    tree.insert("hello", A)
    tree.insert("日本", A)
    assert (tree.total, tree.nodes) == (0, 0)
    check(tree)


def test_using_a_prompt_again_keeps_it(tree):
    for letter in "abc":
        tree.insert(letter * 300, A)
    tree.insert("a" * 300, A)
    tree.insert("d" * 300, A)
    kept = [letter for letter in "abcd" if tree.match(letter * 300)]
    assert kept == ["a", "c", "d"]


def test_looking_is_not_using(tree):
    for letter in "abc":
        tree.insert(letter * 300, A)
    tree.match("a" * 300)
    tree.insert("d" * 300, A)
    assert tree.match("a" * 300) == []


def test_the_queue_of_uses_stays_short():
    tree = TextTree(1 << 16)
    for number in range(300):
        tree.insert(f"{number} prompt", number % 5)
    for _ in range(200):
        for number in range(0, 300, 2):
            tree.insert(f"{number} prompt", number % 5)
    assert layout(tree)["uses"] <= 12 * 4 * tree.attachments
    check(tree)
    assert len(order(tree)) == tree.attachments


@pytest.mark.parametrize("count", [20, 50, 100, 170, 300])
def test_the_queue_of_uses_may_grow_while_it_is_swept(count):
    tree = TextTree(1 << 16)
    for number in [*range(count), *range(0, count, 2), *range(0, count, 5)] * 5:
        tree.insert(chr(0x4E00 + number), 1)
        assert len(order(tree)) == tree.attachments
    check(tree)


def test_short_prompts_are_bounded_by_number():
    tree = TextTree(1 << 30, max_attachments=100)
    for number in range(1000):
        tree.insert(f"{number:03}", number % 7)
        assert tree.attachments <= 100
    check(tree)
    tree.insert("".join(map(chr, range(97, 97 + 20))), 1)
    assert tree.match("abc") == [(3, [1])]


def test_a_path_longer_than_the_bound_is_cut():
    tree = TextTree(1000, max_attachments=3)
    for size in range(1, 8):
        tree.insert("x" * size, 1)
        check(tree)
    assert [units for units, _ in tree.match("x" * 9)] == [1, 2, 3]


def test_many_tenants_of_one_node():
    tree = TextTree(1 << 24)
    tenants = list(range(4096))
    random.Random(1).shuffle(tenants)
    for tenant in tenants:
        tree.insert("a common prefix", tenant)
    tree.insert("a common word", 5)
    check(tree)
    assert tree.match("a common word") == [(9, list(range(4096))), (13, [5])]
    for tenant in tenants[:4000]:
        tree.remove(tenant)
    check(tree)
    assert tree.match("a common prefix")[-1] == (15, sorted(tenants[4000:]))


def test_wrong_arguments():
    tree = TextTree(100)
    for wrong in (b"bytes", None, 5, ["a"]):
        with pytest.raises(TypeError):
            tree.insert(wrong, 1)
    for tenant in (-1, 1 << 32):
        with pytest.raises(OverflowError):
            tree.insert("a", tenant)
    with pytest.raises(ValueError, match="tenant"):
        tree.insert("a", C + 1)
    tree.insert("a", C)
    assert tree.tenants() == [C]
    for make in (lambda: TextTree(-1), lambda: TextTree(5, max_attachments=0)):
        with pytest.raises(ValueError, match="max_"):
            make()
    with pytest.raises(ValueError, match="page"):
        TokenTree(5, page=0)
    with pytest.raises(ValueError, match="max_size"):
        tree.max_size = -1
    with pytest.raises(RuntimeError):
        tree.__init__(100)
    check(tree)


def test_inputs_are_let_go():
    tree = TextTree(1 << 20)
    text = "x" * 50_000
    before = sys.getrefcount(text)
    tree.insert(text, A)
    tree.match(text)
    assert sys.getrefcount(text) == before
    tokens = TokenTree(1 << 20)
    numbers = array("I", range(100))
    tokens.insert(numbers, A)
    numbers.append(1)  # impossible while somebody looks at it


# Tokens


@pytest.mark.parametrize(
    "convert",
    [
        list,
        tuple,
        lambda ids: array("I", ids),
        lambda ids: array(
            "i", [number if number < 1 << 31 else number - (1 << 32) for number in ids]
        ),
        lambda ids: memoryview(array("I", ids)),
        lambda ids: memoryview(array("I", ids).tobytes()).cast("i"),
    ],
)
def test_token_ids_of_any_shape(convert):
    ids = [1, (1 << 32) - 1, 0, 1 << 31, 7, 8]
    tree = TokenTree(100, 2)
    tree.insert(convert(ids), A)
    assert tree.match(ids) == [(6, [A])]
    assert tree.match(convert([*ids[:4], 9, 9])) == [(4, [A])]
    check(tree)


def test_what_is_no_token_id():
    tree = TokenTree(100, 2)
    for wrong in ([-1, 1], [1, 1 << 32], (1, 1 << 70)):
        with pytest.raises(OverflowError):
            tree.insert(wrong, A)
    for wrong in ([1, "2"], [1.0, 2.0], [None, 1], 5, "text", {1, 2}):
        with pytest.raises(TypeError):
            tree.insert(wrong, A)
    buffers = [b"12345678", array("Q", [1, 2]), array("f", [1, 2]), bytearray(8)]
    buffers += [memoryview(array("I", range(4))).cast("B"), memoryview(array("B", bytes(8)))]
    for wrong in buffers:
        with pytest.raises(TypeError):
            tree.insert(wrong, A)
    with pytest.raises(BufferError):
        tree.insert(memoryview(array("I", range(8)))[::2], A)
    assert tree.nodes == 0


def test_pages_with_equal_digests_are_told_apart():
    tree = TokenTree(10_000, 2)
    configure(tree, hash_mask=0)
    prompts = [
        [first, second, 5, third] for first in range(6) for second in range(6) for third in (1, 2)
    ]
    for tenant, prompt in enumerate(prompts):
        tree.insert(prompt, tenant)
    check(tree)
    for tenant, prompt in enumerate(prompts):
        assert tree.match(prompt)[-1] == (4, [tenant])
    for tenant in range(0, len(prompts), 3):
        tree.remove(tenant)
        check(tree)


def test_pages_larger_than_a_piece():
    tree = TokenTree(1 << 20, 5000)
    ids = array("I", range(20_000))
    tree.insert(ids, A)
    assert [units for units, _ in tree.match(ids)] == [5000, 10_000, 15_000, 20_000]
    check(tree)


# Memory


def grow_until_it_fails(tree, rng):
    """Inserts while every growth of an array fails; returns whether one was wanted."""
    fail_growth_after(0)
    try:
        for _ in range(400):
            prompt = "".join(rng.choices("abé", k=rng.randrange(1, 60)))
            tree.insert(prompt, rng.randrange(40))
    except MemoryError:
        return True
    finally:
        fail_growth_after(-1)
    return False


@pytest.mark.parametrize("seed", range(30))
def test_no_memory_is_an_error_and_nothing_else(seed):
    rng = random.Random(seed)
    tree = TextTree(1 << 20)
    failed = 0
    for _ in range(40):
        failed += grow_until_it_fails(tree, rng)
        check(tree)
        for _ in range(5):
            tree.insert("".join(rng.choices("abé", k=40)), rng.randrange(80))
    assert failed
    check(tree)


def test_no_memory_for_a_new_tree():
    fail_growth_after(1)
    try:
        with pytest.raises(MemoryError):
            TextTree(10)
    finally:
        fail_growth_after(-1)


@pytest.mark.parametrize("granules", [1, 2, 5, 20, 60])
def test_a_full_arena_evicts_or_refuses(granules):
    rng = random.Random(granules)
    tree = TextTree(1 << 20)
    configure(tree, granules=granules, piece=200)
    for _ in range(300):
        tree.insert("".join(rng.choices("ab", k=rng.randrange(200))), rng.randrange(6))
        check(tree)
    assert layout(tree)["labels used"] <= granules * 16


def test_all_memory_is_given_back_and_used_again():
    rng = random.Random(5)
    tree = TextTree(1 << 20)

    def fill():
        for _ in range(3000):
            prompt = "".join(rng.choices("abcd", k=rng.randrange(1, 30))) * rng.randrange(1, 40)
            tree.insert(prompt, rng.randrange(9))

    fill()
    size = tree.memory
    for tenant in range(9):
        tree.remove(tenant)
    check(tree)
    state = layout(tree)
    assert (state["labels used"], state["labels reached"], state["tables used"]) == (0, 0, 0)
    for _ in range(5):
        fill()
    check(tree)
    assert tree.memory <= size * 2


def test_trees_are_freed():
    for _ in range(50):
        tree = TextTree(1 << 20)
        tree.insert("x" * 1000, 1)
        tokens = TokenTree(100)
        tokens.insert([1] * 16, 1)
    del tree, tokens
    gc.collect()


@pytest.mark.parametrize("seed", range(20))
def test_extents_keep_what_they_hold(seed):
    rng = random.Random(seed)
    extents = Extents(5000)
    held: dict[int, tuple[int, int, int]] = {}  # extent: bytes to pass over, bytes, value of each

    def intact():
        taken = extents.check()
        assert set(taken) == set(held)
        for extent, (skip, size, value) in held.items():
            assert skip + size + 4 <= taken[extent] * 16
            assert extents.test_bytes(extent, skip, size) == bytes([value]) * size

    for _ in range(400):
        choice = rng.random()
        if choice < 0.5 or not held:
            size = rng.choice([rng.randrange(40), rng.randrange(600), rng.randrange(9000)])
            extent = extents.test_take(size)
            if extent is not None:
                held[extent] = (0, size, (extent * 7 + 1) & 0xFF)
            else:
                assert sum(extents.check().values()) + size // 16 > 2000
        else:
            extent = rng.choice(list(held))
            skip, size, value = held.pop(extent)
            if choice < 0.75:
                extents.test_give(extent)
            else:
                cut = rng.randrange(size + 1)
                if choice < 0.87:
                    extents.test_shrink(extent, skip + cut)
                    held[extent] = (skip, cut, value)
                else:
                    extent, skip = extents.test_trim(extent, cut, skip)
                    held[extent] = (skip, size - cut, value)
        intact()
    for extent in held:
        extents.test_give(extent)
    assert extents.check() == {}
    assert extents.test_take(16 * 5000) is None
    assert extents.test_take(1 << 40) is None
    assert extents.test_take(16 * 5000 - 4) == 0
