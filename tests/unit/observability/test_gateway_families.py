from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from smg.observability import inflight_age, reference
from smg.observability.exposition import render
from smg.observability.families import GatewayMetrics
from smg.observability.metrics import DURATION_BUCKETS, HistogramFamily, Registry
from tests.doubles.metrics_text import Samples

# operations 1.5, written down again: the contract is not derived from the code that it checks.
ROUTER = ("router_type", "backend_type", "connection_mode", "model", "endpoint")
STREAM = ("router_type", "backend_type", "model", "endpoint")
ENGINE = ("worker", "model", "dp_rank")
ENGINE_PD = ("worker", "role", "dp_rank")
EXPECTED = {
    "smg_http_requests_total": ("counter", ("method", "path")),
    "smg_http_request_duration_seconds": ("histogram", ("method", "path")),
    "smg_http_responses_total": ("counter", ("path", "status_code", "error_code")),
    "smg_http_connections_active": ("gauge", ()),
    "smg_http_open_connections": ("gauge", ()),
    "smg_http_inflight_request_age_count": ("gauge", ("gt", "le")),
    "smg_router_requests_total": ("counter", (*ROUTER, "streaming")),
    "smg_router_request_duration_seconds": ("histogram", ROUTER),
    "smg_router_request_errors_total": ("counter", (*ROUTER, "error_type")),
    "smg_router_upstream_responses_total": (
        "counter",
        ("router_type", "status_code", "error_code"),
    ),
    "smg_router_upstream_send_retries_total": ("counter", ("router_type",)),
    "smg_upstream_streams_cut_total": ("counter", ("reason",)),
    "smg_router_ttft_seconds": ("histogram", STREAM),
    "smg_router_tpot_seconds": ("histogram", STREAM),
    "smg_router_generation_duration_seconds": ("histogram", STREAM),
    "smg_router_tokens_total": ("counter", (*STREAM, "token_type")),
    "smg_gateway_overhead_seconds": ("histogram", ("endpoint",)),
    "smg_worker_pool_size": ("gauge", ("worker_type", "connection_mode", "model")),
    "smg_worker_connections_active": ("gauge", ("worker_type", "connection_mode")),
    "smg_worker_requests_active": ("gauge", ("worker",)),
    "smg_worker_health": ("gauge", ("worker",)),
    "smg_worker_retries_total": ("counter", ("worker_type", "endpoint")),
    "smg_worker_retries_exhausted_total": ("counter", ("worker_type", "endpoint")),
    "smg_worker_retries_suppressed_total": ("counter", ("worker_type", "endpoint")),
    "smg_worker_retry_backoff_seconds": ("histogram", ("attempt",)),
    "smg_http_rate_limit_total": ("counter", ("result",)),
    "smg_admission_queue_depth": ("gauge", ()),
    "smg_admission_queue_rejected_total": ("counter", ("reason",)),
    "smg_admission_inflight": ("gauge", ()),
    "smg_worker_cb_state": ("gauge", ("worker",)),
    "smg_worker_cb_transitions_total": ("counter", ("worker", "from", "to")),
    "smg_worker_cb_outcomes_total": ("counter", ("worker", "outcome")),
    "smg_worker_cb_consecutive_failures": ("gauge", ("worker",)),
    "smg_worker_cb_consecutive_successes": ("gauge", ("worker",)),
    "smg_worker_health_checks_total": ("counter", ("worker_type", "result")),
    "smg_worker_selection_total": (
        "counter",
        ("worker_type", "connection_mode", "model", "policy"),
    ),
    "smg_worker_errors_total": ("counter", ("worker_type", "connection_mode", "error_type")),
    "smg_cache_aware_policy_branch_total": ("counter", ("branch",)),
    "smg_consistent_hashing_policy_branch_total": ("counter", ("branch",)),
    "smg_manual_policy_branch_total": ("counter", ("branch",)),
    "smg_prefix_hash_policy_branch_total": ("counter", ("branch",)),
    "smg_cache_aware_matched_ratio": ("histogram", ()),
    "smg_cache_tree_chars": ("gauge", ("model",)),
    "smg_cache_tree_tokens": ("gauge", ("model",)),
    "smg_cache_tree_tenants": ("gauge", ("model", "tree")),
    "smg_manual_policy_cache_entries": ("gauge", ()),
    "smg_routing_key_source_total": ("counter", ("source",)),
    "smg_worker_routing_keys_active": ("gauge", ("worker",)),
    "smg_engine_running_requests": ("gauge", ENGINE),
    "smg_engine_waiting_requests": ("gauge", ENGINE),
    "smg_engine_token_usage": ("gauge", ENGINE),
    "smg_engine_gen_throughput": ("gauge", ENGINE),
    "smg_engine_cache_hit_rate": ("gauge", ENGINE),
    "smg_engine_report_age_seconds": ("gauge", ("worker",)),
    "smg_engine_pd_kv_transfer_latency_ms": ("gauge", ENGINE_PD),
    "smg_engine_pd_kv_transfer_speed_gb_s": ("gauge", ENGINE_PD),
    "smg_engine_pd_prefill_queue_reqs": ("gauge", ENGINE_PD),
    "smg_engine_pd_decode_queue_reqs": ("gauge", ENGINE_PD),
    "smg_build_info": ("gauge", ("version", "python", "event_loop")),
    "smg_event_loop_delay_seconds": ("histogram", ()),
    "smg_event_loop_stalls_total": ("counter", ()),
    "smg_event_loop_tasks": ("gauge", ()),
    "smg_loop_stalls_total": ("counter", ()),
    "smg_loop_stall_max_seconds": ("gauge", ()),
    "smg_config_reloads_total": ("counter", ("result",)),
    "smg_config_last_reload_successful": ("gauge", ()),
    "smg_workers_overloaded": ("gauge", ("model",)),
    "smg_worker_overload_shed_total": ("counter", ("stage",)),
    "smg_scheduler_admit_total": ("counter", ("class", "outcome")),
    "smg_scheduler_queue_wait_seconds": ("histogram", ("class",)),
    "smg_scheduler_preemption_total": ("counter", ("victim_class", "by_class")),
    "smg_scheduler_clamp_total": ("counter", ("tenant", "requested_class", "effective_class")),
    "smg_scheduler_unknown_priority_value_total": ("counter", ("tenant",)),
    "smg_scheduler_starvation_promotion_total": ("counter", ("class",)),
    "smg_scheduler_inflight": ("gauge", ("class",)),
    "smg_scheduler_queue_depth": ("gauge", ("class",)),
    "smg_scheduler_queue_size_limit": ("gauge", ("class",)),
    "smg_scheduler_class_capacity_pressure": ("gauge", ("class",)),
    "smg_scheduler_utilization": ("gauge", ()),
    "smg_pd_prefill_duration_seconds": ("histogram", ("backend_type", "model", "runtime")),
    "smg_pd_kv_transfer_duration_seconds": ("histogram", ("backend_type", "model", "runtime")),
    "smg_pd_ttft_seconds": ("histogram", ("backend_type", "model", "runtime")),
    "smg_pd_kv_connector_mode_total": ("counter", ("mode",)),
    "smg_pd_kv_transfer_failures_total": ("counter", ()),
    "smg_pd_prefill_admission_inflight": ("gauge", ("worker",)),
    "smg_pd_prefill_admission_queued": ("gauge", ()),
    "smg_pd_prefill_admission_wait_seconds": ("histogram", ()),
    "smg_pd_prefill_admission_rejections_total": ("counter", ("reason",)),
    "smg_tokenizer_cache_l0_hits_total": ("counter", ("tokenizer",)),
    "smg_tokenizer_cache_l0_misses_total": ("counter", ("tokenizer",)),
    "smg_tokenizer_cache_l0_entries": ("gauge", ("tokenizer",)),
    "smg_tokenizer_cache_l1_hits_total": ("counter", ("tokenizer",)),
    "smg_tokenizer_cache_l1_misses_total": ("counter", ("tokenizer",)),
    "smg_tokenizer_cache_l1_memory_bytes": ("gauge", ("tokenizer",)),
}


