"""What engines say about their load, in three formats: `/v1/loads`, vLLM's and SGLang's metrics.

Pure. A figure that cannot be true (negative, not a number, beyond all bounds) is left out as if the
engine had not given it; a report without any usable figure is none. Rules: routing-reliability 15.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from smg.workers import LoadReport, RankLoad

#: keys of one entry of `/v1/loads`, in the engines' order; and the field of `RankLoad` that takes
#: each, if any
KEYS: dict[str, str] = {
    "dp_rank": "dp_rank",
    "num_running_reqs": "running_requests",
    "num_waiting_reqs": "waiting_requests",
    "num_waiting_uncached_tokens": "waiting_uncached_tokens",
    "num_total_reqs": "",
    "num_used_tokens": "used_tokens",
    "max_total_num_tokens": "max_tokens",
    "token_usage": "token_usage",
    "gen_throughput": "gen_throughput",
    "cache_hit_rate": "cache_hit_rate",
    "utilization": "utilization",
    "max_running_requests": "max_running_requests",
    "kv_transfer_latency_ms": "kv_transfer_latency_ms",
    "kv_transfer_speed_gb_s": "kv_transfer_speed_gb_s",
    "prefill_queue_reqs": "prefill_queue_requests",
    "decode_queue_reqs": "decode_queue_requests",
    "disagg_mode": "",
}

MOST_RANKS = 4096
MOST_REQUESTS = 10**9
MOST_TOKENS = 10**13
MOST_PER_SECOND = 1e9
MOST_MS = 1e9
#: a share may be a little above 1 by the engine's own rounding; far above it is something else
MOST_SHARE = 1.5


def native_ranks(data: Any) -> list[dict[str, Any]] | None:
    """The entries of a `/v1/loads` answer; None if it is no such answer."""
    entries = data.get("loads") if isinstance(data, dict) else None
    if not isinstance(entries, list) or len(entries) > MOST_RANKS:
        return None
    return entries if all(isinstance(entry, dict) for entry in entries) else None


def native_report(entries: Sequence[Mapping[str, Any]]) -> LoadReport | None:
    """The report that the entries of a `/v1/loads` answer make."""
    return made_of([_native(place, entry) for place, entry in enumerate(entries)], "loads")


def vllm_report(samples: Mapping[str, Sequence[float]]) -> LoadReport | None:
    """From vLLM's metrics; the gauge of the KV cache was renamed, so either name will do."""
    usage = _mean(samples, "vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc")
    if usage is None:
        return None
    rank = RankLoad(
        running_requests=_total(samples, "vllm:num_requests_running"),
        waiting_requests=_total(samples, "vllm:num_requests_waiting"),
        token_usage=usage,
        cache_hit_rate=_mean(samples, "vllm:gpu_prefix_cache_hit_rate"),
    )
    return made_of([rank], "vllm")


def sglang_report(samples: Mapping[str, Sequence[float]]) -> LoadReport | None:
    """From SGLang's metrics."""
    usage = _mean(samples, "sglang:token_usage")
    if usage is None:
        return None
    speeds = samples.get("sglang:gen_throughput", ())
    rank = RankLoad(
        running_requests=_total(samples, "sglang:num_running_reqs"),
        waiting_requests=_total(samples, "sglang:num_queue_reqs"),
        token_usage=usage,
        gen_throughput=_amount(sum(speeds), MOST_PER_SECOND) if speeds else None,
        cache_hit_rate=_mean(samples, "sglang:cache_hit_rate"),
        utilization=_mean(samples, "sglang:utilization"),
    )
    return made_of([rank], "sglang")


def entries(report: LoadReport) -> list[dict[str, Any]]:
    """The entries that `/v1/loads` would have, of an engine that gave its load in another form."""
    listed = []
    for rank in report.ranks:
        figures = {key: getattr(rank, field) for key, field in KEYS.items() if field}
        listed.append({key: value for key, value in figures.items() if value is not None})
    return listed


