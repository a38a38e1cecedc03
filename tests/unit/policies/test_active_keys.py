"""Keys with requests in flight, and their gauge."""

from __future__ import annotations

from smg.observability.families import GatewayMetrics
from smg.observability.metrics import Registry
from smg.policies.active_keys import ActiveKeys
from smg.workers import Worker
from tests.doubles.routing import View

A, B = Worker("http://a:1"), Worker("http://b:1")


def shown(metrics: GatewayMetrics, worker: Worker) -> float:
    return metrics.worker_routing_keys_active.labels(worker.url).value


def test_keys_are_distinct_and_requests_are_counted() -> None:
    metrics = GatewayMetrics(Registry())
    active = ActiveKeys(metrics.worker_routing_keys_active)
    views = [View() for _ in range(4)]
    active.begin(views[0], b"k", A)
    active.begin(views[1], b"k", A)
    active.begin(views[2], b"l", A)
    active.begin(views[3], b"k", B)
    assert (active.count(b"k", A), active.count(b"k", B), active.count(b"x", A)) == (2, 1, 0)
    assert (active.keys(A), active.keys(B)) == (2, 1)
    assert (shown(metrics, A), shown(metrics, B)) == (2.0, 1.0)
    active.end(views[0], A)
    assert (active.count(b"k", A), active.keys(A)) == (1, 2)
    active.end(views[1], A)
    active.end(views[2], A)
    assert (active.keys(A), shown(metrics, A)) == (0, 0.0)


def test_ends_of_what_is_not_counted_are_ignored() -> None:
    active = ActiveKeys()
    view = View()
    active.end(view, A)
    active.begin(view, b"k", A)
    active.end(view, B)
    assert active.keys(A) == 1
    active.end(view, A)
    active.end(view, A)
    assert active.keys(A) == 0


def test_a_view_that_begins_anew_counts_once() -> None:
    active = ActiveKeys()
    view = View()
    active.begin(view, b"k", A)
    active.begin(view, b"k", B)
    assert (active.keys(A), active.keys(B)) == (0, 1)
    active.end(view, A)  # the late end of the pick that was not used
    assert active.keys(B) == 1


def test_policies_share_the_gauge_and_take_back_their_part() -> None:
    metrics = GatewayMetrics(Registry())
    first = ActiveKeys(metrics.worker_routing_keys_active)
    second = ActiveKeys(metrics.worker_routing_keys_active)
    mine, later, yours = View(), View(), View()
    first.begin(mine, b"k", A)
    second.begin(yours, b"k", A)
    assert shown(metrics, A) == 2.0
    first.forget(A)
    assert shown(metrics, A) == 1.0
    first.begin(later, b"l", A)  # the worker came back while a request still ran
    assert shown(metrics, A) == 3.0
    first.end(mine, A)
    assert shown(metrics, A) == 2.0
    first.close()
    first.end(later, A)
    assert (shown(metrics, A), first.keys(A)) == (1.0, 0)
    second.close()
    assert shown(metrics, A) == 0.0