def test_names_types_and_labels():
    registry = Registry()
    GatewayMetrics(registry)
    got = {family.name: (family.kind, family.label_names) for family in registry.families()}
    assert got == EXPECTED
    assert render(registry) == b""


def test_duration_buckets_replace_those_of_durations_only():
    registry = Registry()
    metrics = GatewayMetrics(registry, duration_buckets=(1, 2))
    changed = {
        family.name
        for family in registry.families()
        if isinstance(family, HistogramFamily) and family.bounds == (1.0, 2.0)
    }
    assert changed == {
        "smg_http_request_duration_seconds",
        "smg_router_request_duration_seconds",
        "smg_router_ttft_seconds",
        "smg_router_tpot_seconds",
        "smg_router_generation_duration_seconds",
        "smg_pd_ttft_seconds",
        "smg_pd_prefill_duration_seconds",
        "smg_pd_kv_transfer_duration_seconds",
    }
    assert metrics.gateway_overhead.bounds[0] == 0.00001
    assert metrics.gateway_overhead.bounds[-1] == 0.1
    assert GatewayMetrics(Registry()).router_ttft.bounds == DURATION_BUCKETS


def test_removed_workers_leave_no_gauges():
    metrics = GatewayMetrics(Registry())
    for worker in ("http://a:1", "http://b:1"):
        metrics.worker_health.labels(worker).set(1)
        metrics.worker_requests_active.track((worker,), lambda: 2)
    metrics.remove_worker("http://a:1")
    samples = Samples(render(metrics.registry).decode())
    assert samples.value("smg_worker_health") == 1
    assert samples.labels("smg_worker_requests_active") == [{"worker": "http://b:1"}]


