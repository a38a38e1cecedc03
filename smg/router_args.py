"""`RouterArgs`: the router flags as a Python object (cli 12).

A public contract: field names and their order stay, new fields go to the end. Defaults come from
the flag table, except where the reference's class differs from its command line.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from smg.config import args as flag_args
from smg.config import items
from smg.config.flags import default
from smg.config.parse import Loaded, resolve
from smg.core.errors import ConfigError

log = logging.getLogger(__name__)


@dataclass
class RouterArgs:
    """Arguments of one gateway. A value that equals its default counts as not given."""

    worker_urls: list[str] = field(default_factory=list)
    host: str = default("host")
    port: int = default("port")
    health_check_port: int | None = None
    pd_disaggregation: bool = False
    epd_disaggregation: bool = False
    encode_urls: list[tuple[str, int | None]] = field(default_factory=list)
    prefill_urls: list[tuple[str, int | None]] = field(default_factory=list)
    decode_urls: list[str] = field(default_factory=list)
    policy: str = default("policy")
    encode_policy: str = default("encode-policy")
    prefill_policy: str | None = None
    decode_policy: str | None = None
    worker_startup_timeout_secs: int = default("worker-startup-timeout-secs")
    worker_startup_check_interval: int = default("worker-startup-check-interval")
    load_monitor_interval: int = default("load-monitor-interval")
    cache_threshold: float = default("cache-threshold")
    balance_abs_threshold: int = default("balance-abs-threshold")
    balance_rel_threshold: float = default("balance-rel-threshold")
    balance_token_usage_threshold: float = default("balance-token-usage-threshold")
    overload_token_usage_threshold: float = default("overload-token-usage-threshold")
    eviction_interval_secs: int = default("eviction-interval")
    max_tree_size: int = default("max-tree-size")
    block_size: int = default("block-size")
    least_load_kv_pressure_weight: float = default("least-load-kv-pressure-weight")
    least_load_default_throughput: float = default("least-load-default-throughput")
    least_load_mean_prefill_tokens: int = default("least-load-mean-prefill-tokens")
    max_idle_secs: int = default("max-idle-secs")
    assignment_mode: str | None = None
    max_payload_size: int = default("max-payload-size")
    bucket_adjust_interval_secs: int = default("bucket-adjust-interval-secs")
    dp_aware: bool = False
    multimodal_tensor_transport: str | None = None
    multimodal_shm_min_bytes: int | None = None
    routing_key_override: bool = False
    dp_minimum_tokens_scheduler: bool = False
    enable_igw: bool = False
    api_key: str | None = field(default=None, repr=False)
    log_dir: str | None = None
    log_level: str | None = None
    log_json: bool = False
    service_discovery: bool = False
    selector: dict[str, str] = field(default_factory=dict)
    service_discovery_port: int = default("service-discovery-port")
    service_discovery_namespace: str | None = None
    encode_selector: dict[str, str] = field(default_factory=dict)
    prefill_selector: dict[str, str] = field(default_factory=dict)
    decode_selector: dict[str, str] = field(default_factory=dict)
    router_selector: dict[str, str] = field(default_factory=dict)
    bootstrap_port_annotation: str = "sglang.ai/bootstrap-port"
    worker_ports_annotation: str = "smg.ai/worker-ports"
    model_id_from: str | None = None
    prometheus_port: int | None = None
    prometheus_host: str | None = None
    prometheus_duration_buckets: list[float] = field(
        default_factory=lambda: list(default("prometheus-duration-buckets"))
    )
    request_id_headers: list[str] = field(
        default_factory=lambda: list(default("request-id-headers"))
    )
    storage_context_headers: dict[str, str] = field(default_factory=dict)
    request_timeout_secs: int = default("request-timeout-secs")
    shutdown_grace_period_secs: int = default("shutdown-grace-period-secs")
    max_concurrent_requests: int = default("max-concurrent-requests")
    queue_size: int = default("queue-size")
    queue_timeout_secs: int = default("queue-timeout-secs")
    rate_limit_tokens_per_second: int | None = None
    cors_allowed_origins: list[str] = field(default_factory=list)
    retry_max_retries: int = default("retry-max-retries")
    retry_initial_backoff_ms: int = default("retry-initial-backoff-ms")
    retry_max_backoff_ms: int = default("retry-max-backoff-ms")
    retry_backoff_multiplier: float = default("retry-backoff-multiplier")
    retry_jitter_factor: float = default("retry-jitter-factor")
    disable_retries: bool = False
    health_failure_threshold: int = default("health-failure-threshold")
    health_success_threshold: int = default("health-success-threshold")
    health_check_timeout_secs: int = default("health-check-timeout-secs")
    health_check_interval_secs: int = default("health-check-interval-secs")
    health_check_endpoint: str = default("health-check-endpoint")
    disable_health_check: bool = False
    remove_unhealthy_workers: bool = False
    cb_failure_threshold: int = default("cb-failure-threshold")
    cb_success_threshold: int = default("cb-success-threshold")
    cb_timeout_duration_secs: int = default("cb-timeout-duration-secs")
    cb_window_duration_secs: int = default("cb-window-duration-secs")
    disable_circuit_breaker: bool = False
    model_path: str | None = None
    tokenizer_path: str | None = None
    chat_template: str | None = None
    disable_tokenizer_autoload: bool = False
    tokenizer_cache_enable_l0: bool = False
    tokenizer_cache_l0_max_entries: int = default("tokenizer-cache-l0-max-entries")
    tokenizer_cache_enable_l1: bool = False
    tokenizer_cache_l1_max_memory: int = default("tokenizer-cache-l1-max-memory")
    reasoning_parser: str | None = None
    tool_call_parser: str | None = None
    mcp_config_path: str | None = None
    backend: str = "sglang"
    enable_wasm: bool = False
    storage_hook_wasm_path: str | None = None
    history_backend: str = default("history-backend")
    oracle_wallet_path: str | None = None
    oracle_tns_alias: str | None = None
    oracle_connect_descriptor: str | None = None
    oracle_username: str | None = None
    oracle_password: str | None = field(default=None, repr=False)
    oracle_external_auth: bool = False
    oracle_pool_min: int = default("oracle-pool-min")
    oracle_pool_max: int = default("oracle-pool-max")
    oracle_pool_timeout_secs: int = default("oracle-pool-timeout-secs")
    postgres_db_url: str | None = field(default=None, repr=False)
    postgres_pool_max: int = default("postgres-pool-max-size")
    redis_url: str | None = field(default=None, repr=False)
    redis_pool_max: int = default("redis-pool-max-size")
    redis_retention_days: int = default("redis-retention-days")
    schema_config: str | None = None
    client_cert_path: str | None = None
    client_key_path: str | None = None
    ca_cert_paths: list[str] = field(default_factory=list)
    server_cert_path: str | None = None
    server_key_path: str | None = None
    enable_trace: bool = False
    otlp_traces_endpoint: str = default("otlp-traces-endpoint")
    control_plane_api_keys: list[tuple[str, str, str, str]] = field(
        default_factory=list, repr=False
    )
    control_plane_audit_enabled: bool = False
    jwt_issuer: str | None = None
    jwt_audience: str | None = None
    jwt_jwks_uri: str | None = None
    jwt_role_mapping: dict[str, str] = field(default_factory=dict)
    enable_mesh: bool = False
    mesh_server_name: str | None = None
    mesh_host: str = default("mesh-host")
    mesh_advertise_host: str | None = None
    mesh_port: int = default("mesh-port")
    mesh_peer_urls: list[str] = field(default_factory=list)
    model_aliases: dict[str, str] = field(default_factory=dict)
    worker_startup_delay: int = default("worker-startup-delay")
    zmq_engine_count: int | None = None
    prefix_token_count: int = default("prefix-token-count")
    prefix_hash_load_factor: float = default("prefix-hash-load-factor")
    prefix_hash_balance_abs_threshold: int = default("prefix-hash-balance-abs-threshold")
    upstream_http2: bool = False
    overlap_decay: float = default("overlap-decay")
    selection_temperature: float = default("selection-temperature")
    upstream_pool_idle_timeout_secs: int = default("upstream-pool-idle-timeout-secs")
    least_load_max_waiting_requests: int = default("least-load-max-waiting-requests")
    stream_request_bodies_over: int = default("stream-request-bodies-over")
    stream_body_stall_timeout_secs: int = default("stream-body-stall-timeout-secs")
    routing_key_headers: list[str] = field(
        default_factory=lambda: list(default("routing-key-headers"))
    )
    cache_boundaries: list[int] = field(default_factory=list)
    cache_index: str = default("cache-index")
    cache_ttl_secs: int = default("cache-ttl-secs")
    job_queue_capacity: int = default("job-queue-capacity")
    job_queue_concurrency: int = default("job-queue-concurrency")
    worker_overload_waiting_requests: int | None = None
    worker_overload_token_usage: float | None = None
    worker_overload_protection: bool = False
    disable_load_monitoring: bool = False

    # Not in the public order of the reference; new fields go last.
    config: str | None = None
    kv_indexer_ttl_secs: int | None = None
    kv_indexer_max_entries: int | None = None
    prefill_max_inflight_requests_per_worker: int = -1
    prefill_queue_size: int | None = None
    prefill_queue_timeout_secs: int | None = None
    engine_metrics: bool = False
    service_discovery_protocol: str | None = None
    explain_routing: bool = False
    header_read_timeout_secs: int = default("header-read-timeout-secs")
    idle_connection_timeout_secs: int = default("idle-connection-timeout-secs")
    upstream_connect_timeout_secs: int = default("upstream-connect-timeout-secs")
    upstream_first_byte_timeout_secs: int = default("upstream-first-byte-timeout-secs")
    upstream_idle_timeout_secs: int = default("upstream-idle-timeout-secs")
    forward_request_headers: list[str] = field(default_factory=list)
    sse_keepalive_secs: int = default("sse-keepalive-secs")
    sse_keepalive_early: bool = False
    responses_mode: str = default("responses-mode")
    trust_tenant_header: bool = False
    tenant_header_name: str = default("tenant-header-name")
    priority_scheduler_enabled: bool = False
    priority_scheduler_default_max_class: str = default("priority-scheduler-default-max-class")
    priority_scheduler_config: str | None = None
    priority_scheduler_tenant_metric_top_n: int = default("priority-scheduler-tenant-metric-top-n")
    tenant_rate_limit_enabled: bool = False
    tenant_rate_limit_config: str | None = None
    tenant_api_key: list[str] = field(default_factory=list, repr=False)
    jwt_role_claim: str = default("jwt-role-claim")
    disable_audit_logging: bool = False
    drain_settle_secs: int = default("drain-settle-secs")
    tokenizer_cache_l0_max_memory: int = default("tokenizer-cache-l0-max-memory")
    mcp_allow_private_servers: bool = False
    mcp_tool_timeout_secs: int = default("mcp-tool-timeout-secs")
    mcp_max_result_bytes: int = default("mcp-max-result-bytes")
    history_memory_max_responses: int = default("history-memory-max-responses")
    history_memory_max_items: int = default("history-memory-max-items")
    conversation_history_items: int = default("conversation-history-items")
    webrtc_bind_addr: str = default("webrtc-bind-addr")
    webrtc_stun_server: str | None = None
    runtime_worker_threads: int | None = None
    cross_region_enabled: bool = False
    trace_sampling_ratio: float = default("trace-sampling-ratio")

    @staticmethod
    def add_cli_args(
        parser: argparse.ArgumentParser,
        use_router_prefix: bool = False,
        exclude_host_port: bool = False,
    ) -> None:
        """Add all router flags to `parser`; with the prefix they read `--router-...`."""
        exclude = ("host", "port") if exclude_host_port else ()
        flag_args.add_flags(parser, "router-" if use_router_prefix else "", exclude)

    @classmethod
    def from_cli_args(cls, args: argparse.Namespace, use_router_prefix: bool = False) -> RouterArgs:
        """From a namespace that `add_cli_args` filled. Missing attributes keep their defaults."""
        readers = {
            "prefill_urls": cls._parse_prefill_urls,
            "encode_urls": cls._parse_encode_urls,
            "decode_urls": cls._parse_decode_urls,
            "selector": cls._parse_selector,
            "prefill_selector": cls._parse_selector,
            "decode_selector": cls._parse_selector,
            "encode_selector": cls._parse_selector,
            "router_selector": cls._parse_selector,
            "storage_context_headers": cls._parse_selector,
            "model_aliases": cls._parse_model_aliases,
            "control_plane_api_keys": cls._parse_control_plane_api_keys,
            "jwt_role_mapping": cls._parse_jwt_role_mapping,
        }
        prefix = "router-" if use_router_prefix else ""
        return cls._with_cli_defaults(flag_args.from_namespace(args, readers, prefix))

    @classmethod
    def from_values(cls, given: Mapping[str, Any]) -> RouterArgs:
        """From values by flag field, as `smg.config.grammar.read_tokens` gives them."""
        return cls._with_cli_defaults(flag_args.from_tokens(given))

    @classmethod
    def _with_cli_defaults(cls, values: dict[str, Any]) -> RouterArgs:
        # A plain RouterArgs() keeps its metrics on loopback; the command line does not.
        for name in ("prometheus_port", "prometheus_host", "log_level"):
            if values.get(name) is None:
                values[name] = default(name.replace("_", "-"))
        return cls(**values)

    def resolve(self, environ: Mapping[str, str] | None = None) -> Loaded:
        """The configuration these arguments mean. Raises ConfigError with every problem."""
        problems = [
            f"{name}: not available yet (service discovery)"
            for name in ("bootstrap_port_annotation", "worker_ports_annotation")
            if getattr(self, name) != getattr(_DEFAULTS, name)
        ]
        given = flag_args.to_tokens(self._given(), problems)
        try:
            loaded = resolve(given, environ)
        except ConfigError as error:
            raise ConfigError([*problems, *error.problems]) from None
        if problems:
            raise ConfigError(problems)
        return loaded

    def _given(self) -> dict[str, Any]:
        """Fields set to something else than their default and the flag's."""
        given: dict[str, Any] = {}
        for name, flag in flag_args.ARGUMENTS.items():
            value = getattr(self, name)
            plain = tuple(value) if isinstance(value, list) else value
            if value is not None and value != getattr(_DEFAULTS, name) and plain != flag.default:
                given[name] = value
        if self.prometheus_host is None:
            given["prometheus_host"] = "127.0.0.1"
        return given

    def _validate_router_args(self) -> None:
        """Log which policy serves which role in PD mode.

        Everything else is checked by `resolve`.
        """
        if not self.pd_disaggregation:
            return
        if self.prefill_policy and self.decode_policy:
            log.warning("--policy is not used: both --prefill-policy and --decode-policy are given")
        elif self.prefill_policy or self.decode_policy:
            log.info(
                "prefill uses policy %s, decode uses policy %s",
                self.prefill_policy or self.policy,
                self.decode_policy or self.policy,
            )

    @staticmethod
    def _parse_selector(selector: Sequence[str] | None) -> dict[str, str]:
        pairs: dict[str, str] = {}
        for text in selector or ():
            pairs.update(flag_args.selector_pairs(text))
        return pairs

    @staticmethod
    def _parse_prefill_urls(values: Sequence[Any] | None) -> list[tuple[str, int | None]]:
        return flag_args.urls_with_ports(values)

    @staticmethod
    def _parse_encode_urls(values: Sequence[Any] | None) -> list[tuple[str, int | None]]:
        return flag_args.urls_with_ports(values)

    @staticmethod
    def _parse_decode_urls(values: Sequence[Any] | None) -> list[str]:
        urls: list[str] = []
        for value in values or ():
            urls += [value] if isinstance(value, str) else value
        return urls

    @staticmethod
    def _parse_model_aliases(values: Sequence[str] | None) -> dict[str, str]:
        aliases: dict[str, str] = {}
        for alias, canonical in map(items.model_alias, values or ()):
            if aliases.setdefault(alias, canonical) != canonical:
                raise ValueError(f"alias {alias} is given for two models")
        return aliases

    @staticmethod
    def _parse_control_plane_api_keys(
        values: Sequence[str] | None,
    ) -> list[tuple[str, str, str, str]]:
        return [items.control_plane_key(text) for text in values or ()]

    @staticmethod
    def _parse_jwt_role_mapping(values: Sequence[str] | None) -> dict[str, str]:
        return dict(items.role_mapping(text) for text in values or ())


_DEFAULTS = RouterArgs()

FIELD_ORDER = tuple(entry.name for entry in dataclasses.fields(RouterArgs))