def made_of(ranks: Sequence[RankLoad], source: str) -> LoadReport | None:
    """The report of these ranks; None if they do not tell how long requests wait: an engine that
    says nothing would look idle, and get everything.
    """
    for rank in ranks:
        told = (rank.waiting_requests, rank.waiting_uncached_tokens, rank.token_usage)
        if any(figure is not None for figure in told):
            return LoadReport(tuple(ranks), source)
    return None


def _native(place: int, entry: Mapping[str, Any]) -> RankLoad:
    number = _count(entry.get("dp_rank"), MOST_RANKS)
    used = _count(entry.get("num_used_tokens"), MOST_TOKENS)
    size = _count(entry.get("max_total_num_tokens"), MOST_TOKENS)
    usage = _share(entry.get("token_usage"))
    if usage is None and size and used is not None:
        usage = min(1.0, used / size)
    return RankLoad(
        dp_rank=place if number is None else number,
        running_requests=_count(entry.get("num_running_reqs")),
        waiting_requests=_count(entry.get("num_waiting_reqs")),
        waiting_uncached_tokens=_count(entry.get("num_waiting_uncached_tokens"), MOST_TOKENS),
        used_tokens=used,
        max_tokens=size,
        token_usage=usage,
        gen_throughput=_amount(entry.get("gen_throughput"), MOST_PER_SECOND),
        cache_hit_rate=_share(entry.get("cache_hit_rate")),
        utilization=_share(entry.get("utilization")),
        max_running_requests=_count(entry.get("max_running_requests")),
        kv_transfer_latency_ms=_amount(entry.get("kv_transfer_latency_ms"), MOST_MS),
        kv_transfer_speed_gb_s=_amount(entry.get("kv_transfer_speed_gb_s"), MOST_PER_SECOND),
        prefill_queue_requests=_count(entry.get("prefill_queue_reqs")),
        decode_queue_requests=_count(entry.get("decode_queue_reqs")),
    )


# Figures


def _amount(value: Any, most: float) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    # Compared before it is converted: an integer may be too long for a float.
    return float(value) if 0 <= value <= most else None


def _count(value: Any, most: int = MOST_REQUESTS) -> int | None:
    amount = _amount(value, most)
    return None if amount is None else int(amount)


def _share(value: Any) -> float | None:
    share = _amount(value, MOST_SHARE)
    return None if share is None else min(1.0, share)


def _total(samples: Mapping[str, Sequence[float]], name: str) -> int | None:
    values = samples.get(name)
    return _count(sum(values)) if values else None


def _mean(samples: Mapping[str, Sequence[float]], *names: str) -> float | None:
    for name in names:
        shares = [share for value in samples.get(name, ()) if (share := _share(value)) is not None]
        if shares:
            return sum(shares) / len(shares)
    return None


# Metrics text

_PREFIXES = (b"vllm:", b"sglang:", b"sglang_")
_WANTED = {
    name.encode(): name
    for name in (
        *("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc", "vllm:num_requests_running"),
        *("vllm:num_requests_waiting", "vllm:gpu_prefix_cache_hit_rate"),
        *("sglang:token_usage", "sglang:num_running_reqs", "sglang:num_queue_reqs"),
        *("sglang:gen_throughput", "sglang:cache_hit_rate", "sglang:utilization"),
    )
}
_NAME = re.compile(rb"[\w:]+")
_REST = re.compile(rb'[ \t]*(?:\{(?:[^"{}]|"(?:[^"\\]|\\.)*")*\})?[ \t]*(\S+)')


def samples(text: bytes) -> dict[str, list[float]]:
    """The gauges of both engines in a metrics text, by name with `:`, one value per series.

    A line scan and not a parser: an engine's text has a thousand lines of which ten matter, and
    this runs on the loop that relays tokens.
    """
    found: dict[str, list[float]] = {}
    for line in text.split(b"\n"):
        if not line.startswith(_PREFIXES):
            continue
        match = _NAME.match(line)
        assert match is not None
        name = _WANTED.get(match[0].replace(b"sglang_", b"sglang:", 1))
        if name is None:
            continue
        rest = _REST.match(line, match.end())
        if rest is None:
            continue
        try:
            value = float(rest[1])
        except ValueError:
            continue
        if math.isfinite(value) and value >= 0:
            found.setdefault(name, []).append(value)
    return found
