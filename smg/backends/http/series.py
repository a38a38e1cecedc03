"""Metric children of the HTTP backend, resolved once per (model, endpoint, streaming)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smg.observability.families import GatewayMetrics

_WORKER = ("regular", "http")


def error_type(status: int) -> str:
    """operations 1.3."""
    if status == 400:
        return "validation_error"
    if status == 404:
        return "no_workers"
    if status in (408, 504):
        return "timeout"
    return "backend_error" if status >= 500 else "internal_error"


class RelaySeries:
    """What one kind of request counts."""

    def __init__(
        self, metrics: GatewayMetrics, model: str, endpoint: str, stream: bool, policy: str
    ) -> None:
        model = metrics.models.admit(model)
        labels = ("http", "regular", "http", model, endpoint)
        self._metrics = metrics
        self._labels = labels
        self._errors: dict[str, Any] = {}
        self.requests = metrics.router_requests.labels(*labels, "true" if stream else "false")
        self.duration = metrics.router_request_duration.labels(*labels)
        self.ttft = metrics.router_ttft.labels("http", "regular", model, endpoint)
        self.overhead = metrics.gateway_overhead.labels(endpoint)
        self.selections = metrics.worker_selection.labels(*_WORKER, model, policy)
        self.retries = metrics.worker_retries.labels("regular", endpoint)
        self.retries_exhausted = metrics.worker_retries_exhausted.labels("regular", endpoint)
        self.retries_suppressed = metrics.worker_retries_suppressed.labels("regular", endpoint)

    def failed(self, status: int) -> None:
        """The final answer is an error of this status."""
        kind = error_type(status)
        child = self._errors.get(kind)
        if child is None:
            child = self._metrics.router_request_errors.labels(*self._labels, kind)
            self._errors[kind] = child
        child.inc()


class BackendSeries:
    """All children of the backend; the table is bounded like the `model` label."""

    LIMIT = 8192

    def __init__(self, metrics: GatewayMetrics) -> None:
        self._metrics = metrics
        self._relays: dict[tuple[str, str, bool, str], RelaySeries] = {}
        self._upstream: dict[tuple[int, str], Any] = {}
        self.resends = metrics.router_upstream_send_retries.labels("http")

    def relay(self, model: str, endpoint: str, stream: bool, policy: str) -> RelaySeries:
        """Children of one kind of request; call only for models that are registered, or with
        `other`.
        """
        key = (model, endpoint, stream, policy)
        series = self._relays.get(key)
        if series is None:
            if len(self._relays) >= self.LIMIT:
                self._relays.clear()
            series = RelaySeries(self._metrics, model, endpoint, stream, policy)
            self._relays[key] = series
        return series

    def upstream(self, status: int, code: str = "") -> None:
        """One attempt ended with `status`, or with our error `code`."""
        child = self._upstream.get((status, code))
        if child is None:
            child = self._metrics.router_upstream_responses.labels("http", str(status), code)
            self._upstream[status, code] = child
        child.inc()
        if status >= 500:
            self._metrics.worker_errors.labels(*_WORKER, error_type(status)).inc()

    def backoff(self, attempt: int, seconds: float) -> None:
        """The pause after attempt number `attempt` (1 = the first)."""
        self._metrics.worker_retry_backoff.labels(str(min(attempt, 10))).observe(seconds)

    def cut(self, reason: str) -> None:
        """A stream ended by a fault after its head."""
        self._metrics.upstream_streams_cut.labels(reason).inc()
