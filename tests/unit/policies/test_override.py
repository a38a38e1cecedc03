"""Keys pinned above another policy."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smg.config.settings import RouterConfig
from smg.observability.families import GatewayMetrics
from smg.observability.metrics import Registry
from smg.policies.base import Policy, PolicyContext, RoutingView
from smg.policies.override import RoutingKeyOverride, without_lineage
from smg.policies.registry import POLICIES, create
from smg.workers import Worker
from tests.doubles.routing import View

A, B, C = WORKERS = tuple(Worker(f"http://w{number}:1") for number in range(3))


class Wish(Policy):
    """Picks what the test says, and remembers what it was told."""

    name = "wish"
    needs_text = True
    tracks_requests = True

    def __init__(self) -> None:
        self.wish: Worker | None = A
        self.asked = 0
        self.told: list[tuple[str, Worker | None]] = []
        self.config: RouterConfig | None = None

    def reconfigure(self, config: RouterConfig) -> None:
        self.config = config

    def select(self, workers: Sequence[Worker], view: RoutingView) -> Worker | None:
        self.asked += 1
        self.reason, self.score = "wished", 0.5
        return self.wish

    def ended(self, worker: Worker, view: RoutingView) -> None:
        self.told.append(("ended", worker))

    def worker_added(self, worker: Worker) -> None:
        self.told.append(("added", worker))

    def worker_removed(self, worker: Worker) -> None:
        self.told.append(("removed", worker))

    def tick(self) -> None:
        self.told.append(("tick", None))

    def close(self) -> None:
        self.told.append(("close", None))


@pytest.fixture(autouse=True)
def idle() -> Iterator[None]:
    yield
    for worker in WORKERS:
        worker.load = 0


def make(
    mode: str | None = None, metrics: GatewayMetrics | None = None
) -> tuple[RoutingKeyOverride, Wish]:
    wish = Wish()
    config = RouterConfig(routing_key_override=True, assignment_mode=mode)
    context = PolicyContext(config=config, metrics=metrics, random=random.Random(5))
    return RoutingKeyOverride(wish, context), wish


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (b"chat", b"chat"),
        (b"chat_r1", b"chat"),
        (b"chat_t12", b"chat"),
        (b"chat_t2_r1", b"chat"),
        (b"chat_r1_t2", b"chat_r1"),
        (b"chat_t1_t2", b"chat_t1"),
        (b"chat_r", b"chat_r"),
        (b"chat_rx", b"chat_rx"),
        (b"chat_r1x", b"chat_r1x"),
        (b"_t1_r2", b"_t1_r2"),
        (b"_r2", b"_r2"),
        (b"", b""),
    ],
)
def test_lineage(key: bytes, expected: bytes) -> None:
    assert without_lineage(key) == expected


@given(st.binary(min_size=1), st.integers(0, 10**6), st.integers(0, 10**6))
def test_all_turns_and_retries_of_a_conversation_have_one_key(
    key: bytes, turn: int, attempt: int
) -> None:
    key += b"."
    for suffix in (b"_t%d" % turn, b"_r%d" % attempt, b"_t%d_r%d" % (turn, attempt)):
        assert without_lineage(key + suffix) == key


def test_looks_like_what_it_wraps() -> None:
    policy, wish = make()
    assert (policy.name, policy.needs_text, policy.needs_loads) == ("wish", True, False)
    assert policy.tracks_requests
    policy.worker_added(A)
    policy.worker_removed(A)
    policy.tick()
    policy.close()
    assert wish.told == [("added", A), ("removed", A), ("tick", None), ("close", None)]


def test_the_inner_choice_is_pinned() -> None:
    policy, wish = make()
    first = View(rid=b"chat_t1")
    assert policy.select(WORKERS, first) is A
    assert (policy.reason, policy.score) == ("vacant", 0.5)
    policy.ended(A, first)
    assert wish.told == [("ended", A)]
    wish.wish = B
    second = View(rid=b"chat_t2_r1")
    assert policy.select(WORKERS, second) is A
    assert (policy.reason, policy.score) == ("occupied_hit", -1.0)
    policy.ended(A, second)
    assert wish.told == [("ended", A)]  # it did not choose this one
    assert wish.asked == 1


def test_without_a_key_the_inner_policy_decides() -> None:
    policy, wish = make("random")
    for wanted in (A, B, A):
        wish.wish = wanted
        view = View()
        assert policy.select(WORKERS, view) is wanted
        assert (policy.reason, policy.score) == ("wished", 0.5)
        policy.ended(wanted, view)
    assert wish.told == [("ended", A), ("ended", B), ("ended", A)]
    assert policy.select((), View()) is None
    policy, wish = make()
    wish.wish = None
    assert policy.select(WORKERS, View(key=b"k")) is None


def test_the_id_comes_before_the_header() -> None:
    metrics = GatewayMetrics(Registry())
    policy, wish = make(metrics=metrics)
    assert policy.select(WORKERS, View(rid=b"chat_t1", key=b"other")) is A
    wish.wish = B
    assert policy.select(WORKERS, View(key=b"chat_t5")) is A
    too_long = b"x" * 129
    assert policy.select(WORKERS, View(rid=too_long, key=b"header")) is B
    wish.wish = C
    assert policy.select(WORKERS, View(rid=b"header_r1")) is B
    # The end of a conversation's id does not count towards its length.
    assert policy.select(WORKERS, View(rid=b"y" * 128 + b"_t1")) is C
    sources = {name: metrics.routing_key_source.labels(name).value for name in ("rid", "header")}
    assert sources == {"rid": 3.0, "header": 2.0}


def test_the_new_pin_goes_in_front_and_the_old_one_is_the_failover() -> None:
    policy, wish = make()

    def pick(workers: tuple[Worker, ...]) -> Worker | None:
        view = View(key=b"k")
        worker = policy.select(workers, view)
        if worker is not None:
            policy.ended(worker, view)
        return worker

    assert pick(WORKERS) is A
    wish.wish = B
    assert pick((B, C)) is B
    assert policy.reason == "occupied_miss"
    assert pick(WORKERS) is B
    assert pick((A, C)) is A
    assert policy.reason == "occupied_hit"


def test_a_full_worker_spills() -> None:
    policy, wish = make()
    views = [View(key=b"k") for _ in range(6)]
    assert [policy.select(WORKERS, view) for view in views[:2]] == [A, A]
    wish.wish = A  # nothing better: stays, and stays pinned
    assert policy.select(WORKERS, views[2]) is A
    assert policy.reason == "cap_respill"
    wish.wish = B
    assert policy.select(WORKERS, views[3]) is B
    assert policy.reason == "cap_respill"
    for view in views[:3]:
        policy.ended(A, view)
    wish.wish = C
    assert policy.select(WORKERS, views[4]) is B  # pinned in front meanwhile
    assert policy.reason == "occupied_hit"
    # Full again, and so is the other choice: A gets the request but not the pin.
    more = [View(key=b"k") for _ in range(2)]
    wish.wish = A
    for view in more:
        policy.select((A, C), view)
    assert policy.select(WORKERS, views[5]) is A
    assert policy.reason == "cap_respill"
    policy.ended(B, views[3])
    assert policy.select(WORKERS, View(key=b"k")) is B


def test_other_modes_do_not_ask_the_inner_policy() -> None:
    policy, wish = make("min_load")
    A.load = B.load = 1
    assert policy.select(WORKERS, View(key=b"k")) is C
    policy, _ = make("random")
    counts = Counter(policy.select(WORKERS, View(key=b"%d" % n)) for n in range(900))
    assert min(counts.values()) > 200
    policy, _ = make("min_group")
    views = [View(key=b"%d" % n) for n in range(9)]
    assert set(Counter(policy.select(WORKERS, view) for view in views).values()) == {3}
    assert wish.asked == 0


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_every_policy_but_the_keyed_ones_is_wrapped(name: str) -> None:
    config = RouterConfig(routing_key_override=True)
    context = PolicyContext(config=config, leg="prefill" if name == "bucket" else "single")
    policy = create(name, context)
    keyed = name in ("manual", "consistent_hashing")
    assert isinstance(policy, RoutingKeyOverride) is not keyed
    assert policy.name == name
    for worker in WORKERS:
        policy.worker_added(worker)
    assert policy.select((), View("text", key=b"k")) is None
    first = policy.select(WORKERS, View("text", key=b"k"))
    assert first in WORKERS
    assert policy.select(WORKERS, View("text", key=b"k")) is first
    assert first is not None
    policy.worker_removed(first)
    rest = tuple(worker for worker in WORKERS if worker is not first)
    assert policy.select(rest, View("text", key=b"k")) in rest


def test_settings_that_change_reach_the_policy_beneath() -> None:
    policy, wish = make("delegate")
    config = RouterConfig(api_key="another-key")
    policy.reconfigure(config)
    assert wish.config is config
