"""Who has an alias: rules one by one, then random fleets against a list of claims."""

from __future__ import annotations

import itertools

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from smg.workers import ModelCard, Worker, WorkerRegistry

_numbers = itertools.count(1)


def worker(*cards: ModelCard, **fields: str) -> Worker:
    return Worker(f"http://w{next(_numbers)}:1", models=cards, **fields)  # type: ignore[arg-type]


def fleet(*workers: Worker, given: tuple[tuple[str, str], ...] = ()) -> WorkerRegistry:
    registry = WorkerRegistry(given)
    for one in workers:
        registry.add(one)
    return registry


def test_cards_and_the_operator_give_aliases() -> None:
    registry = fleet(worker(ModelCard("m", aliases=("small",))), given=(("gpt-x", "m"),))
    assert registry.canonical("small") == "m"
    assert registry.canonical("gpt-x") == "m"
    assert registry.canonical("m") == "m"
    assert registry.canonical("GPT-X") == "GPT-X"


def test_an_alias_lives_and_dies_with_its_model() -> None:
    only = worker(ModelCard("m", aliases=("small",)))
    registry = WorkerRegistry([("gpt-x", "m")])
    for alias in ("small", "gpt-x"):
        assert registry.canonical(alias) == alias
    registry.add(only)
    for alias in ("small", "gpt-x"):
        assert registry.canonical(alias) == "m"
    registry.remove(only.id)
    for alias in ("small", "gpt-x"):
        assert registry.canonical(alias) == alias


def test_a_registered_id_beats_an_alias_whatever_the_order() -> None:
    aliased, named = worker(ModelCard("m", aliases=("n",))), worker(ModelCard("n"))
    for order in ((aliased, named), (named, aliased)):
        registry = fleet(*order)
        assert registry.canonical("n") == "n"
        registry.remove(named.id)
        assert registry.canonical("n") == "m"


def test_an_id_of_another_transport_beats_an_alias_too() -> None:
    grpc = Worker("grpc://w:1", models=[ModelCard("n")])
    registry = fleet(worker(ModelCard("m", aliases=("n",))), grpc)
    assert registry.canonical("n") == "n"
    registry.remove(grpc.id)
    assert registry.canonical("n") == "m"


def test_the_first_model_keeps_an_alias_until_its_last_worker_goes() -> None:
    a1, b, a2 = (worker(ModelCard(name, aliases=("x",))) for name in ("a", "b", "a"))
    registry = fleet(a1, b, a2)
    assert registry.canonical("x") == "a"
    registry.remove(a1.id)
    assert registry.canonical("x") == "a"
    registry.remove(a2.id)
    assert registry.canonical("x") == "b"
    registry.add(a1)
    assert registry.canonical("x") == "b"


def test_the_operators_alias_is_a_claim_like_others() -> None:
    a, b = worker(ModelCard("a", aliases=("x",))), worker(ModelCard("b"))
    registry = fleet(a, b, given=(("x", "b"),))
    assert registry.canonical("x") == "a"
    registry.remove(a.id)
    assert registry.canonical("x") == "b"


def test_new_cards_keep_what_they_still_claim() -> None:
    a, b = worker(ModelCard("a", aliases=("x", "y"))), worker(ModelCard("b", aliases=("x", "y")))
    registry = fleet(a, b)
    registry.set_models(a, [ModelCard("a", aliases=("x",), root="/new")])
    assert (registry.canonical("x"), registry.canonical("y")) == ("a", "b")

    def apply() -> None:
        a.models = (ModelCard("c", aliases=("y",)),)

    registry.reconfigure(a, apply)
    assert (registry.canonical("x"), registry.canonical("y")) == ("b", "b")
    registry.remove(b.id)
    assert (registry.canonical("x"), registry.canonical("y")) == ("x", "c")


def test_some_names_are_no_aliases() -> None:
    registry = fleet(worker(ModelCard("m", aliases=("unknown", "", "m", "x", "x"))))
    assert registry.canonical("unknown") == "unknown"
    assert registry.canonical("") == ""
    assert registry.canonical("m") == "m"
    assert registry.canonical("x") == "m"


def test_an_alias_does_not_lead_to_an_alias() -> None:
    registry = fleet(worker(ModelCard("c")), given=(("a", "b"), ("b", "c")))
    assert registry.canonical("b") == "c"
    assert registry.canonical("a") == "a"


def test_nothing_is_kept_of_models_that_left() -> None:
    registry = WorkerRegistry([("g", "m")])
    for _ in range(3):
        one = worker(ModelCard("m", aliases=("x", "y")), ModelCard("n", aliases=("x",)))
        registry.add(one)
        registry.remove(one.id)
    assert len(registry._aliases) == 0


NAMES = ("a", "b", "c", "x", "y")
GIVEN = (("x", "b"), ("c", "a"))
CARDS = st.lists(
    st.builds(
        ModelCard,
        st.sampled_from(NAMES[:3]),
        st.lists(st.sampled_from(NAMES), max_size=3).map(tuple),
    ),
    max_size=2,
)
Claim = tuple[str, str, str]  # alias, model, id of the worker


class AliasMachine(RuleBasedStateMachine):
    """The naive model: all claims in a list, in the order in which a model first made them."""

    def __init__(self) -> None:
        super().__init__()
        self.registry = WorkerRegistry(GIVEN)
        self.workers: list[Worker] = []
        self.claims: list[Claim] = []

    def claims_of(self, one: Worker) -> list[Claim]:
        made: list[Claim] = []
        for card in one.models:
            given = (alias for alias, model in GIVEN if model == card.id)
            made += [(alias, card.id, one.id) for alias in (*card.aliases, *given)]
        return list(dict.fromkeys(made))

    def claim(self, claim: Claim) -> None:
        """Behind the last claim of the same model to the same alias, else at the end."""
        same = [place for place, other in enumerate(self.claims) if other[:2] == claim[:2]]
        self.claims.insert(same[-1] + 1 if same else len(self.claims), claim)

    def owner(self, alias: str) -> str | None:
        return next((model for name, model, _ in self.claims if name == alias), None)

    @rule(cards=CARDS)
    def add(self, cards: list[ModelCard]) -> None:
        one = worker(*cards)
        self.registry.add(one)
        self.workers.append(one)
        for claim in self.claims_of(one):
            self.claim(claim)

    @precondition(lambda self: self.workers)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(self.workers))
        self.workers.remove(one)
        self.registry.remove(one.id)
        self.claims = [claim for claim in self.claims if claim[2] != one.id]

    @precondition(lambda self: self.workers)
    @rule(data=st.data(), cards=CARDS)
    def change(self, data: st.DataObject, cards: list[ModelCard]) -> None:
        one = data.draw(st.sampled_from(self.workers))
        before = self.claims_of(one)
        self.registry.set_models(one, cards)
        after = self.claims_of(one)
        for claim in after:
            if claim not in before:
                self.claim(claim)
        self.claims = [claim for claim in self.claims if claim not in before or claim in after]

    @invariant()
    def every_name_means_the_same(self) -> None:
        registered = {card.id for one in self.workers for card in one.models}
        for name in (*NAMES, "unknown", "z"):
            expected = name if name in registered else self.owner(name) or name
            assert self.registry.canonical(name) == expected, (name, self.claims)
        assert len(self.registry._aliases) == len({claim[0] for claim in self.claims})


AliasMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestAliasOwnership = AliasMachine.TestCase
