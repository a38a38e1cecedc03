"""Writes grafana-dashboard.json: `python deploy/monitoring/dashboard.py > FILE` (or `make docs`).

Panels are rows of a table here; Grafana's JSON would be thousands of lines to review. What a panel
says about its metrics are their own help texts.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from typing import Any

from smg.observability.families import GatewayMetrics
from smg.observability.metrics import Registry

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
#: short in the table: `[R]` is the interval of rates, `{w}` is what is chosen above the panels
CHOSEN = 'job=~"$job",instance=~"$instance"'


@dataclass(frozen=True)
class Panel:
    """`queries` by legend. `limits`: green below the first, yellow up to the second, then red."""

    title: str
    unit: str
    queries: dict[str, str]
    kind: str = "timeseries"
    width: int = 8
    limits: tuple[float, float] | None = None
    stack: bool = False


def spread(name: str) -> dict[str, str]:
    """Median, 95th and 99th percentile of a histogram."""
    text = "histogram_quantile(%s, sum by (le) (rate(%s_bucket{w}[R])))"
    return {f"p{q * 100:.0f}": text % (q, name) for q in (0.5, 0.95, 0.99)}


ERRORS = (
    'sum(rate(smg_http_responses_total{w,status_code=~"5.."}[R]))'
    " / sum(rate(smg_http_responses_total{w}[R]))"
)
HITS = (
    'sum(rate(smg_cache_aware_policy_branch_total{w,branch="hit"}[R]))'
    " / sum(rate(smg_cache_aware_policy_branch_total{w}[R]))"
)
TPOT = (
    "sum by (model) (rate(smg_router_tpot_seconds_sum{w}[R]))"
    " / sum by (model) (rate(smg_router_tpot_seconds_count{w}[R]))"
)
RATIO = (
    'sum(rate(smg_router_tokens_total{w,token_type="output"}[R]))'
    ' / sum(rate(smg_router_tokens_total{w,token_type="input"}[R]))'
)
SHARE = (
    "sum by (worker) (smg_worker_requests_active{w}) / scalar(sum(smg_worker_requests_active{w}))"
)

STAT = {"kind": "stat", "width": 3}

ROWS: dict[str, tuple[Panel, ...]] = {
    "Now": (
        Panel("Requests/s", "reqps", {"": "sum(rate(smg_http_requests_total{w}[R]))"}, **STAT),
        Panel("5xx share", "percentunit", {"": ERRORS}, limits=(0.01, 0.05), **STAT),
        Panel(
            "Latency p99",
            "s",
            {"": spread("smg_http_request_duration_seconds")["p99"]},
            limits=(2, 5),
            **STAT,
        ),
        Panel(
            "First token p95",
            "s",
            {"": spread("smg_router_ttft_seconds")["p95"]},
            limits=(1, 2),
            **STAT,
        ),
        Panel("Ready workers", "short", {"": "sum(smg_worker_health{w})"}, **STAT),
        Panel(
            "Open breakers",
            "short",
            {"": "count(smg_worker_cb_state{w} == 1) or vector(0)"},
            limits=(1, 2),
            **STAT,
        ),
        Panel("In flight", "short", {"": "sum(smg_http_connections_active{w})"}, **STAT),
        Panel("Cache hits", "percentunit", {"": HITS}, **STAT),
    ),
    "Traffic": (
        Panel(
            "Requests by path",
            "reqps",
            {"{{path}}": "sum by (path) (rate(smg_http_requests_total{w}[R]))"},
        ),
        Panel(
            "Responses by status",
            "reqps",
            {"{{status_code}}": "sum by (status_code) (rate(smg_http_responses_total{w}[R]))"},
            stack=True,
        ),
        Panel(
            "Errors the gateway made itself",
            "reqps",
            {
                "{{error_code}}": "sum by (error_code)"
                ' (rate(smg_http_responses_total{w,error_code!=""}[R]))'
            },
        ),
        Panel(
            "Requests by model",
            "reqps",
            {"{{model}}": "sum by (model) (rate(smg_router_requests_total{w}[R]))"},
        ),
        Panel(
            "Streaming and unary",
            "reqps",
            {
                "streaming {{streaming}}": "sum by (streaming)"
                " (rate(smg_router_requests_total{w}[R]))"
            },
            stack=True,
        ),
        Panel(
            "Failed requests by kind",
            "reqps",
            {
                "{{error_type}}": "sum by (error_type)"
                " (rate(smg_router_request_errors_total{w}[R]))",
                "stream: {{reason}}": "sum by (reason)"
                " (rate(smg_upstream_streams_cut_total{w}[R]))",
            },
        ),
    ),
    "Time": (
        Panel("Response head ready", "s", spread("smg_http_request_duration_seconds")),
        Panel(
            "First token, median",
            "s",
            {
                "{{model}}": "histogram_quantile(0.5, sum by (le, model)"
                " (rate(smg_router_ttft_seconds_bucket{w}[R])))"
            },
        ),
        Panel("Time per token, mean", "s", {"{{model}}": TPOT}),
        Panel("What the gateway adds", "s", spread("smg_gateway_overhead_seconds")),
        Panel("Whole streams", "s", spread("smg_router_generation_duration_seconds")),
        Panel(
            "Age of requests in flight",
            "short",
            {"{{le}}": "sum by (le) (smg_http_inflight_request_age_count{w})"},
            kind="heatmap",
        ),
    ),
    "Tokens (of streams that tell their usage)": (
        Panel(
            "Tokens/s",
            "short",
            {"{{token_type}}": "sum by (token_type) (rate(smg_router_tokens_total{w}[R]))"},
        ),
        Panel(
            "Output tokens/s by model",
            "short",
            {
                "{{model}}": "sum by (model)"
                ' (rate(smg_router_tokens_total{w,token_type="output"}[R]))'
            },
        ),
        Panel("Output per input token", "short", {"": RATIO}),
    ),
    "Workers": (
        Panel("Ready", "short", {"{{worker}}": "smg_worker_health{w}"}, kind="state-timeline"),
        Panel("Requests in flight", "short", {"{{worker}}": "smg_worker_requests_active{w}"}),
        Panel("Share of requests in flight", "percentunit", {"{{worker}}": SHARE}),
        Panel(
            "Outcomes",
            "reqps",
            {
                "{{worker}} {{outcome}}": "sum by (worker, outcome)"
                " (rate(smg_worker_cb_outcomes_total{w}[R]))"
            },
        ),
        Panel(
            "Breakers: 0 closed, 1 open, 2 half-open",
            "short",
            {"{{worker}}": "smg_worker_cb_state{w}"},
            kind="state-timeline",
        ),
        Panel(
            "Failed attempts",
            "reqps",
            {"{{error_type}}": "sum by (error_type) (rate(smg_worker_errors_total{w}[R]))"},
        ),
        Panel(
            "Retries",
            "reqps",
            {
                "made": "sum(rate(smg_worker_retries_total{w}[R]))",
                "in vain": "sum(rate(smg_worker_retries_exhausted_total{w}[R]))",
                "not made: budget": "sum(rate(smg_worker_retries_suppressed_total{w}[R]))",
            },
        ),
        Panel(
            "Health checks",
            "reqps",
            {"{{result}}": "sum by (result) (rate(smg_worker_health_checks_total{w}[R]))"},
        ),
        Panel(
            "Connections to workers",
            "short",
            {
                "{{worker_type}}": "sum by (worker_type) (smg_worker_connections_active{w})",
            },
        ),
    ),
    "Routing": (
        Panel(
            "Choices by policy",
            "reqps",
            {"{{policy}}": "sum by (policy) (rate(smg_worker_selection_total{w}[R]))"},
        ),
        Panel(
            "cache_aware: why",
            "reqps",
            {"{{branch}}": "sum by (branch) (rate(smg_cache_aware_policy_branch_total{w}[R]))"},
            stack=True,
        ),
        Panel(
            "Share of the prompt found",
            "percentunit",
            {
                "mean": "sum(rate(smg_cache_aware_matched_ratio_sum{w}[R]))"
                " / sum(rate(smg_cache_aware_matched_ratio_count{w}[R]))"
            },
        ),
        Panel(
            "Routing trees",
            "short",
            {
                "{{model}}, characters": "sum by (model) (smg_cache_tree_chars{w})",
                "{{model}}, tokens": "sum by (model) (smg_cache_tree_tokens{w})",
            },
        ),
        Panel(
            "Routing keys",
            "short",
            {
                "remembered": "sum(smg_manual_policy_cache_entries{w})",
                "in use": "sum(smg_worker_routing_keys_active{w})",
            },
        ),
    ),
    "Engines (--engine-metrics)": (
        Panel("Running", "short", {"{{worker}}": "smg_engine_running_requests{w}"}),
        Panel("Waiting", "short", {"{{worker}}": "smg_engine_waiting_requests{w}"}),
        Panel("KV cache in use", "percentunit", {"{{worker}}": "smg_engine_token_usage{w}"}),
        Panel("Tokens/s", "short", {"{{worker}}": "smg_engine_gen_throughput{w}"}),
        Panel("Prefix cache hits", "percentunit", {"{{worker}}": "smg_engine_cache_hit_rate{w}"}),
        Panel("Age of these figures", "s", {"{{worker}}": "smg_engine_report_age_seconds{w}"}),
    ),
    "Limits": (
        Panel("Waiting for a permit", "short", {"": "sum(smg_admission_queue_depth{w})"}),
        Panel("Permits in use", "short", {"": "sum(smg_admission_inflight{w})"}),
        Panel(
            "Let in and refused",
            "reqps",
            {
                "{{result}}": "sum by (result) (rate(smg_http_rate_limit_total{w}[R]))",
                "refused: {{reason}}": "sum by (reason)"
                " (rate(smg_admission_queue_rejected_total{w}[R]))",
            },
        ),
    ),
    "The process": (
        Panel(
            "CPU",
            "percentunit",
            {"{{instance}}": "rate(process_cpu_seconds_total{w}[R])"},
        ),
        Panel("Memory", "bytes", {"{{instance}}": "process_resident_memory_bytes{w}"}),
        Panel(
            "File descriptors",
            "short",
            {
                "{{instance}} open": "process_open_fds{w}",
                "{{instance}} limit": "process_max_fds{w}",
            },
        ),
        Panel("Event loop delay", "s", spread("smg_event_loop_delay_seconds")),
        Panel(
            "Event loop stalls above 5 ms",
            "short",
            {"{{instance}}": "rate(smg_event_loop_stalls_total{w}[R])"},
        ),
        Panel(
            "Client sockets and tasks",
            "short",
            {
                "{{instance}} sockets": "smg_http_open_connections{w}",
                "{{instance}} tasks": "smg_event_loop_tasks{w}",
            },
        ),
        Panel(
            "What runs",
            "short",
            {"{{instance}}: {{version}}, Python {{python}}, {{event_loop}}": "smg_build_info{w}"},
            kind="table",
            width=12,
        ),
        Panel(
            "Last reload of the settings: 1 good, 0 failed",
            "short",
            {"{{instance}}": "smg_config_last_reload_successful{w}"},
            kind="state-timeline",
            width=12,
        ),
    ),
}

_VARIABLES = (
    ("job", "label_values(smg_build_info, job)"),
    ("instance", 'label_values(smg_build_info{job=~"$job"}, instance)'),
)


def expression(query: str) -> str:
    """PromQL as Grafana sends it."""
    return query.replace("{w", "{" + CHOSEN).replace("[R]", "[$__rate_interval]")


def dashboard() -> dict[str, Any]:
    """The whole dashboard."""
    panels: list[dict[str, Any]] = []
    top = 0
    for title, row in ROWS.items():
        place = {"h": 1, "w": 24, "x": 0, "y": top}
        panels.append({"type": "row", "title": title, "id": len(panels) + 1, "gridPos": place})
        top += 1
        left = 0
        height = 4 if row[0].kind == "stat" else 8
        for panel in row:
            if left + panel.width > 24:
                left = 0
                top += height
            place = {"h": height, "w": panel.width, "x": left, "y": top}
            panels.append({**_panel(panel), "id": len(panels) + 1, "gridPos": place})
            left += panel.width
        top += height
    return {
        "title": "Shepherd Model Gateway",
        "uid": "smg-gateway",
        "tags": ["smg", "llm"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [_data_source(), *(_variable(*row) for row in _VARIABLES)]},
        "panels": panels,
    }


def _panel(panel: Panel) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0}
    if panel.limits is not None:
        steps = zip(("green", "yellow", "red"), (None, *panel.limits), strict=True)
        defaults["thresholds"] = {
            "mode": "absolute",
            "steps": [{"color": color, "value": value} for color, value in steps],
        }
    if panel.stack:
        defaults["custom"] = {"stacking": {"mode": "normal"}, "fillOpacity": 30}
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": _help(" ".join(panel.queries.values())),
        "datasource": SOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": SOURCE,
                "expr": expression(query),
                "legendFormat": legend or "__auto",
                **({"instant": True, "format": "table"} if panel.kind == "table" else {}),
            }
            for number, (legend, query) in enumerate(panel.queries.items())
        ],
    }


def _help(queries: str) -> str:
    """What the gateway itself says about the metrics of some queries."""
    registry = Registry()
    GatewayMetrics(registry)
    texts = {family.name: family.help for family in registry.families()}
    found = []
    for name in re.findall(r"\bsmg_\w+", queries):
        family = name if name in texts else re.sub(r"_(bucket|sum|count)$", "", name)
        found.append(f"{family}: {texts[family]}")
    return "\n\n".join(dict.fromkeys(found))


def _data_source() -> dict[str, Any]:
    return {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Source"}


def _variable(name: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


if __name__ == "__main__":
    json.dump(dashboard(), sys.stdout, indent=1)
    sys.stdout.write("\n")
