"""What the HTTP edge counts, resolved once per route so that a request pays for additions only
(operations 1.5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smg.observability.families import GatewayMetrics
    from smg.observability.metrics import Counter, Histogram
    from smg.server.routes import Endpoint, RouteTable

_METHODS = frozenset({b"GET", b"POST", b"PUT", b"DELETE", b"PATCH", b"HEAD", b"OPTIONS"})


class RouteSeries:
    """Metric children of one route: by method on arrival, by method and status at the head."""

    def __init__(self, metrics: GatewayMetrics, path: str) -> None:
        self._metrics = metrics
        self._path = path
        self._requests: dict[bytes, Counter] = {}
        self._durations: dict[bytes, Histogram] = {}
        self._responses: dict[tuple[int, str], Counter] = {}
        # What the request before had: nearly always this one has the same, and comparing costs a
        # tenth of looking up.
        self._method = b""
        self._arrivals: Counter | None = None
        self._status = 0
        self._code = ""
        self._answers: Counter | None = None
        self._timed = b""
        self._duration: Histogram | None = None

    def arrived(self, method: bytes) -> None:
        """A request head came."""
        child = self._arrivals
        if child is None or method != self._method:
            child = self._arrival(method)
        child.inc()

    def _arrival(self, method: bytes) -> Counter:
        child = self._requests.get(method)
        if child is None:
            name = method.decode() if method in _METHODS else "OTHER"
            child = self._metrics.http_requests.labels(name, self._path)
            if method not in _METHODS:
                return child  # such names are without number
            self._requests[method] = child
        self._method = method
        self._arrivals = child
        return child

    def head(self, method: bytes, status: int, error_code: str, seconds: float) -> None:
        """The answer's head is ready, `seconds` after the request's."""
        child = self._answers
        if child is None or status != self._status or error_code != self._code:
            child = self._answer(status, error_code)
        child.inc()
        duration = self._duration
        if duration is None or method != self._timed:
            duration = self._timing(method)
        duration.observe(seconds)

    def _answer(self, status: int, error_code: str) -> Counter:
        key = (status, error_code)
        child = self._responses.get(key)
        if child is None:
            child = self._metrics.http_responses.labels(self._path, str(status), error_code)
            self._responses[key] = child
        self._status = status
        self._code = error_code
        self._answers = child
        return child

    def _timing(self, method: bytes) -> Histogram:
        duration = self._durations.get(method)
        if duration is None:
            name = method.decode() if method in _METHODS else "OTHER"
            duration = self._metrics.http_request_duration.labels(name, self._path)
            if method not in _METHODS:
                return duration
            self._durations[method] = duration
        self._timed = method
        self._duration = duration
        return duration


def attach(table: RouteTable, metrics: GatewayMetrics, *extra: Endpoint) -> None:
    """Give every endpoint of `table` its series."""
    by_path: dict[str, RouteSeries] = {}
    for endpoint in (*table.endpoints, table.other, *extra):
        path = endpoint.route.path
        series = by_path.get(path)
        if series is None:
            series = by_path[path] = RouteSeries(metrics, path)
        endpoint.series = series