def test_build_info():
    metrics = GatewayMetrics(Registry())
    metrics.set_build_info("1.2.3", "uvloop")
    samples = Samples(render(metrics.registry).decode())
    assert samples.value("smg_build_info", version="1.2.3", event_loop="uvloop") == 1


def test_all_age_buckets_are_always_there():
    metrics = GatewayMetrics(Registry())
    ages = inflight_age.InflightAges(metrics.http_inflight_request_age)
    labels = Samples(render(metrics.registry).decode()).labels(
        "smg_http_inflight_request_age_count"
    )
    assert len(labels) == 12
    assert labels[0] == {"gt": "0", "le": "30"}
    assert labels[-1] == {"gt": "86400", "le": "+Inf"}
    assert all(low["le"] == high["gt"] for low, high in pairwise(labels))
    ages.update([0.0])
    assert metrics.http_inflight_request_age.labels("0", "30").value == 1


@pytest.mark.parametrize(
    ("age", "gt"),
    [(0, "0"), (30, "0"), (30.9, "0"), (31, "30"), (60, "30"), (86400, "28800"), (86401, "86400")],
)
def test_an_age_equal_to_a_bound_belongs_below(age: float, gt: str):
    metrics = GatewayMetrics(Registry())
    ages = inflight_age.InflightAges(metrics.http_inflight_request_age)
    ages.update([5, 5])
    ages.update([age])
    got = {
        labels[0]: child.value
        for labels, child in metrics.http_inflight_request_age.children().items()
        if child.value
    }
    assert got == {gt: 1.0}


def test_the_reference_page_is_up_to_date():
    path = Path(__file__).parents[3] / "docs" / "reference" / "metrics.md"
    assert path.read_text(encoding="utf-8") == reference.page(), (
        "run: python -m smg.observability.reference > docs/reference/metrics.md"
    )
