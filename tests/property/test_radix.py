"""The routing trees over any sequence of operations: as the plain twin, whole after every step."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from smg._speedups.radix import TextTree, TokenTree
from smg._speedups.radix_check import check, configure, order
from tests.unit.speedups.radix_plain import PlainTree

# Few, so that prompts share prefixes; characters that share bytes; runs longer than one block of a
# comparison.
LETTERS = [
    *["a", "b", "é", "è", "日", "旦", "😀", "😁", "\ud83d", "\ude00", "\x00", "\uffff"],
    *["a" * 9, "b" * 300, "aé" * 40],
]
TOKENS: list[tuple[int, ...]] = [(0,), (1,), (2,), ((1 << 32) - 1,), (7, 8), (5,) * 40]
CONVERT: list[Callable[[Any], Any]] = [list, tuple, lambda ids: array("I", ids)]
ALL = 0xFFFFFFFF


class Twins:
    """A tree and its plain twin, which do the same."""

    def __init__(self, tree: Any, plain: PlainTree) -> None:
        self.tree = tree
        self.plain = plain

    def insert(
        self, given: Any, tenant: int, convert: Callable[[Any], Any] = lambda one: one
    ) -> None:
        self.plain.insert(given, tenant)
        self.tree.insert(convert(given), tenant)
        self.same()

    def match(self, given: Any, convert: Callable[[Any], Any] = lambda one: one) -> None:
        assert self.tree.match(convert(given)) == self.plain.match(given)
        self.same()

    def remove(self, tenant: int) -> None:
        self.plain.remove(tenant)
        self.tree.remove(tenant)
        self.same()

    def resize(self, size: int) -> None:
        self.plain.max_size = self.tree.max_size = size
        self.plain.evict()
        self.same()

    def same(self) -> None:
        tree, plain = self.tree, self.plain
        check(tree)
        assert order(tree) == plain.order()
        assert (tree.total, tree.nodes) == (plain.total, plain.nodes)
        assert tree.attachments == plain.attachments
        assert tree.tenants() == plain.tenants()
        for tenant in range(13):
            assert tree.size(tenant) == plain.size(tenant)


def text_twins(cap: int, bound: int, piece: int, mask: int) -> Twins:
    tree = TextTree(cap, max_attachments=bound)
    configure(tree, hash_mask=mask, piece=piece)
    return Twins(tree, PlainTree(cap, max_attachments=bound, piece=piece))


def token_twins(cap: int, bound: int, piece: int, mask: int, page: int) -> Twins:
    tree = TokenTree(cap, page, max_attachments=bound)
    piece = max(page * 4, piece // (page * 4) * page * 4)
    configure(tree, hash_mask=mask, piece=piece)
    plain = PlainTree(cap, empty=(), page=page, max_attachments=bound, piece=piece)
    return Twins(tree, plain)


CAPS = st.sampled_from([0, 1, 3, 10, 40, 200, 5000])
BOUNDS = st.sampled_from([1, 2, 5, 1000, 1000])
PIECES = st.sampled_from([8, 13, 24, 60, 16380])
MASKS = st.sampled_from([ALL, ALL, 0, 1 << 31, 3 << 30])
TENANTS = st.integers(0, 12) | st.integers(0, 2)


def operations(prompts: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    insert = st.tuples(st.just("insert"), prompts, TENANTS)
    other = st.one_of(
        st.tuples(st.just("match"), prompts),
        st.tuples(st.just("remove"), TENANTS),
        st.tuples(st.just("resize"), CAPS),
    )
    return st.lists(insert | insert | other, max_size=30)


TEXT = st.lists(st.sampled_from(LETTERS), max_size=8).map("".join)
IDS = st.lists(st.sampled_from(TOKENS), max_size=8).map(lambda parts: sum(parts, ()))


@settings(max_examples=300)
@given(CAPS, BOUNDS, PIECES, MASKS, operations(TEXT))
def test_text_as_the_plain_twin(cap, bound, piece, mask, steps):
    twins = text_twins(cap, bound, piece, mask)
    for name, *arguments in steps:
        getattr(twins, name)(*arguments)


@settings(max_examples=300)
@given(CAPS, BOUNDS, PIECES, MASKS, st.integers(1, 3), st.sampled_from(CONVERT), operations(IDS))
def test_tokens_as_the_plain_twin(cap, bound, piece, mask, page, convert, steps):
    twins = token_twins(cap, bound, piece, mask, page)
    for name, *arguments in steps:
        more = [convert] if name in ("insert", "match") else []
        getattr(twins, name)(*arguments, *more)


@given(st.lists(st.tuples(st.text(max_size=20), TENANTS), max_size=20))
def test_any_characters(prompts):
    twins = text_twins(100, 1000, 16380, ALL)
    for prompt, tenant in prompts:
        twins.insert(prompt, tenant)
        twins.match(prompt[: len(prompt) // 2] + "?")


@given(st.lists(st.tuples(TEXT, TENANTS), min_size=1, max_size=40), st.integers(1, 60))
def test_one_insert_leaves_the_total_below_the_cap(prompts, cap):
    tree = TextTree(cap)
    for prompt, tenant in prompts:
        tree.insert(prompt, tenant)
        assert tree.total <= cap
        matched = tree.match(prompt)
        # What was inserted last is there, as far as it fits at all.
        assert (matched[-1][0] if matched else 0) >= min(len(prompt), cap)
        assert not matched or tenant in matched[-1][1]
