"""What one frame of `smg top` says: from the worker list, the readiness and two scrapes.

Pure; drawing is `smg.console.view`. None stands for what is not known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from smg.console.info import Info, load_of, model_name, real, status_of
from smg.console.rates import (
    STARTED,
    Scrape,
    divided,
    increase,
    increases,
    per_second,
    quantile,
    share,
)
from smg.console.text import plain

ROUTED = "smg_router_requests_total"
ROUTED_ERRORS = "smg_router_request_errors_total"
IN_FLIGHT = "smg_http_connections_active"
TTFT = "smg_router_ttft_seconds"
BRANCHES = "smg_cache_aware_policy_branch_total"
GENERATED = "smg_engine_gen_throughput"
BUILD = "smg_build_info"
#: the one counter of the catalogue that tells workers apart; gateways without circuit breakers do
#: not write it
OUTCOMES = "smg_worker_cb_outcomes_total"

BY_REQUESTS, BY_LOAD = "requests", "load"


@dataclass(frozen=True)
class Overview:
    """The gateway as a whole. Rates are per second, times in seconds, ratios 0 to 1."""

    url: str
    version: str | None = None
    uptime_secs: float | None = None
    ready: bool | None = None
    reason: str | None = None
    healthy_workers: int = 0
    total_workers: int = 0
    requests_per_sec: float | None = None
    in_flight: float | None = None
    error_ratio: float | None = None
    cache_hit_ratio: float | None = None
    ttft_p50_secs: float | None = None
    ttft_p99_secs: float | None = None
    tokens_per_sec: float | None = None


@dataclass(frozen=True)
class Row:
    """One worker. `share` is its part of what the frame's `share_of` says, 0 to 1."""

    id: str
    url: str
    model: str
    status: str
    healthy: bool
    load: int
    requests_per_sec: float | None
    errors_per_sec: float | None
    share: float | None
    priority: float | None
    cost: float | None


@dataclass(frozen=True)
class Frame:
    """A frame: `problems` are what could not be learnt, for people."""

    overview: Overview
    rows: tuple[Row, ...]
    share_of: str = BY_LOAD
    problems: tuple[str, ...] = ()


def build(
    url: str,
    workers: Sequence[Info],
    readiness: Any,
    scrapes: tuple[Scrape | None, Scrape | None],
    now: float,
    problems: Sequence[str] = (),
) -> Frame:
    """The frame for the gateway at `url`. `scrapes` are an older and the newest one, either may be
    missing; `now` is the wall clock in seconds, for the uptime.
    """
    before, after = scrapes
    rows, share_of = _rows(workers, before, after)
    overview = Overview(
        url=url,
        healthy_workers=sum(row.healthy for row in rows),
        total_workers=len(rows),
    )
    if isinstance(readiness, dict):
        reason = readiness.get("reason")
        overview = replace(
            overview,
            ready=readiness.get("status") == "ready",
            reason=plain(reason) if isinstance(reason, str) else None,
        )
    if after is not None:
        overview = _measured(overview, after, now)
        if before is not None:
            overview = _compared(overview, before, after)
    return Frame(overview, tuple(rows), share_of, tuple(problems))


def _measured(overview: Overview, after: Scrape, now: float) -> Overview:
    """With what one scrape tells."""
    version = after.label(BUILD, "version")
    started = after.total(STARTED)
    return replace(
        overview,
        version=None if version is None else plain(version),
        uptime_secs=None if started is None else max(0.0, now - started),
        in_flight=after.total(IN_FLIGHT),
        tokens_per_sec=after.total(GENERATED),
    )


def _compared(overview: Overview, before: Scrape, after: Scrape) -> Overview:
    """With what two scrapes tell."""
    hits = increase(before, after, BRANCHES, branch="hit")
    return replace(
        overview,
        requests_per_sec=per_second(before, after, ROUTED),
        error_ratio=share(before, after, ROUTED_ERRORS, ROUTED),
        cache_hit_ratio=divided(hits, increase(before, after, BRANCHES)),
        ttft_p50_secs=quantile(before, after, TTFT, 0.5),
        ttft_p99_secs=quantile(before, after, TTFT, 0.99),
    )


def _rows(
    workers: Sequence[Info], before: Scrape | None, after: Scrape | None
) -> tuple[list[Row], str]:
    """The workers, and what their shares are shares of."""
    requests: dict[str, float] = {}
    errors: dict[str, float] = {}
    elapsed = 0.0
    if before is not None and after is not None and after.has(OUTCOMES):
        elapsed = after.at - before.at
        for labels, grown in increases(before, after, OUTCOMES).items():
            named = dict(labels)
            worker = named.get("worker", "")
            requests[worker] = requests.get(worker, 0.0) + grown
            if named.get("outcome") == "failure":
                errors[worker] = errors.get(worker, 0.0) + grown
    parts: Mapping[str, float] = requests
    share_of = BY_REQUESTS
    if elapsed <= 0:
        parts = {str(info.get("url", "")): float(load_of(info)) for info in workers}
        share_of = BY_LOAD
    whole = sum(parts.values())
    rows = []
    for info in workers:
        url = str(info.get("url", ""))
        status = status_of(info)
        rows.append(
            Row(
                id=plain(str(info.get("id", ""))),
                url=plain(url),
                model=model_name(info),
                status=status,
                healthy=info.get("is_healthy", status == "ready") is True,
                load=load_of(info),
                requests_per_sec=divided(requests.get(url, 0.0), elapsed),
                errors_per_sec=divided(errors.get(url, 0.0), elapsed),
                share=divided(parts.get(url, 0.0), whole),
                priority=real(info, "priority"),
                cost=real(info, "cost"),
            )
        )
    return rows, share_of


#: what rows may be ordered by: attribute, and whether the largest come first
SORTS: Mapping[str, tuple[str, bool]] = {
    "url": ("url", False),
    "model": ("model", False),
    "status": ("status", False),
    "load": ("load", True),
    "requests": ("requests_per_sec", True),
    "errors": ("errors_per_sec", True),
    "priority": ("priority", True),
    "cost": ("cost", False),
}


def ordered(rows: Sequence[Row], by: str, *, turned: bool = False) -> list[Row]:
    """The rows by one of `SORTS`, then by URL; what is not known comes last either way."""
    attribute, largest_first = SORTS[by]
    named = sorted(rows, key=lambda row: row.url)
    known = [row for row in named if getattr(row, attribute) is not None]
    unknown = [row for row in named if getattr(row, attribute) is None]
    known.sort(key=lambda row: getattr(row, attribute), reverse=largest_first != turned)
    return known + unknown
