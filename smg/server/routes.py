"""Routes as data, and matching in one dict look-up for static paths.

A route says who may call it (`auth`); the server checks that on the matched route, never on the
path text.
"""

from __future__ import annotations

import enum
import urllib.parse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from smg.core.errors import GatewayError, NotFoundError

if TYPE_CHECKING:
    from smg.server.exchange import Exchange


class Auth(enum.Enum):
    """Who may call a route (http-api 1)."""

    PUBLIC = "public"
    DATA = "data plane"
    CONTROL = "control plane"
    EITHER = "either"  # what both planes may read


@dataclass(frozen=True)
class Route:
    """One method on one path. `start` is called once head and body are complete; see
    docs/develop/interfaces.md.
    """

    method: str
    path: str
    start: Callable[[Exchange], None]
    auth: Auth = Auth.PUBLIC
    endpoint: str = "other"
    id_prefix: bytes = b"req-"
    probe: bool = False


class Endpoint:
    """A route at run time, with what is prepared once per route."""

    def __init__(self, route: Route) -> None:
        self.route = route
        self.start = route.start
        self.auth = route.auth
        self.id_prefix = route.id_prefix
        self.probe = route.probe
        self.series: Any = None  # server/metrics.RouteSeries; None when metrics are off


class _Node:
    """A path segment that is not the last static one: children by text, or one parameter."""

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.param: tuple[str, _Node] | None = None
        self.rest: str | None = None
        self.rest_methods: dict[bytes, Endpoint] = {}
        self.methods: dict[bytes, Endpoint] = {}


class RouteTable:
    """All routes of a listener. GET implies HEAD."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.endpoints: list[Endpoint] = []
        self._static: dict[bytes, dict[bytes, Endpoint]] = {}
        self._exact: dict[tuple[bytes, bytes], Endpoint] = {}
        self._root = _Node()
        #: where unknown paths are counted
        self.other = Endpoint(Route("*", "other", _unreachable))
        for route in routes:
            self._add(route)

    def _add(self, route: Route) -> None:
        endpoint = Endpoint(route)
        self.endpoints.append(endpoint)
        methods = [route.method.encode()]
        if route.method == "GET":
            methods.append(b"HEAD")
        target = self._methods(route.path)
        for method in methods:
            if method in target and method != b"HEAD":
                raise ValueError(f"route given twice: {route.method} {route.path}")
            target[method] = endpoint
            if "{" not in route.path:
                self._exact[method, route.path.encode()] = endpoint

    def _methods(self, path: str) -> dict[bytes, Endpoint]:
        if "{" not in path:
            return self._static.setdefault(path.encode(), {})
        node = self._root
        for segment in path.strip("/").split("/"):
            if segment.startswith("{") and segment.endswith(":rest}"):
                node.rest = segment[1:-6]
                return node.rest_methods
            if segment.startswith("{"):
                if node.param is None:
                    node.param = (segment[1:-1], _Node())
                node = node.param[1]
            else:
                node = node.children.setdefault(segment, _Node())
        return node.methods

    def match(self, method: bytes, path: bytes) -> tuple[Endpoint, dict[str, str] | None]:
        """The endpoint and its decoded path parameters.

        Raises NotFoundError (404) or GatewayError (405 with an `Allow` header).
        """
        endpoint = self._exact.get((method, path))
        if endpoint is not None:
            return endpoint, None
        methods = self._static.get(path)
        params: dict[str, str] | None = None
        if methods is None:
            methods, params = self._walk(path)
        if methods is None:
            raise NotFoundError("Unknown request URL. See the documentation for the routes.")
        endpoint = methods.get(method)
        if endpoint is None:
            raise method_not_allowed(methods)
        return endpoint, params

    def sibling(self, path: bytes) -> Endpoint:
        """Some endpoint of `path`, to count a wrong method under the path's template."""
        methods = self._static.get(path) or self._walk(path)[0]
        return next(iter(methods.values())) if methods else self.other

    def allowed(self, path: bytes) -> list[bytes]:
        """Methods known on `path`; empty for an unknown path."""
        methods = self._static.get(path) or self._walk(path)[0]
        return sorted(methods) if methods else []

    def _walk(self, path: bytes) -> tuple[dict[bytes, Endpoint] | None, dict[str, str] | None]:
        try:
            segments = path.decode("ascii").split("/")[1:]
        except UnicodeDecodeError:
            return None, None
        node = self._root
        params: dict[str, str] = {}
        for index, segment in enumerate(segments):
            child = node.children.get(segment)
            if child is not None:
                node = child
            elif node.param is not None and segment:
                # Escapes are decoded once, after the split: an encoded "/" stays inside its
                # segment.
                params[node.param[0]] = urllib.parse.unquote(segment)
                node = node.param[1]
            elif node.rest is not None and segment:
                params[node.rest] = urllib.parse.unquote("/".join(segments[index:]))
                return node.rest_methods, params
            else:
                return None, None
        return (node.methods or None), params


def method_not_allowed(methods: dict[bytes, Endpoint]) -> GatewayError:
    """405 with the methods that the path does have."""
    allow = b", ".join(sorted(methods))
    return GatewayError(
        f"Method not allowed for this URL. Allowed: {allow.decode()}.",
        status=405,
        code="method_not_allowed",
        headers=((b"allow", allow),),
    )


def _unreachable(exchange: Exchange) -> None:
    raise AssertionError("the catch-all endpoint is never started")
