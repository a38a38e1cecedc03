"""Which header decides, and whom a client may ask for."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from smg.config.settings import RouterConfig
from smg.observability.families import GatewayMetrics
from smg.observability.metrics import Registry
from smg.policies.base import PolicyContext
from smg.policies.consistent_hashing import BRANCHES, ConsistentHashing
from smg.workers import Worker
from tests.doubles.routing import View

WORKERS = tuple(Worker(f"http://w{number}:1") for number in range(4))
FORWARDED = (b"x-forwarded-for", b"10.1.2.3")
COOKIE = (b"cookie", b"session=1")


def make(
    workers: tuple[Worker, ...] = WORKERS,
    *,
    api_key: str | None = None,
    metrics: GatewayMetrics | None = None,
) -> ConsistentHashing:
    keys: dict[str, Any] = {
        "tenant_api_key": ("t:hush-t",),
        "control_plane_api_keys": (("o", "O", "hush-o", "user"),),
    }
    config = RouterConfig(api_key=api_key, **(keys if api_key else {}))
    policy = ConsistentHashing(
        PolicyContext(config=config, metrics=metrics, random=random.Random(7))
    )
    for worker in workers:
        policy.worker_added(worker)
    return policy


def key(number: int) -> View:
    return View(key=b"key-%d" % number)


def test_a_key_stays_and_only_those_of_a_removed_worker_move() -> None:
    policy = make()
    before = [policy.select(WORKERS, key(number)) for number in range(400)]
    assert [policy.select(WORKERS, key(number)) for number in range(400)] == before
    assert set(before) == set(WORKERS)
    policy.worker_removed(WORKERS[1])
    rest = (WORKERS[0], *WORKERS[2:])
    after = [policy.select(rest, key(number)) for number in range(400)]
    moved = {old for old, new in zip(before, after, strict=True) if old is not new}
    assert moved == {WORKERS[1]}


def test_a_worker_that_is_not_available_comes_back_to_its_keys() -> None:
    policy = make()
    before = [policy.select(WORKERS, key(number)) for number in range(200)]
    for number in range(200):
        assert policy.select(WORKERS[1:], key(number)) is not WORKERS[0]
    assert [policy.select(WORKERS, key(number)) for number in range(200)] == before


def test_without_any_key_requests_spread() -> None:
    policy = make()
    counts = Counter(policy.select(WORKERS, View()) for _ in range(4000))
    assert policy.reason == "random_fallback"
    assert min(counts.values()) > 850


@pytest.mark.parametrize("api_key", [None, "hush"])
def test_what_tells_senders_apart_in_order(api_key: str | None) -> None:
    policy = make(api_key=api_key)

    def spread(*headers: tuple[bytes, bytes]) -> bool:
        """Whether requests with these headers differ from each other in what they are given."""
        return len({policy.select(WORKERS, View(headers=headers)) for _ in range(40)}) > 1

    tokens = [(b"authorization", b"Bearer user-%d" % number) for number in range(40)]
    for token in tokens[:3]:
        assert not spread(FORWARDED, COOKIE, token)
        assert not spread(COOKIE)
    first = {policy.select(WORKERS, View(headers=[FORWARDED, COOKIE, token])) for token in tokens}
    assert first == set(WORKERS)
    assert {policy.select(WORKERS, View(key=b"k", headers=[token])) for token in tokens} == {
        policy.select(WORKERS, View(key=b"k"))
    }
    assert spread((b"authorization", b""), FORWARDED)
    assert spread((b"x-forwarded-for", b"\xff\xfe"), COOKIE)


@pytest.mark.parametrize("key", [b"hush", b"hush-t", b"hush-o"])
def test_the_gateways_own_key_is_nobodys_key(key: bytes) -> None:
    policy = make(api_key="hush")
    own = (b"authorization", b"Bearer " + key)
    assert len({policy.select(WORKERS, View(headers=[own])) for _ in range(40)}) == 4
    expected = policy.select(WORKERS, View(headers=[FORWARDED]))
    assert {policy.select(WORKERS, View(headers=[own, FORWARDED])) for _ in range(20)} == {expected}


def named(policy: ConsistentHashing, target: bytes, workers: tuple[Worker, ...]) -> Worker | None:
    headers = [(b"x-smg-target-worker", target)]
    return policy.select(workers, View(key=b"ignored", headers=headers))


def test_the_named_worker_is_the_one_in_the_registered_list() -> None:
    policy = make()
    for place in range(4):
        assert named(policy, b"%d" % place, WORKERS) is WORKERS[place]
    # One that drops out does not shift the others.
    assert named(policy, b"2", WORKERS[1:]) is WORKERS[2]
    policy.worker_removed(WORKERS[0])
    assert named(policy, b"0", WORKERS[1:]) is WORKERS[1]
    assert policy.reason == "target_worker_hit"


def test_a_worker_may_be_named_by_url_or_id() -> None:
    policy = make()
    assert named(policy, b"http://w2:1", WORKERS) is WORKERS[2]
    assert named(policy, b"http://W2:1/", WORKERS) is WORKERS[2]
    assert named(policy, WORKERS[3].id.encode(), WORKERS) is WORKERS[3]


@pytest.mark.parametrize(
    "target",
    [
        b"4",
        b"7",
        b"-1",
        b"",
        b"1.0",
        b" ",
        b"9" * 5000,
        b"http://w9:1",
        b"\xff",
        b"\xb2",
        b"x" * 9999,
    ],
)
def test_a_name_that_cannot_be_used_selects_nobody(target: bytes) -> None:
    policy = make()
    assert named(policy, target, WORKERS) is None
    assert policy.reason == "target_worker_miss"


def test_a_named_worker_that_is_not_available_selects_nobody() -> None:
    policy = make()
    for target in (b"0", b"http://w0:1", WORKERS[0].id.encode()):
        assert named(policy, target, WORKERS[1:]) is None


def test_branches_are_counted() -> None:
    metrics = GatewayMetrics(Registry())
    policy = make(metrics=metrics)
    policy.select((), View())
    named(policy, b"0", WORKERS)
    named(policy, b"9", WORKERS)
    policy.select(WORKERS, View(key=b"k"))
    policy.select(WORKERS, View())
    family = metrics.consistent_hashing_branch
    assert [family.labels(branch).value for branch in BRANCHES] == [1.0] * 5
