"""What a frame of `smg top` says."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from smg.console import frame
from smg.console.frame import BY_LOAD, BY_REQUESTS, SORTS, Row, build, ordered
from smg.console.rates import Scrape, parse
from smg.observability.families import GatewayMetrics
from smg.observability.metrics import Registry
from tests.doubles.console_api import worker

URL = "http://gateway:30000"


def metrics(**values: float) -> str:
    """A scrape in text: the counters of a small gateway."""
    return f"""\
smg_router_requests_total{{model="m",streaming="true"}} {values.get("requests", 0)}
smg_router_request_errors_total{{model="m"}} {values.get("errors", 0)}
smg_http_connections_active 5
smg_cache_aware_policy_branch_total{{branch="hit"}} {values.get("hits", 0)}
smg_cache_aware_policy_branch_total{{branch="miss"}} {values.get("misses", 0)}
smg_router_ttft_seconds_bucket{{le="0.1"}} {values.get("fast", 0)}
smg_router_ttft_seconds_bucket{{le="+Inf"}} {values.get("fast", 0)}
smg_build_info{{version="0.1.0"}} 1
process_start_time_seconds 1000
"""


def two(**values: float) -> tuple[Scrape, Scrape]:
    return parse(metrics(), 0.0), parse(metrics(**values), 2.0)


def frame_of(workers: list[Any], scrapes: Any = (None, None), readiness: Any = None) -> Any:
    return build(URL, workers, readiness, scrapes, 1060.0)


def test_everything_known():
    scrapes = two(requests=100, errors=5, hits=30, misses=10, fast=8)
    found = frame_of([worker(1)], scrapes, {"status": "ready"}).overview
    assert (found.url, found.version, found.uptime_secs) == (URL, "0.1.0", 60.0)
    assert (found.ready, found.healthy_workers, found.total_workers) == (True, 1, 1)
    assert (found.requests_per_sec, found.error_ratio) == (50.0, 0.05)
    assert (found.in_flight, found.cache_hit_ratio) == (5.0, 0.75)
    assert found.ttft_p50_secs == 0.05


def test_nothing_known():
    found = frame_of([])
    assert found.rows == ()
    assert found.overview.requests_per_sec is None
    assert found.overview.ready is None


def test_the_first_frame_has_no_rates():
    found = frame_of([worker(1)], (None, two(requests=9)[1])).overview
    assert found.in_flight == 5.0
    assert found.requests_per_sec is None


def test_not_ready_says_why():
    reason = {"status": "not ready", "reason": "draining\x1b[0m"}
    found = frame_of([], readiness=reason).overview
    assert (found.ready, found.reason) == (False, "draining\\u001b[0m")


def test_shares_of_requests_in_flight():
    found = frame_of([worker(1, load=3), worker(2, load=1)], two())
    assert found.share_of == BY_LOAD
    assert [row.share for row in found.rows] == [0.75, 0.25]
    assert [row.requests_per_sec for row in found.rows] == [None, None]
    assert [row.share for row in frame_of([worker(1)]).rows] == [None]


def test_rates_by_worker_where_the_gateway_counts_them():
    def outcomes(success: int, failure: int) -> str:
        name, url = "smg_worker_cb_outcomes_total", worker(1)["url"]
        return (
            f'{name}{{worker="{url}",outcome="success"}} {success}\n'
            f'{name}{{worker="{url}",outcome="failure"}} {failure}\n'
        )

    scrapes = (parse(outcomes(0, 0), 0.0), parse(outcomes(18, 2), 2.0))
    found = frame_of([worker(1), worker(2, load=9)], scrapes)
    assert found.share_of == BY_REQUESTS
    rows = [(row.requests_per_sec, row.errors_per_sec, row.share) for row in found.rows]
    assert rows == [(10.0, 1.0, 1.0), (0.0, 0.0, 0.0)]


def test_workers_of_another_version_are_shown_as_far_as_they_go():
    row = frame_of([{"id": 5, "load": "many", "priority": None}]).rows[0]
    assert (row.id, row.url, row.status, row.load, row.priority) == ("5", "", "-", 0, None)


def row(url: str, **values: Any) -> Row:
    empty: dict[str, Any] = {field.name: None for field in fields(Row)}
    return Row(**{**empty, "url": url, **values})


def test_order():
    rows = [row("b", load=1), row("a", load=1), row("c", load=5)]
    assert [entry.url for entry in ordered(rows, "load")] == ["c", "a", "b"]
    assert [entry.url for entry in ordered(rows, "load", turned=True)] == ["a", "b", "c"]
    assert [entry.url for entry in ordered(rows, "url")] == ["a", "b", "c"]


def test_what_is_not_known_comes_last_either_way():
    rows = [row("a"), row("b", requests_per_sec=1.0)]
    for turned in (False, True):
        assert [e.url for e in ordered(rows, "requests", turned=turned)] == ["b", "a"]


def test_every_order_sorts_by_a_column():
    assert {attribute for attribute, _ in SORTS.values()} <= {field.name for field in fields(Row)}


def test_the_metrics_exist():
    """Names are a contract; those of circuit breakers come with these."""
    names = {family.name for family in _families()}
    used = {frame.ROUTED, frame.ROUTED_ERRORS, frame.IN_FLIGHT, frame.TTFT, frame.BRANCHES}
    assert used | {frame.GENERATED, frame.BUILD} <= names


def _families() -> list[Any]:
    known = vars(GatewayMetrics(Registry())).values()
    return [value for value in known if hasattr(value, "name")]
