"""What is prepared once per worker, and the metric children of the backend."""

from __future__ import annotations

from typing import Any

import pytest

from smg import workers
from smg.backends.http.series import BackendSeries, error_type
from smg.backends.http.target import Target, target_of
from smg.observability.families import GatewayMetrics
from smg.observability.metrics import Registry
from smg.upstream.pool import UpstreamPool
from smg.upstream.settings import UpstreamSettings
from smg.workers.spec import HttpPoolSpec, WorkerSpec
from tests.unit.upstream.fakes import pool


class Worker:
    def __init__(self, url: str, api_key: str | None = None) -> None:
        self.url = self.base_url = url
        self.api_key = api_key
        self.transport: Any = None
        self.spec = WorkerSpec(url=url)


class Client:
    settings = UpstreamSettings(connect_timeout=7)

    def __init__(self) -> None:
        self.asked: list[str] = []

    def pool(self, url: str) -> UpstreamPool:
        self.asked.append(url)
        return pool()


def target(url: str, api_key: str | None = None) -> Target:
    client: Any = Client()
    worker: Any = Worker(url, api_key)
    return target_of(worker, client)


def test_lines():
    made = target("http://w:8000/base", "k")
    assert made.authorization == b"authorization: Bearer k\r\n"
    assert made.routed == b"x-smg-routed-worker-id: http://w:8000/base\r\n"
    assert made.prefix("/v1/chat/completions") == (
        b"POST /base/v1/chat/completions HTTP/1.1\r\nhost: w:8000\r\n"
        b"content-type: application/json\r\n"
    )
    assert made.prefix("/v1/chat/completions") is made.prefix("/v1/chat/completions")
    assert made.request_line("GET", "/health?x=1") == (
        b"GET /base/health?x=1 HTTP/1.1\r\nhost: w:8000\r\n"
    )


def test_a_rank_is_reached_at_its_base_url_and_shown_with_its_number():
    client: Any = Client()
    made = target_of(workers.Worker("http://w:8000/base", dp_rank=2), client)
    assert made.routed == b"x-smg-routed-worker-id: http://w:8000/base@2\r\n"
    assert made.request_line("GET", "/x") == b"GET /base/x HTTP/1.1\r\nhost: w:8000\r\n"
    assert client.asked == ["http://w:8000/base"]


def test_no_key_no_line():
    assert target("http://w").authorization == b""
    assert target("http://w", "").authorization == b""


def test_base_that_ends_in_v1():
    made = target("http://[::1]:8000/v1")
    assert made.request_line("POST", "/v1/x") == b"POST /v1/x HTTP/1.1\r\nhost: [::1]:8000\r\n"


def test_made_once():
    client: Any = Client()
    worker: Any = Worker("http://w")
    assert target_of(worker, client) is target_of(worker, client) is worker.transport
    assert client.asked == ["http://w"]


def test_a_worker_may_have_other_limits_for_its_connections():
    client: Any = Client()
    assert target_of(workers.Worker("http://w"), client).pool.settings == client.settings
    spec = WorkerSpec(url="http://w", http_pool=HttpPoolSpec(connect_timeout_secs=0.5))
    settings = target_of(workers.Worker("http://w", spec=spec), client).pool.settings
    assert (settings.connect_timeout, settings.pool_idle_timeout) == (0.5, 3)
    own = HttpPoolSpec(pool_idle_timeout_secs=0, pool_max_idle_per_host=1)
    settings = client.settings.merged(own)
    assert (settings.connect_timeout, settings.pool_idle_timeout) == (7, 0)
    assert settings.max_idle_per_worker == 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "validation_error"),
        (404, "no_workers"),
        (408, "timeout"),
        (504, "timeout"),
        (500, "backend_error"),
        (502, "backend_error"),
        (599, "backend_error"),
        (429, "internal_error"),
        (413, "internal_error"),
    ],
)
def test_error_types(status, kind):
    assert error_type(status) == kind


def values(family: Any) -> dict[tuple[str, ...], float]:
    return {labels: child.value for labels, child in family.children().items() if child.value}


def test_series_count_under_their_labels():
    metrics = GatewayMetrics(Registry())
    series = BackendSeries(metrics)
    relay = series.relay("m", "chat", True, "random")
    assert series.relay("m", "chat", True, "random") is relay
    assert series.relay("m", "chat", False, "random") is not relay
    relay.requests.inc()
    relay.failed(504)
    relay.failed(504)
    labels = ("http", "regular", "http", "m", "chat")
    assert values(metrics.router_requests) == {(*labels, "true"): 1}
    assert values(metrics.router_request_errors) == {(*labels, "timeout"): 2}
    series.upstream(200)
    series.upstream(502, "call_upstream_connection_failed")
    assert values(metrics.router_upstream_responses) == {
        ("http", "200", ""): 1,
        ("http", "502", "call_upstream_connection_failed"): 1,
    }
    assert values(metrics.worker_errors) == {("regular", "http", "backend_error"): 1}
    series.cut("upstream_stream_cut")
    assert values(metrics.upstream_streams_cut) == {("upstream_stream_cut",): 1}


def test_the_table_of_series_is_bounded():
    series = BackendSeries(GatewayMetrics(Registry()))
    for number in range(BackendSeries.LIMIT + 10):
        series.relay(f"m{number}", "chat", False, "random").requests.inc()
    assert len(series._relays) == 10
