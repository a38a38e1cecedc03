"""`RouterConfig`: what the gateway was told, checked and frozen.

One field per available flag, named as the flag with `_`; the defaults come from the flag table. The
rest of the program reads this object and never a flag.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from smg.config.flags import default


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterConfig:
    """All settings of one gateway.

    Durations are in seconds, sizes in bytes; 0 means off where the flag says so.
    """

    # Listening and workers
    config: str | None = default("config")
    host: str = default("host")
    port: int = default("port")
    health_check_port: int | None = default("health-check-port")
    worker_urls: tuple[str, ...] = default("worker-urls")
    backend: str | None = default("backend")
    upstream_pool_idle_timeout_secs: int = default("upstream-pool-idle-timeout-secs")
    worker_startup_timeout_secs: int = default("worker-startup-timeout-secs")
    worker_startup_delay: int = default("worker-startup-delay")
    worker_startup_check_interval: int = default("worker-startup-check-interval")
    job_queue_capacity: int = default("job-queue-capacity")
    job_queue_concurrency: int = default("job-queue-concurrency")
    drain_settle_secs: int = default("drain-settle-secs")
    dp_aware: bool = default("dp-aware")

    # Routing
    policy: str = default("policy")
    cache_threshold: float = default("cache-threshold")
    balance_abs_threshold: int = default("balance-abs-threshold")
    balance_rel_threshold: float = default("balance-rel-threshold")
    balance_token_usage_threshold: float = default("balance-token-usage-threshold")
    overload_token_usage_threshold: float = default("overload-token-usage-threshold")
    eviction_interval: int = default("eviction-interval")
    max_tree_size: int = default("max-tree-size")
    block_size: int = default("block-size")
    least_load_kv_pressure_weight: float = default("least-load-kv-pressure-weight")
    least_load_default_throughput: float = default("least-load-default-throughput")
    least_load_mean_prefill_tokens: int = default("least-load-mean-prefill-tokens")
    least_load_max_waiting_requests: int = default("least-load-max-waiting-requests")
    cache_boundaries: Sequence[int] = default("cache-boundaries")
    prefix_token_count: int = default("prefix-token-count")
    prefix_hash_load_factor: float = default("prefix-hash-load-factor")
    prefix_hash_balance_abs_threshold: int = default("prefix-hash-balance-abs-threshold")
    bucket_adjust_interval_secs: int = default("bucket-adjust-interval-secs")
    max_idle_secs: int = default("max-idle-secs")
    assignment_mode: str | None = default("assignment-mode")
    routing_key_override: bool = default("routing-key-override")
    routing_key_headers: tuple[str, ...] = default("routing-key-headers")
    explain_routing: bool = default("explain-routing")
    enable_igw: bool = default("enable-igw")
    model_alias: Sequence[tuple[str, str]] = default("model-alias")  # alias, canonical id
    worker_overload_protection: bool = default("worker-overload-protection")
    worker_overload_waiting_requests: int | None = default("worker-overload-waiting-requests")
    worker_overload_token_usage: float | None = default("worker-overload-token-usage")
    load_monitor_interval: int = default("load-monitor-interval")
    disable_load_monitoring: bool = default("disable-load-monitoring")
    engine_metrics: bool = default("engine-metrics")

    # Prefill and decode on different workers; prefill with bootstrap ports
    pd_disaggregation: bool = default("pd-disaggregation")
    prefill: Sequence[tuple[str, int | None]] = default("prefill")
    decode: Sequence[str] = default("decode")
    prefill_policy: str | None = default("prefill-policy")
    decode_policy: str | None = default("decode-policy")
    prefill_max_inflight_requests_per_worker: int = default(
        "prefill-max-inflight-requests-per-worker"
    )
    prefill_queue_size: int | None = default("prefill-queue-size")
    prefill_queue_timeout_secs: int | None = default("prefill-queue-timeout-secs")

    # Time limits
    request_timeout_secs: int = default("request-timeout-secs")
    shutdown_grace_period_secs: int = default("shutdown-grace-period-secs")
    stream_body_stall_timeout_secs: int = default("stream-body-stall-timeout-secs")
    header_read_timeout_secs: int = default("header-read-timeout-secs")
    idle_connection_timeout_secs: int = default("idle-connection-timeout-secs")
    upstream_connect_timeout_secs: int = default("upstream-connect-timeout-secs")
    upstream_first_byte_timeout_secs: int = default("upstream-first-byte-timeout-secs")
    upstream_idle_timeout_secs: int = default("upstream-idle-timeout-secs")

    # Requests; header names are lower-case
    max_payload_size: int = default("max-payload-size")
    cors_allowed_origins: tuple[str, ...] = default("cors-allowed-origins")
    request_id_headers: tuple[str, ...] = default("request-id-headers")
    forward_request_headers: tuple[str, ...] = default("forward-request-headers")
    sse_keepalive_secs: int = default("sse-keepalive-secs")

    # Keys: left out of the representation, which ends up in logs
    api_key: str | None = field(default=default("api-key"), repr=False)
    tenant_api_key: tuple[str, ...] = field(default=default("tenant-api-key"), repr=False)
    # (id, name, key, role)
    control_plane_api_keys: tuple[tuple[str, str, str, str], ...] = field(
        default=default("control-plane-api-keys"), repr=False
    )
    disable_audit_logging: bool = default("disable-audit-logging")
    control_plane_audit_enabled: bool = default("control-plane-audit-enabled")

    # Limits
    max_concurrent_requests: int = default("max-concurrent-requests")
    queue_size: int = default("queue-size")
    queue_timeout_secs: int = default("queue-timeout-secs")
    rate_limit_tokens_per_second: int | None = default("rate-limit-tokens-per-second")
    priority_scheduler_enabled: bool = default("priority-scheduler-enabled")
    priority_scheduler_default_max_class: str = default("priority-scheduler-default-max-class")
    priority_scheduler_config: str | None = default("priority-scheduler-config")
    priority_scheduler_tenant_metric_top_n: int = default("priority-scheduler-tenant-metric-top-n")
    tenant_rate_limit_enabled: bool = default("tenant-rate-limit-enabled")
    tenant_rate_limit_config: str | None = default("tenant-rate-limit-config")
    trust_tenant_header: bool = default("trust-tenant-header")
    tenant_header_name: str = default("tenant-header-name")

    # Reliability
    retry_max_retries: int = default("retry-max-retries")
    retry_initial_backoff_ms: int = default("retry-initial-backoff-ms")
    retry_max_backoff_ms: int = default("retry-max-backoff-ms")
    retry_backoff_multiplier: float = default("retry-backoff-multiplier")
    retry_jitter_factor: float = default("retry-jitter-factor")
    cb_failure_threshold: int = default("cb-failure-threshold")
    cb_success_threshold: int = default("cb-success-threshold")
    cb_timeout_duration_secs: int = default("cb-timeout-duration-secs")
    cb_window_duration_secs: int = default("cb-window-duration-secs")
    disable_retries: bool = default("disable-retries")
    disable_circuit_breaker: bool = default("disable-circuit-breaker")
    health_failure_threshold: int = default("health-failure-threshold")
    health_success_threshold: int = default("health-success-threshold")
    health_check_timeout_secs: int = default("health-check-timeout-secs")
    health_check_interval_secs: int = default("health-check-interval-secs")
    health_check_endpoint: str = default("health-check-endpoint")
    disable_health_check: bool = default("disable-health-check")
    remove_unhealthy_workers: bool = default("remove-unhealthy-workers")

    # Tokenizers and parsers
    model_path: str | None = default("model-path")
    tokenizer_path: str | None = default("tokenizer-path")
    chat_template: str | None = default("chat-template")
    disable_tokenizer_autoload: bool = default("disable-tokenizer-autoload")
    tokenizer_cache_enable_l0: bool = default("tokenizer-cache-enable-l0")
    tokenizer_cache_l0_max_entries: int = default("tokenizer-cache-l0-max-entries")
    tokenizer_cache_l0_max_memory: int = default("tokenizer-cache-l0-max-memory")
    tokenizer_cache_enable_l1: bool = default("tokenizer-cache-enable-l1")
    tokenizer_cache_l1_max_memory: int = default("tokenizer-cache-l1-max-memory")
    reasoning_parser: str | None = default("reasoning-parser")
    tool_call_parser: str | None = default("tool-call-parser")

    # Logs and metrics
    log_level: str = default("log-level")
    log_dir: str | None = default("log-dir")
    log_json: bool = default("log-json")
    prometheus_port: int = default("prometheus-port")
    prometheus_host: str = default("prometheus-host")
    prometheus_duration_buckets: tuple[float, ...] = default("prometheus-duration-buckets")

    # Traces
    enable_trace: bool = default("enable-trace")
    otlp_traces_endpoint: str = default("otlp-traces-endpoint")
    trace_sampling_ratio: float = default("trace-sampling-ratio")

    @property
    def secrets(self) -> list[str]:
        """Every key, for whoever must not show any."""
        keys = [] if self.api_key is None else [self.api_key]
        keys += (entry.partition(":")[2] for entry in self.tenant_api_key)
        return [*keys, *(key for _, _, key, _ in self.control_plane_api_keys)]

    @property
    def role_policies(self) -> dict[str, str]:
        """The policy of each role that requests are sent to."""
        if not self.pd_disaggregation:
            return {"regular": self.policy}
        return {
            "prefill": self.prefill_policy or self.policy,
            "decode": self.decode_policy or self.policy,
        }

    @property
    def bind_host(self) -> str:
        """`host` as sockets want it: an IPv6 address without its brackets."""
        return unbracketed(self.host)

    @property
    def prometheus_bind_host(self) -> str:
        """`prometheus_host` without brackets."""
        return unbracketed(self.prometheus_host)

    @property
    def listening(self) -> str:
        """HOST:PORT as people write it, IPv6 in brackets."""
        host = self.bind_host
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    @property
    def mode_name(self) -> str:
        """The routing mode for the banner and the log."""
        if self.enable_igw:
            return "IGW (Inference Gateway)"
        if self.pd_disaggregation:
            return "Prefill/decode"
        return f"Regular ({self.backend})" if self.backend else "Regular"


def unbracketed(host: str) -> str:
    """`[::1]` to `::1`; everything else as it is."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host
