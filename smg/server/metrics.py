"""What the HTTP edge counts, resolved once per route so that a request pays for additions only
(operations 1.5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smg.observability.families import GatewayMetrics
    from smg.server.routes import Endpoint, RouteTable

_METHODS = frozenset({b"GET", b"POST", b"PUT", b"DELETE", b"PATCH", b"HEAD", b"OPTIONS"})


class RouteSeries:
    """Metric children of one route: by method on arrival, by method and status at the head."""

    def __init__(self, metrics: GatewayMetrics, path: str) -> None:
        self._metrics = metrics
        self._path = path
        self._requests: dict[bytes, Any] = {}
        self._durations: dict[bytes, Any] = {}
        self._responses: dict[tuple[int, str], Any] = {}

    def arrived(self, method: bytes) -> None:
        """A request head came."""
        child = self._requests.get(method)
        if child is None:
            child = self._resolve(method)
        child.inc()

    def _resolve(self, method: bytes) -> Any:
        name = method.decode() if method in _METHODS else "OTHER"
        child = self._metrics.http_requests.labels(name, self._path)
        if method in _METHODS:
            self._requests[method] = child
        return child

    def head(self, method: bytes, status: int, error_code: str, seconds: float) -> None:
        """The answer's head is ready, `seconds` after the request's."""
        key = (status, error_code)
        child = self._responses.get(key)
        if child is None:
            child = self._metrics.http_responses.labels(self._path, str(status), error_code)
            self._responses[key] = child
        child.inc()
        duration = self._durations.get(method)
        if duration is None:
            name = method.decode() if method in _METHODS else "OTHER"
            duration = self._metrics.http_request_duration.labels(name, self._path)
            if method in _METHODS:
                self._durations[method] = duration
        duration.observe(seconds)


def attach(table: RouteTable, metrics: GatewayMetrics, *extra: Endpoint) -> None:
    """Give every endpoint of `table` its series."""
    by_path: dict[str, RouteSeries] = {}
    for endpoint in (*table.endpoints, table.other, *extra):
        path = endpoint.route.path
        series = by_path.get(path)
        if series is None:
            series = by_path[path] = RouteSeries(metrics, path)
        endpoint.series = series
