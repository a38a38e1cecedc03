"""Metric children of prefill/decode pairs, resolved once per model and policy (operations 1.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smg.backends.http.series import BackendSeries

if TYPE_CHECKING:
    from smg.observability.families import GatewayMetrics


class PairSeries:
    """What the pairs of one model count, besides what every request does."""

    def __init__(self, metrics: GatewayMetrics, model: str, runtime: str, policy: str) -> None:
        model = metrics.models.admit(model)
        labels = ("pd", model, runtime)
        self._metrics = metrics
        self.selections = metrics.worker_selection.labels("prefill", "http", model, policy)
        self.prefill_duration = metrics.pd_prefill_duration.labels(*labels)
        self.transfer_duration = metrics.pd_kv_transfer_duration.labels(*labels)
        self.ttft = metrics.pd_ttft.labels(*labels)
        self.transfer_failures = metrics.pd_kv_transfer_failures.labels()
        self._retries: dict[str, Any] = {}
        self._modes: dict[str, Any] = {}

    def retried(self, endpoint: str) -> None:
        """A new pair is chosen."""
        child = self._retries.get(endpoint)
        if child is None:
            child = self._metrics.worker_retries.labels("prefill", endpoint)
            self._retries[endpoint] = child
        child.inc()

    def mode(self, connector: str) -> None:
        """A request goes to a vLLM pair with this connector: mooncake, nixl or passthrough."""
        child = self._modes.get(connector)
        if child is None:
            child = self._modes[connector] = self._metrics.pd_kv_connector_mode.labels(connector)
        child.inc()


class PairBackendSeries(BackendSeries):
    """The children of the backend; a failed attempt counts for both roles."""

    def __init__(self, metrics: GatewayMetrics) -> None:
        super().__init__(metrics, "pd", "decode")

    def worker_error(self, kind: str) -> None:
        """An attempt ended by a worker's fault."""
        for role in ("prefill", "decode"):
            self._metrics.worker_errors.labels(role, "http", kind).inc()
