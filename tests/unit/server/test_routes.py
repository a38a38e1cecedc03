"""Matching: static, parameters, rest, wrong method, unknown path."""

from __future__ import annotations

import pytest

from smg.core.errors import GatewayError, NotFoundError
from smg.server.routes import Route, RouteTable


def start(exchange):
    raise AssertionError("never started here")


def table(*routes: str) -> RouteTable:
    pairs = (route.split(" ") for route in routes)
    return RouteTable([Route(method, path, start) for method, path in pairs])


TABLE = table(
    "GET /v1/models",
    "GET /v1/models/{model:rest}",
    "POST /v1/chat",
    "GET /r/{id}",
    "DELETE /r/{id}",
    "POST /r/{id}/cancel",
    "GET /r/{id}/items/{item}",
    "GET /",
)


@pytest.mark.parametrize(
    ("method", "path", "template", "params"),
    [
        (b"GET", b"/v1/models", "/v1/models", None),
        (b"HEAD", b"/v1/models", "/v1/models", None),
        (b"GET", b"/", "/", None),
        (b"GET", b"/v1/models/a", "/v1/models/{model:rest}", {"model": "a"}),
        (b"GET", b"/v1/models/org/name", "/v1/models/{model:rest}", {"model": "org/name"}),
        (b"GET", b"/v1/models/org%2Fname", "/v1/models/{model:rest}", {"model": "org/name"}),
        (b"HEAD", b"/v1/models/a", "/v1/models/{model:rest}", {"model": "a"}),
        (b"GET", b"/r/7", "/r/{id}", {"id": "7"}),
        (b"DELETE", b"/r/7", "/r/{id}", {"id": "7"}),
        (b"GET", b"/r/cancel", "/r/{id}", {"id": "cancel"}),
        (b"POST", b"/r/7/cancel", "/r/{id}/cancel", {"id": "7"}),
        (b"GET", b"/r/7/items/8", "/r/{id}/items/{item}", {"id": "7", "item": "8"}),
        # an encoded "/" does not split segments, and escapes are decoded once
        (b"GET", b"/r/a%2Fcancel", "/r/{id}", {"id": "a/cancel"}),
        (b"GET", b"/r/a%252F", "/r/{id}", {"id": "a%2F"}),
        (b"GET", b"/r/%C3%A4", "/r/{id}", {"id": "ä"}),
        (b"GET", b"/r/a+b", "/r/{id}", {"id": "a+b"}),
        (b"GET", b"/r/..", "/r/{id}", {"id": ".."}),
    ],
)
def test_matches(method, path, template, params):
    endpoint, found = TABLE.match(method, path)
    assert endpoint.route.path == template
    assert found == params


@pytest.mark.parametrize(
    "path",
    [
        *[b"/v1/models/", b"/v1/chat/", b"/V1/models", b"//v1/models", b"/v1//models", b"/v1"],
        *[b"/r", b"/r/", b"/r//cancel", b"/r/7/", b"/r/7/items", b"/r/7/items/", b"/r/7/items/8/9"],
        *[b"/v1/%6dodels", b"*", b"", b"/\xc3\xa4", b"/r/\xff", b"/other"],
    ],
)
def test_unknown_paths(path):
    for method in (b"GET", b"POST", b"BREW"):
        with pytest.raises(NotFoundError) as caught:
            TABLE.match(method, path)
        assert (caught.value.status, caught.value.code) == (404, "unknown_url")
    assert TABLE.allowed(path) == []
    assert TABLE.sibling(path) is TABLE.other


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        (b"POST", b"/v1/models", b"GET, HEAD"),
        (b"GET", b"/v1/chat", b"POST"),
        (b"HEAD", b"/v1/chat", b"POST"),
        (b"OPTIONS", b"/v1/chat", b"POST"),
        (b"get", b"/v1/models", b"GET, HEAD"),
        (b"PUT", b"/r/7", b"DELETE, GET, HEAD"),
        (b"GET", b"/r/7/cancel", b"POST"),
        (b"PATCH", b"/v1/models/a/b", b"GET, HEAD"),
    ],
)
def test_wrong_methods(method, path, allow):
    with pytest.raises(GatewayError) as caught:
        TABLE.match(method, path)
    error = caught.value
    assert (error.status, error.code) == (405, "method_not_allowed")
    assert dict(error.headers) == {b"allow": allow}
    assert b", ".join(TABLE.allowed(path)) == allow
    assert TABLE.sibling(path) is not TABLE.other


def test_a_route_given_twice_is_a_mistake():
    with pytest.raises(ValueError, match="twice: GET /a"):
        table("GET /a", "GET /a")
    with pytest.raises(ValueError, match="twice"):
        table("GET /a/{x}", "GET /a/{y}")
    table("GET /a", "POST /a", "GET /a/{x}", "POST /a/{x}")


def test_the_catch_all_is_never_started():
    with pytest.raises(AssertionError):
        table().other.start(None)
