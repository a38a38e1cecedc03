"""What the edge counts: once per request, under the route's template."""

from __future__ import annotations

from smg.observability.families import GatewayMetrics
from smg.observability.metrics import Registry
from smg.server import Route
from tests.unit.server.edge import Edge, default_routes

HEAD = b" HTTP/1.1\r\nHost: a\r\n\r\n"


def values(family) -> dict[tuple[str, ...], float]:
    return {labels: child.value for labels, child in family.children().items() if child.value}


def counted(*wires: bytes, routes: list[Route] | None = None, **settings) -> GatewayMetrics:
    metrics = GatewayMetrics(Registry())
    with Edge(routes, metrics=metrics, **settings) as edge:
        client = edge.connect()
        for wire in wires:
            client.send(wire)
        while edge.release():
            edge.settle()
    return metrics


def test_requests_and_responses():
    metrics = counted(
        b"GET /now" + HEAD,
        b"HEAD /now?x=1" + HEAD,
        b"GET /items/1" + HEAD,
        b"GET /items/2" + HEAD,
        b"POST /items/2" + HEAD,
        b"GET /nowhere" + HEAD,
        b"GET /later" + HEAD,
    )
    assert values(metrics.http_requests) == {
        ("GET", "/now"): 1,
        ("HEAD", "/now"): 1,
        ("GET", "/items/{item}"): 2,
        ("POST", "/items/{item}"): 1,
        ("GET", "other"): 1,
        ("GET", "/later"): 1,
    }
    assert values(metrics.http_responses) == {
        ("/now", "200", ""): 2,
        ("/items/{item}", "200", ""): 2,
        ("/items/{item}", "405", "method_not_allowed"): 1,
        ("other", "404", "unknown_url"): 1,
        ("/later", "200", ""): 1,
    }
    durations = {
        labels: child.count for labels, child in metrics.http_request_duration.children().items()
    }
    assert durations == values(metrics.http_requests)


def test_requests_that_differ_from_the_one_before():
    wires = [b"GET /now", b"HEAD /now", b"PROPFIND /now", b"GET /now", b"HEAD /now", b"HEAD /now"]
    metrics = counted(*(wire + HEAD for wire in wires))
    seen = {("GET", "/now"): 2, ("HEAD", "/now"): 3, ("OTHER", "/now"): 1}
    assert values(metrics.http_requests) == seen
    durations = {
        labels: child.count for labels, child in metrics.http_request_duration.children().items()
    }
    assert durations == seen
    assert values(metrics.http_responses) == {
        ("/now", "200", ""): 5,
        ("/now", "405", "method_not_allowed"): 1,
    }


def test_methods_of_clients_do_not_become_labels():
    metrics = counted(b"PROPFIND /now" + HEAD, b"TRACE /now" + HEAD)
    assert values(metrics.http_requests) == {("OTHER", "/now"): 2}
    assert values(metrics.http_responses) == {("/now", "405", "method_not_allowed"): 2}


def test_bytes_that_are_no_request():
    metrics = counted(b"hello\r\n\r\n")
    assert values(metrics.http_requests) == {("OTHER", "other"): 1}
    assert values(metrics.http_responses) == {("other", "400", "bad_request"): 1}


def test_a_preflight_has_a_path_of_its_own():
    metrics = counted(b"OPTIONS /now" + HEAD, cors_allowed_origins=(b"*",))
    assert values(metrics.http_requests) == {("OPTIONS", "preflight"): 1}
    assert values(metrics.http_responses) == {("preflight", "200", ""): 1}


def test_a_client_that_leaves_has_no_response():
    metrics = GatewayMetrics(Registry())
    with Edge(metrics=metrics) as edge:
        client = edge.connect()
        client.send(b"GET /later" + HEAD)
        client.leave()
    assert values(metrics.http_requests) == {("GET", "/later"): 1}
    assert values(metrics.http_responses) == {}


def test_without_metrics_no_route_has_a_series():
    with Edge() as edge:
        assert all(endpoint.series is None for endpoint in edge.server.table.endpoints)


def test_routes_of_one_path_share_their_series():
    metrics = GatewayMetrics(Registry())
    with Edge(metrics=metrics) as edge:
        table = edge.server.table
        series = {endpoint.route.path: endpoint.series for endpoint in table.endpoints}
        assert all(endpoint.series is series[endpoint.route.path] for endpoint in table.endpoints)
        assert len({id(one) for one in series.values()}) == len(series)
        assert len(table.endpoints) == len(default_routes(edge))
