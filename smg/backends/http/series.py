"""Metric children of the HTTP backend, resolved once per (model, endpoint, streaming)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smg.observability.families import GatewayMetrics
    from smg.observability.metrics import Counter, Histogram


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
    """What one kind of request counts. `backend` is the label `backend_type`, `role` the type of
    the workers that answer.
    """

    def __init__(
        self,
        metrics: GatewayMetrics,
        model: str,
        endpoint: str,
        stream: bool,
        policy: str,
        backend: str = "regular",
        role: str = "regular",
    ) -> None:
        model = metrics.models.admit(model)
        labels = ("http", backend, "http", model, endpoint)
        self._metrics = metrics
        self._labels = labels
        self._errors: dict[str, Any] = {}
        self.requests = metrics.router_requests.labels(*labels, "true" if stream else "false")
        self.duration = metrics.router_request_duration.labels(*labels)
        self._stream = ("http", backend, model, endpoint)
        self._ttft: Histogram | None = None
        self._generation: Histogram | None = None
        self._tpot: Histogram | None = None
        self._input: Counter | None = None
        self._output: Counter | None = None
        self.overhead = metrics.gateway_overhead.labels(endpoint)
        self.selections = metrics.worker_selection.labels(role, "http", model, policy)
        self.retries = metrics.worker_retries.labels(role, endpoint)
        self.retries_exhausted = metrics.worker_retries_exhausted.labels(role, endpoint)
        self.retries_suppressed = metrics.worker_retries_suppressed.labels(role, endpoint)

    def failed(self, status: int) -> None:
        """The final answer is an error of this status."""
        kind = error_type(status)
        child = self._errors.get(kind)
        if child is None:
            child = self._metrics.router_request_errors.labels(*self._labels, kind)
            self._errors[kind] = child
        child.inc()

    def first_byte(self, seconds: float) -> None:
        """The body of a stream began `seconds` after its dispatch."""
        if self._ttft is None:
            self._ttft = self._metrics.router_ttft.labels(*self._stream)
        self._ttft.observe(seconds)

    def stream_ended(
        self, seconds: float, since_first: float, prompt: int | None, answer: int | None
    ) -> None:
        """A stream was complete `seconds` after its dispatch and `since_first` after its first
        byte, and told how many tokens there were, or did not (None).

        Series of tokens exist once somebody told: a rate of 0 would look like an answer.
        """
        metrics, labels = self._metrics, self._stream
        if self._generation is None:
            self._generation = metrics.router_generation_duration.labels(*labels)
        self._generation.observe(seconds)
        if prompt is not None:
            if self._input is None:
                self._input = metrics.router_tokens.labels(*labels, "input")
            self._input.inc(prompt)
        if answer is None:
            return
        if self._output is None:
            self._output = metrics.router_tokens.labels(*labels, "output")
        self._output.inc(answer)
        if answer > 1 and since_first > 0:
            if self._tpot is None:
                self._tpot = metrics.router_tpot.labels(*labels)
            self._tpot.observe(since_first / (answer - 1))


class BackendSeries:
    """All children of the backend; the table is bounded like the `model` label. Other arguments:
    `RelaySeries`.
    """

    LIMIT = 8192

    def __init__(
        self, metrics: GatewayMetrics, backend: str = "regular", role: str = "regular"
    ) -> None:
        self._metrics = metrics
        self._kind = (backend, role)
        self._relays: dict[tuple[str, str, bool, str], RelaySeries] = {}
        self._upstream: dict[tuple[int, str], Counter] = {}
        #: the status of the last answer that was the worker's own, and its child
        self._status = 0
        self._answers: Counter | None = None
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
            series = RelaySeries(self._metrics, model, endpoint, stream, policy, *self._kind)
            self._relays[key] = series
        return series

    def upstream(self, status: int, code: str = "", reached: bool = True) -> None:
        """One attempt ended with `status`, or with our error `code`. `reached`: there was a worker
        to answer for it.
        """
        child = self._answers
        if child is None or status != self._status or code:
            child = self._upstream.get((status, code))
            if child is None:
                child = self._metrics.router_upstream_responses.labels("http", str(status), code)
                self._upstream[status, code] = child
            if not code:
                self._status = status
                self._answers = child
        child.inc()
        if status >= 500 and reached:
            self.worker_error(error_type(status))

    def worker_error(self, kind: str) -> None:
        """An attempt ended by its worker's fault."""
        self._metrics.worker_errors.labels(self._kind[1], "http", kind).inc()

    def backoff(self, attempt: int, seconds: float) -> None:
        """The pause after attempt number `attempt` (1 = the first)."""
        self._metrics.worker_retry_backoff.labels(str(min(attempt, 10))).observe(seconds)

    def shed(self, stage: str) -> None:
        """A request was refused because of overloaded workers."""
        self._metrics.worker_overload_shed.labels(stage).inc()

    def cut(self, reason: str) -> None:
        """A stream ended by a fault after its head."""
        self._metrics.upstream_streams_cut.labels(reason).inc()
