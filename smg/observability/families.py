"""Every metric family the gateway writes today, one attribute each (operations 1.5).

Names, labels and buckets are a contract with dashboards and alerts. `docs/reference/metrics.md` is
generated from here. Who records resolves children once and keeps them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from smg.observability.metrics import BoundedLabels, CounterFamily, GaugeFamily, Registry

# 10 us to 100 ms in steps 1-2-5.
OVERHEAD_BUCKETS = (
    *(0.00001, 0.00002, 0.00005, 0.0001, 0.0002, 0.0005),
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1),
)
RATIO_BUCKETS = tuple(step / 10 for step in range(1, 11))
LOOP_DELAY_BUCKETS = (0.0, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)

_ROUTER = ("router_type", "backend_type", "connection_mode", "model", "endpoint")
_STREAM = ("router_type", "backend_type", "model", "endpoint")
_WORKER = ("worker_type", "connection_mode")


class GatewayMetrics:
    """The families; `duration_buckets` replaces the buckets of those that measure a duration.

    `models` bounds the label `model`: pass model names through `models.admit` before `labels`.
    """

    def __init__(self, registry: Registry, duration_buckets: Iterable[float] | None = None) -> None:
        self.registry = registry
        self.models = BoundedLabels()
        durations = None if duration_buckets is None else tuple(duration_buckets)
        self._edge(registry, durations)
        self._router(registry, durations)
        self._workers(registry)
        self._reliability(registry)
        self._scheduler(registry)
        self._pairs(registry, durations)
        self._policies(registry)
        self._tokenizers(registry)
        self._engine(registry)
        self._process(registry)

    def _edge(self, registry: Registry, durations: tuple[float, ...] | None) -> None:
        self.http_requests = registry.counter(
            "smg_http_requests_total",
            "Request heads received, before any check.",
            ("method", "path"),
        )
        self.http_request_duration = registry.histogram(
            "smg_http_request_duration_seconds",
            "Request head received to response head ready; a stream's body is not included.",
            ("method", "path"),
            durations,
        )
        self.http_responses = registry.counter(
            "smg_http_responses_total",
            "Responses; error_code is the gateway's own code, empty for relayed errors.",
            ("path", "status_code", "error_code"),
        )
        self.http_connections_active = registry.gauge(
            "smg_http_connections_active",
            "Requests in flight until the end of their response body; requests, not sockets.",
        )
        self.http_open_connections = registry.gauge(
            "smg_http_open_connections", "Client sockets that are open."
        )
        self.http_inflight_request_age = registry.gauge(
            "smg_http_inflight_request_age_count",
            "Requests in flight by age in seconds, greater than gt up to le; not cumulative.",
            ("gt", "le"),
        )

    def _router(self, registry: Registry, durations: tuple[float, ...] | None) -> None:
        self.router_requests = registry.counter(
            "smg_router_requests_total",
            "Requests to be routed, once per client request, before a worker is chosen.",
            (*_ROUTER, "streaming"),
        )
        self.router_request_duration = registry.histogram(
            "smg_router_request_duration_seconds",
            "Duration of successful requests with retries; of streams until the head is ready.",
            _ROUTER,
            durations,
        )
        self.router_request_errors = registry.counter(
            "smg_router_request_errors_total",
            "Requests whose final response is an error.",
            (*_ROUTER, "error_type"),
        )
        self.router_upstream_responses = registry.counter(
            "smg_router_upstream_responses_total",
            "Attempts by outcome, also those that ended before a worker was reached.",
            ("router_type", "status_code", "error_code"),
        )
        self.router_upstream_send_retries = registry.counter(
            "smg_router_upstream_send_retries_total",
            "Requests sent again because a reused connection turned out to be closed.",
            ("router_type",),
        )
        self.upstream_streams_cut = registry.counter(
            "smg_upstream_streams_cut_total",
            "Streams that ended by a fault: upstream_stream_cut, upstream_stream_timeout or"
            " gateway_shutdown.",
            ("reason",),
        )
        self.router_ttft = registry.histogram(
            "smg_router_ttft_seconds",
            "Dispatch to the first byte of a stream's body.",
            _STREAM,
            durations,
        )
        self.router_tpot = registry.histogram(
            "smg_router_tpot_seconds",
            "Mean time between two tokens of a stream that told its usage.",
            _STREAM,
            durations,
        )
        self.router_generation_duration = registry.histogram(
            "smg_router_generation_duration_seconds",
            "Dispatch to the end of a stream that was complete.",
            _STREAM,
            durations,
        )
        self.router_tokens = registry.counter(
            "smg_router_tokens_total",
            "Tokens of streams that told their usage; token_type is input or output.",
            (*_STREAM, "token_type"),
        )
        self.gateway_overhead = registry.histogram(
            "smg_gateway_overhead_seconds",
            "Time the gateway itself adds: head received to first byte sent to the worker, plus"
            " first byte from the worker to first byte sent to the client; time in the queue, of"
            " failed attempts and of pauses between attempts excluded.",
            ("endpoint",),
            OVERHEAD_BUCKETS,
        )

    def _reliability(self, registry: Registry) -> None:
        kind = ("worker_type", "endpoint")
        self.worker_retries = registry.counter(
            "smg_worker_retries_total", "Further attempts after one that failed.", kind
        )
        self.worker_retries_exhausted = registry.counter(
            "smg_worker_retries_exhausted_total",
            "Requests whose last attempt failed in a way that could be repeated.",
            kind,
        )
        self.worker_retries_suppressed = registry.counter(
            "smg_worker_retries_suppressed_total",
            "Retries not made because the retry budget was spent.",
            kind,
        )
        self.worker_retry_backoff = registry.histogram(
            "smg_worker_retry_backoff_seconds",
            "Pause after the attempt of this number; 10 stands for all later ones.",
            ("attempt",),
        )
        self.http_rate_limit = registry.counter(
            "smg_http_rate_limit_total",
            "Requests that met the concurrency limit: allowed or rejected.",
            ("result",),
        )
        self.admission_queue_depth = registry.gauge(
            "smg_admission_queue_depth", "Requests that wait for a permit."
        )
        self.admission_queue_rejected = registry.counter(
            "smg_admission_queue_rejected_total",
            "Requests refused because the queue was full, or that waited too long.",
            ("reason",),
        )
        self.admission_inflight = registry.gauge(
            "smg_admission_inflight", "Permits of the concurrency limit in use."
        )
        self.workers_overloaded = registry.gauge(
            "smg_workers_overloaded",
            "Workers left out because they report too much work.",
            ("model",),
        )
        self.worker_overload_shed = registry.counter(
            "smg_worker_overload_shed_total",
            "Requests refused because of overloaded workers, at stage selection, or dispatch: the"
            " worker became overloaded while the gateway connected to it.",
            ("stage",),
        )
        self.worker_cb_state = registry.gauge(
            "smg_worker_cb_state",
            "State of the worker's circuit breaker: 0 closed, 1 open, 2 half-open.",
            ("worker",),
        )
        self.worker_cb_transitions = registry.counter(
            "smg_worker_cb_transitions_total",
            "Changes of state of the worker's circuit breaker.",
            ("worker", "from", "to"),
        )
        self.worker_cb_outcomes = registry.counter(
            "smg_worker_cb_outcomes_total",
            "Requests by what they said about the worker: success or failure.",
            ("worker", "outcome"),
        )
        self.worker_cb_consecutive_failures = registry.gauge(
            "smg_worker_cb_consecutive_failures",
            "Failures in a row within the window.",
            ("worker",),
        )
        self.worker_cb_consecutive_successes = registry.gauge(
            "smg_worker_cb_consecutive_successes", "Successes in a row.", ("worker",)
        )

    def _scheduler(self, registry: Registry) -> None:
        self.scheduler_admit = registry.counter(
            "smg_scheduler_admit_total",
            "Requests by priority class and outcome: admitted, rejected_queue_full,"
            " rejected_queue_timeout, preempted or client_cancelled.",
            ("class", "outcome"),
        )
        self.scheduler_queue_wait = registry.histogram(
            "smg_scheduler_queue_wait_seconds",
            "Time in the queue of the class, however it ended.",
            ("class",),
        )
        self.scheduler_preemption = registry.counter(
            "smg_scheduler_preemption_total",
            "Requests that made way for one of a higher class.",
            ("victim_class", "by_class"),
        )
        self.scheduler_clamp = registry.counter(
            "smg_scheduler_clamp_total",
            "Requests that asked for a higher class than their tenant may have.",
            ("tenant", "requested_class", "effective_class"),
        )
        self.scheduler_unknown_priority = registry.counter(
            "smg_scheduler_unknown_priority_value_total",
            "Requests whose x-smg-priority names no class; they count as default.",
            ("tenant",),
        )
        self.scheduler_promotion = registry.counter(
            "smg_scheduler_starvation_promotion_total",
            "Requests let in before all others because they had waited too long.",
            ("class",),
        )
        self.scheduler_inflight = registry.gauge(
            "smg_scheduler_inflight", "Permits in use.", ("class",)
        )
        self.scheduler_queue_depth = registry.gauge(
            "smg_scheduler_queue_depth", "Requests that wait for a permit.", ("class",)
        )
        self.scheduler_queue_limit = registry.gauge(
            "smg_scheduler_queue_size_limit", "Requests that may wait.", ("class",)
        )
        self.scheduler_pressure = registry.gauge(
            "smg_scheduler_class_capacity_pressure",
            "0 to 1: how full the queue is, or how much of what is not kept for higher classes the"
            " class uses beyond its own, whichever is more.",
            ("class",),
        )
        self.scheduler_utilization = registry.gauge(
            "smg_scheduler_utilization", "Permits in use, of all there are."
        )

    def _workers(self, registry: Registry) -> None:
        self.worker_pool_size = registry.gauge(
            "smg_worker_pool_size", "Registered workers.", (*_WORKER, "model")
        )
        self.worker_connections_active = registry.gauge(
            "smg_worker_connections_active", "Open connections to workers.", _WORKER
        )
        self.worker_requests_active = registry.gauge(
            "smg_worker_requests_active", "Requests in flight on the worker.", ("worker",)
        )
        self.worker_health = registry.gauge(
            "smg_worker_health", "1 if the worker is ready, else 0.", ("worker",)
        )
        self.worker_health_checks = registry.counter(
            "smg_worker_health_checks_total",
            "Probes of workers; result is success or failure.",
            ("worker_type", "result"),
        )
        self.worker_selection = registry.counter(
            "smg_worker_selection_total",
            "Workers chosen.",
            (*_WORKER, "model", "policy"),
        )
        self.worker_errors = registry.counter(
            "smg_worker_errors_total",
            "Attempts that ended with a 5xx or a transport error.",
            (*_WORKER, "error_type"),
        )

    def _pairs(self, registry: Registry, durations: tuple[float, ...] | None) -> None:
        labels = ("backend_type", "model", "runtime")
        self.pd_prefill_duration = registry.histogram(
            "smg_pd_prefill_duration_seconds",
            "Prefill leg, from the request to the end of its answer.",
            labels,
            durations,
        )
        self.pd_kv_transfer_duration = registry.histogram(
            "smg_pd_kv_transfer_duration_seconds",
            "Between prefill's answer and the request to decode, where decode waits for prefill.",
            labels,
            durations,
        )
        self.pd_ttft = registry.histogram(
            "smg_pd_ttft_seconds",
            "From the request to a pair to the head of its answer.",
            labels,
            durations,
        )
        self.pd_kv_connector_mode = registry.counter(
            "smg_pd_kv_connector_mode_total",
            "Requests to vLLM pairs: mooncake, nixl or passthrough.",
            ("mode",),
        )
        self.pd_kv_transfer_failures = registry.counter(
            "smg_pd_kv_transfer_failures_total",
            "NIXL prefills that returned nothing for decode to take.",
        )
        self.pd_prefill_inflight = registry.gauge(
            "smg_pd_prefill_admission_inflight",
            "Slots of a prefill worker in use, while their number is limited.",
            ("worker",),
        )
        self.pd_prefill_queued = registry.gauge(
            "smg_pd_prefill_admission_queued", "Requests that wait for a prefill worker."
        )
        self.pd_prefill_wait = registry.histogram(
            "smg_pd_prefill_admission_wait_seconds",
            "Time that a request waited for a prefill worker, however it ended.",
        )
        self.pd_prefill_rejections = registry.counter(
            "smg_pd_prefill_admission_rejections_total",
            "Requests that got no prefill worker: queue_full, queue_timeout, or unavailable, when "
            "none was left to wait for.",
            ("reason",),
        )

    def _policies(self, registry: Registry) -> None:
        def branches(policy: str) -> CounterFamily:
            return registry.counter(
                f"smg_{policy}_policy_branch_total",
                f"Decisions of the policy {policy}, by the rule that made them.",
                ("branch",),
            )

        self.cache_aware_branch = branches("cache_aware")
        self.consistent_hashing_branch = branches("consistent_hashing")
        self.manual_branch = branches("manual")
        self.prefix_hash_branch = branches("prefix_hash")
        self.cache_aware_matched_ratio = registry.histogram(
            "smg_cache_aware_matched_ratio",
            "Share of the prompt that a worker was found to hold.",
            (),
            RATIO_BUCKETS,
        )
        self.cache_tree_chars = registry.gauge(
            "smg_cache_tree_chars", "Characters in the routing tree, over all workers.", ("model",)
        )
        self.cache_tree_tokens = registry.gauge(
            "smg_cache_tree_tokens", "Tokens in the routing tree, over all workers.", ("model",)
        )
        self.cache_tree_tenants = registry.gauge(
            "smg_cache_tree_tenants",
            "Workers that hold something in the routing tree.",
            ("model", "tree"),
        )
        self.manual_cache_entries = registry.gauge(
            "smg_manual_policy_cache_entries", "Remembered routing keys."
        )
        self.routing_key_source = registry.counter(
            "smg_routing_key_source_total", "Where a request's routing key came from.", ("source",)
        )
        self.worker_routing_keys_active = registry.gauge(
            "smg_worker_routing_keys_active",
            "Distinct routing keys with requests in flight on the worker.",
            ("worker",),
        )

    def _tokenizers(self, registry: Registry) -> None:
        def counter(name: str, help: str) -> CounterFamily:
            return registry.counter(f"smg_tokenizer_cache_{name}_total", help, ("tokenizer",))

        def gauge(name: str, help: str) -> GaugeFamily:
            return registry.gauge(f"smg_tokenizer_cache_{name}", help, ("tokenizer",))

        self.tokenizer_cache_l0_hits = counter("l0_hits", "Texts whose ids were known.")
        self.tokenizer_cache_l0_misses = counter("l0_misses", "Texts that were encoded.")
        self.tokenizer_cache_l0_entries = gauge("l0_entries", "Texts whose ids are kept.")
        self.tokenizer_cache_l1_hits = counter(
            "l1_hits", "Texts whose first piece, at least, was known."
        )
        self.tokenizer_cache_l1_misses = counter("l1_misses", "Texts whose first piece was new.")
        self.tokenizer_cache_l1_memory = gauge(
            "l1_memory_bytes", "Memory of the pieces that are kept."
        )

    def _engine(self, registry: Registry) -> None:
        def gauge(name: str, help: str) -> GaugeFamily:
            return registry.gauge(f"smg_engine_{name}", help, ("worker", "model", "dp_rank"))

        self.engine_running_requests = gauge("running_requests", "Requests that the engine runs.")
        self.engine_waiting_requests = gauge(
            "waiting_requests", "Requests that wait in the engine."
        )
        self.engine_token_usage = gauge("token_usage", "Share of the KV cache in use, 0 to 1.")
        self.engine_gen_throughput = gauge("gen_throughput", "Tokens that are generated a second.")
        self.engine_cache_hit_rate = gauge(
            "cache_hit_rate", "Share of prompt tokens found in the prefix cache, 0 to 1."
        )

        self.engine_report_age = registry.gauge(
            "smg_engine_report_age_seconds",
            "Time since the engine last said what load it has.",
            ("worker",),
        )

        def pd_gauge(name: str, help: str) -> GaugeFamily:
            return registry.gauge(f"smg_engine_pd_{name}", help, ("worker", "role", "dp_rank"))

        self.engine_pd_kv_transfer_latency = pd_gauge(
            "kv_transfer_latency_ms", "Time that a transfer of KV cache takes."
        )
        self.engine_pd_kv_transfer_speed = pd_gauge(
            "kv_transfer_speed_gb_s", "Speed of a transfer of KV cache."
        )
        self.engine_pd_prefill_queue = pd_gauge(
            "prefill_queue_reqs", "Requests that wait for their prefill."
        )
        self.engine_pd_decode_queue = pd_gauge(
            "decode_queue_reqs", "Requests that wait to be decoded."
        )

    def _process(self, registry: Registry) -> None:
        self.build_info = registry.gauge(
            "smg_build_info", "1; the labels say what runs.", ("version", "python", "event_loop")
        )
        self.event_loop_delay = registry.histogram(
            "smg_event_loop_delay_seconds",
            "How late a timer of the event loop fires: every 10 ms, every 50 while idle.",
            buckets=LOOP_DELAY_BUCKETS,
        )
        self.event_loop_stalls = registry.counter(
            "smg_event_loop_stalls_total", "Timers of the event loop more than 5 ms late."
        )
        self.event_loop_tasks = registry.gauge(
            "smg_event_loop_tasks", "Tasks alive on the event loop."
        )
        self.loop_stalls = registry.counter(
            "smg_loop_stalls_total",
            "Times the event loop stood still for more than 100 ms; the log has its stack.",
        )
        self.loop_stall_max = registry.gauge(
            "smg_loop_stall_max_seconds", "Longest of them since the start."
        )
        self.config_reloads = registry.counter(
            "smg_config_reloads_total",
            "Times the settings were read again; result is success or failed.",
            ("result",),
        )
        self.config_last_reload_successful = registry.gauge(
            "smg_config_last_reload_successful",
            "1 if the settings in force are those last read, 0 after a reload that failed.",
        )

    def set_build_info(self, version: str, event_loop: str) -> None:
        """Say once which gateway, Python and event loop (`uvloop`, `asyncio`) run."""
        python = ".".join(map(str, sys.version_info[:3]))
        self.build_info.labels(version, python, event_loop).set(1.0)

    def remove_worker(self, worker: str) -> None:
        """Delete the gauges of a worker that is gone; its share of the counters stays."""
        for family in (
            self.worker_requests_active,
            self.worker_health,
            self.worker_routing_keys_active,
            self.pd_prefill_inflight,
        ):
            family.remove(worker)
