"""The choice of a worker for a prompt: rules of routing-reliability 5, 29 (1-4, 9-12) and 30."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smg._speedups.loads import LoadTable
from smg._speedups.placement import BRANCHES, Placement
from smg._speedups.radix import TextTree, TokenTree


class World:
    """A placement over `count` workers; places are slots here."""

    def __init__(
        self,
        count: int,
        *,
        threshold: float = 0.3,
        balance_abs: float = 64,
        balance_rel: float = 1.5,
        cap: int = 1 << 20,
    ) -> None:
        self.table = LoadTable()
        self.slots = [self.table.attach() for _ in range(count)]
        self.tree = TextTree(cap)
        self.placement = Placement(self.tree, self.table, threshold, balance_abs, balance_rel)
        self.eligible(*self.slots)

    def eligible(self, *slots: int) -> None:
        self.chosen_from = slots
        self.placement.prepare(slots)

    def loads(self, *loads: int) -> None:
        for slot, load in zip(self.slots, loads, strict=False):
            self.table.set_load(slot, load)

    def route(self, prompt: str, *, answered: bool = True) -> int:
        """The slot; its prompt is read at once unless said otherwise."""
        place = self.placement.choose(prompt)
        if place < 0:
            return -1
        slot = self.chosen_from[place]
        if answered:
            self.placement.answered(slot, self.placement.uncached)
        return slot

    @property
    def why(self) -> str:
        return BRANCHES[self.placement.branch]


def test_nobody_and_only_one() -> None:
    world = World(0)
    assert world.route("x") == -1
    assert world.tree.total == 0
    assert {World(1).route(prompt) for prompt in ("a", "a", "b", "")} == {0}


def test_the_same_prompt_stays() -> None:
    world = World(2)
    assert {world.route("p" * 200) for _ in range(6)} == {0}
    assert (world.why, world.placement.ratio, world.placement.uncached) == ("hit", 1.0, 0)


def test_different_prompts_spread() -> None:
    world = World(2)
    assert [world.route(f"{number:02d}" * 9) for number in range(4)] == [0, 1, 0, 1]
    assert world.why == "miss"


def test_cold_prompts_go_round_even_when_nothing_else_runs() -> None:
    # With less traffic than workers the loads are always zero: who was longest without one?
    world = World(5)
    first = [world.route(chr(97 + number) * 50) for number in range(10)]
    assert first == [0, 1, 2, 3, 4] * 2


def test_a_turn_follows_its_conversation() -> None:
    world = World(3)
    prompt, places = "system and question", []
    for turn in range(5):
        places.append(world.route(prompt))
        prompt += f" answer {turn} question {turn}"
        world.route(f"{turn} something else entirely")
    assert len(set(places)) == 1


def test_exactly_the_threshold_is_a_miss() -> None:
    world = World(2)
    assert world.route("abc") == 0
    assert world.route("abcdefghij") == 1  # 3 of 10 at 0.3
    assert world.why == "miss"
    world = World(2)
    world.route("abcd")
    assert world.route("abcdefghij") == 0  # 4 of 10
    assert (world.why, world.placement.ratio) == ("hit", 0.4)


def test_a_large_fleet_is_used_in_turn() -> None:
    world = World(600)
    assert [world.route(f"{number:04d}" * 9) for number in range(700)] == [*range(600), *range(100)]
    world.loads(*([1] * 599), 0)
    assert world.route("x" * 50, answered=False) == 599
    assert world.route("y" * 50) != 599  # 50 characters wait there


def test_an_empty_prompt_counts_as_a_pick() -> None:
    world = World(2)
    assert [world.route("") for _ in range(4)] == [0, 1, 0, 1]
    assert (world.tree.total, world.placement.ratio, world.why) == (0, 0.0, "miss")


def test_an_overloaded_holder_is_left() -> None:
    world = World(3)
    world.route("prompt")
    world.loads(100, 0, 0)  # mean 33.3: 100 > 50 and 100 > 97.3
    assert world.route("prompt") == 1
    assert world.why == "spill"
    assert world.tree.match("prompt")[-1][1] == [0, 1]


@pytest.mark.parametrize("answered", [True, False])
def test_a_holder_is_kept_while_it_is_within_the_thresholds(answered: bool) -> None:
    world = World(3)
    for load in range(98):  # 97, 1, 1: mean 33, 97 > 49.5, but not > 97
        world.loads(load, 1, 1)
        assert world.route("prompt" * 20, answered=answered) == 0
    world.loads(100, 0, 0)
    assert world.route("prompt" * 20) == 1


@pytest.mark.parametrize(
    ("waiting", "chosen"),
    [(800, 0), (1000, 1)],  # against 400 held and 1.3 times 400 to be read anew
)
def test_a_conversation_leaves_a_holder_that_is_far_behind(waiting: int, chosen: int) -> None:
    world = World(2)
    prompt = "p" * 400
    assert world.route(prompt) == 0
    assert world.route("w" * waiting, answered=False) == 1
    world.placement.answered(1, waiting)
    world.eligible(0)
    world.route("v" * waiting, answered=False)
    world.eligible(0, 1)
    assert world.route(prompt) == chosen
    assert world.why == ("spill" if chosen else "hit")
    assert world.placement.uncached == (400 if chosen else 0)
    assert world.route(prompt) == chosen  # where it is now


def test_a_spill_keeps_what_is_cached_near_the_least_load() -> None:
    world = World(4)
    world.eligible(2)
    world.route("a prompt that is long")
    world.eligible(3)
    world.route("a prompt")
    world.eligible(0)
    world.route("a prompt that is long")
    world.eligible(0, 1, 2, 3)
    world.loads(200, 5, 6, 6)
    assert world.route("a prompt that is long") == 2  # 6 <= 5 + max(1, a tenth of the mean)
    world = World(4)
    world.route("a prompt")
    world.loads(200, 5, 90, 90)
    assert (world.route("a prompt"), world.why) == (1, "spill")  # nobody near holds anything


def test_all_holders_of_the_deepest_match_count() -> None:
    world = World(20)
    for slot in range(20):
        world.eligible(slot)
        world.route("shared prompt")
    world.eligible(*world.slots)
    world.loads(*([9] * 17), 3, 9, 9)
    assert world.route("shared prompt") == 17


def test_the_deepest_holder_that_may_serve() -> None:
    world = World(3)
    world.eligible(0)
    world.route("0123456789" * 9)
    world.eligible(1)
    world.route("0123456789" * 10)
    world.eligible(0, 2)  # 1 is not available: 0 holds 90 %
    assert world.route("0123456789" * 10) == 0
    assert world.placement.ratio == 0.9


def test_holders_who_may_not_serve() -> None:
    world = World(3)
    world.route("prompt")
    world.eligible(1, 2)
    world.loads(0, 4, 0)
    assert world.route("prompt") == 2
    assert world.why == "no_eligible_holder"
    assert world.tree.match("prompt")[-1][1] == [0, 2]


def test_a_removed_worker_is_forgotten() -> None:
    world = World(2)
    world.route("prompt")
    world.placement.forget(0)
    world.eligible(1)
    assert world.route("prompt") == 1
    assert world.why == "miss"
    assert world.tree.tenants() == [1]


def test_one_system_prompt_is_copied_where_there_is_room() -> None:
    world = World(4)
    system = "s" * 400
    slots = []
    for number in range(60):
        slots.append(world.route(f"{system} question {number}", answered=False))
        world.table.acquire(slots[-1])
    counts = [slots.count(slot) for slot in world.slots]
    assert min(counts) >= 8, counts  # the reference: all 60 on one


def test_a_branch_stays_while_its_holder_is_as_free_as_others() -> None:
    world = World(4)
    system = "s" * 400
    assert {world.route(f"{system} question {number}") for number in range(10)} == {0}
    assert world.why == "hit"


@pytest.mark.parametrize(
    ("rest", "waiting", "busy", "chosen"),
    [
        (100, 500, 0, 1),  # shorter than the mean: this one takes the prefix to another worker
        (300, 500, 0, 0),  # longer: the next one may
        (300, 900, 0, 1),  # unless it would wait too long
        (300, 500, 3, 1),  # and only while most workers are idle
    ],
)
def test_who_takes_a_shared_prefix_along(rest: int, waiting: int, busy: int, chosen: int) -> None:
    world = World(6)
    system = "s" * 400
    for number in range(200):  # their rests are 200 characters
        assert world.route(f"{system}{number:04}" + "q" * 196) == 0
    assert world.route(system + "z" + "q" * waiting, answered=False) == 0
    world.table.acquire(0)
    for slot in world.slots[6 - busy :]:
        world.table.set_load(slot, 1)
    assert world.route(system + "x" + "q" * rest) == chosen


def test_pending_prompts_are_a_queue() -> None:
    world = World(2)
    assert world.route("a" * 9000, answered=False) == 0
    assert world.route("b" * 100, answered=False) == 1
    assert world.route("c" * 100, answered=False) == 1  # 100 wait there, 9000 here
    world.placement.answered(0, 9000)
    assert world.route("d" * 100) == 0


def test_answers_of_a_forgotten_worker_do_no_harm() -> None:
    world = World(2)
    world.route("a" * 50, answered=False)
    world.placement.forget(0)
    world.placement.answered(0, 50)
    world.placement.answered(0, 50)
    world.placement.answered(4_000_000_000, 1)
    assert world.route("b" * 50) in (0, 1)


def test_costs_weigh_loads() -> None:
    world = World(2)
    world.table.set_cost(0, 3.0)
    world.loads(2, 3)  # 6 against 3
    assert world.route("x" * 10) == 1
    world.table.set_cost(0, 1.0)
    world.loads(1, 3)
    assert world.route("y" * 10) == 0


def test_balance_only() -> None:
    world = World(2)
    world.route("prompt")
    world.loads(1, 0)
    assert world.placement.choose_least("prompt") == 1
    assert world.placement.ratio == 0.0
    world.placement.answered(1, world.placement.uncached)
    assert world.placement.choose_least("prompt") == 1
    assert world.placement.ratio == 1.0
    assert world.tree.match("prompt")[-1][1] == [0, 1]
    assert World(0).placement.choose_least("x") == -1


def test_unknown_slots_are_refused() -> None:
    with pytest.raises(IndexError):
        World(1).placement.prepare([7])


def test_tokens() -> None:
    table = LoadTable()
    slots = [table.attach() for _ in range(2)]
    placement = Placement(TokenTree(1 << 20, 16), table, 0.3, 64, 1.5)
    placement.prepare(slots)
    assert placement.choose(list(range(15))) == 0  # less than a page
    assert placement.choose(list(range(40))) == 1
    assert placement.choose(list(range(40))) == 1
    assert (placement.ratio, placement.uncached, BRANCHES[placement.branch]) == (0.8, 8, "hit")


PROMPTS = st.text("ab", max_size=12)


@given(
    steps=st.lists(
        st.tuples(PROMPTS, st.sets(st.integers(0, 4)), st.lists(st.integers(0, 99), max_size=5))
    )
)
@settings(max_examples=200, deadline=None)
def test_always_somebody_eligible_and_always_bounded(
    steps: Sequence[tuple[str, set[int], list[int]]],
) -> None:
    world = World(5, cap=40, balance_abs=3)
    for prompt, eligible, loads in steps:
        world.eligible(*sorted(eligible))
        world.loads(*loads)
        slot = world.route(prompt, answered=len(prompt) % 2 == 0)
        assert slot in eligible if eligible else slot == -1
        assert world.tree.total <= 40
        assert 0 <= world.placement.ratio <= 1
        if slot >= 0 and 0 < len(prompt) <= 40:
            assert slot in world.tree.match(prompt)[-1][1]


def test_many_picks_keep_the_numbers_finite() -> None:
    world = World(1)
    chance = random.Random(1)
    for _ in range(3000):
        world.route(chance.choice("abc") * 5)
    assert 0 < world.placement.mean_uncached < 5
