"""Rates and quantiles of the console, by hand."""

from __future__ import annotations

import pytest

from smg.endpoints.console.figures import (
    SLICE,
    WINDOW,
    Look,
    Looks,
    per_second,
    quantiles,
    share,
    take,
    total,
)
from smg.observability.families import GatewayMetrics
from smg.observability.metrics import Registry


def looked(metrics: GatewayMetrics, at: float) -> Look:
    look = Look(at)
    for _ in take(metrics, look):
        pass
    return look


def test_a_look_adds_up_all_models():
    metrics = GatewayMetrics(Registry())
    labels = ("http", "regular", "http")
    for model in ("a", "b"):
        metrics.router_requests.labels(*labels, model, "chat", "false").inc(2)
        metrics.router_request_errors.labels(*labels, model, "chat", "timeout").inc()
        metrics.router_request_duration.labels(*labels, model, "chat").observe(0.003)
        for kind, count in (("input", 10), ("output", 3)):
            metrics.router_tokens.labels("http", "regular", model, "chat", kind).inc(count)
    metrics.cache_aware_branch.labels("hit").inc(3)
    metrics.cache_aware_branch.labels("miss").inc()
    look = looked(metrics, 1.0)
    assert (look.requests, look.errors) == (4, 2)
    assert (look.input_tokens, look.output_tokens) == (20, 6)
    assert (look.hits, look.placed) == (3, 4)
    assert sum(look.latency[:-1]) == 2
    assert look.latency[-1] == pytest.approx(0.006)
    assert look.ttft == []


def test_others_have_their_turn_while_it_adds_up():
    metrics = GatewayMetrics(Registry())
    idle = sum(1 for _ in take(metrics, Look(0.0)))
    for number in range(3 * SLICE):
        metrics.router_ttft.labels("http", "regular", str(number), "chat").observe(1.0)
    assert sum(1 for _ in take(metrics, Look(0.0))) == idle + 3


def test_gauges_that_are_read_at_scrapes_count_too():
    metrics = GatewayMetrics(Registry())
    metrics.admission_queue_depth.track((), lambda: 3.0)
    assert total(metrics.admission_queue_depth) == 3


def test_what_a_look_is_compared_with():
    looks = Looks(started=0.0)
    first, second, third = Look(500.0), Look(502.0), Look(500.0 + WINDOW + 1)
    assert looks.add(first).at == 0.0  # nobody looked before: since the start
    assert looks.add(second) is first
    assert looks.add(third) is second  # the first is more than a minute old
    later = Look(10_000.0)
    assert looks.add(later) is third  # nobody looked for long


def test_looks_are_not_kept_for_ever():
    looks = Looks(started=0.0)
    for number in range(1000):
        looks.add(Look(number / 100))
    assert len(looks._looks) <= 64


def test_quantiles():
    family = Registry().histogram("h", "H.", (), (1.0, 2.0, 4.0))
    child = family.labels()
    assert quantiles([], [], family) == {"p50": None, "p90": None, "p99": None}
    for value in (0.5, 1.5, 1.5, 3.0):
        child.observe(value)
    before = child.snapshot()
    assert quantiles([], before, family)["p50"] == pytest.approx(1.5)
    assert quantiles(before, before, family)["p50"] is None
    for _ in range(10):
        child.observe(3.0)
    assert quantiles(before, child.snapshot(), family)["p50"] == pytest.approx(3.0)
    for _ in range(1000):
        child.observe(100.0)
    assert quantiles(before, child.snapshot(), family)["p99"] == 4.0


def test_shares_and_rates_of_nothing():
    assert share(1, 0) is None
    assert share(3, 2) == 1.0
    assert per_second(1, 3, 4) == 0.5
    assert per_second(1, 3, 0) is None
