"""What engines say about their load, as reports: every format, and everything that is not one."""

from __future__ import annotations

import math
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smg.fleet import load_formats
from smg.fleet.load_formats import (
    KEYS,
    native_ranks,
    native_report,
    samples,
    sglang_report,
    vllm_report,
)
from smg.workers import LoadReport, RankLoad

NATIVE: dict[str, Any] = {
    "timestamp": "2025-01-01T00:00:00Z",
    "dp_rank_count": 1,
    "loads": [
        {
            "dp_rank": 3,
            "num_running_reqs": 4,
            "num_waiting_reqs": 2,
            "num_waiting_uncached_tokens": 700,
            "num_total_reqs": 6,
            "num_used_tokens": 50,
            "max_total_num_tokens": 100,
            "token_usage": 0.5,
            "gen_throughput": 123.5,
            "cache_hit_rate": 0.25,
            "utilization": 0.75,
            "max_running_requests": 64,
            "kv_transfer_latency_ms": 1.5,
            "kv_transfer_speed_gb_s": 10.0,
            "prefill_queue_reqs": 1,
            "decode_queue_reqs": 2,
            "disagg_mode": "prefill",
        }
    ],
}

VLLM = b"""\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 3.0
vllm:num_requests_running{engine="1",model_name="m"} 4.0
vllm:num_requests_waiting{engine="0",model_name="a } \\" b"} 2.0 1700000000000
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="m"} 0.75
vllm:gpu_prefix_cache_hit_rate{engine="0"} 0.5
vllm:time_to_first_token_seconds_bucket{le="0.001",model_name="m"} 17.0
"""

SGLANG = b"""\
# TYPE sglang:token_usage gauge
sglang:token_usage{model_name="m"} 0.28
sglang:num_running_reqs{model_name="m"} 162.0
sglang:num_queue_reqs{model_name="m"} 2826.0
sglang:gen_throughput{model_name="m"} 86.5
sglang:cache_hit_rate{model_name="m"} 0.007
sglang:utilization{model_name="m"} 0.6
"""


def ranks(*entries: dict[str, Any]) -> LoadReport | None:
    return native_report(list(entries))


def test_native() -> None:
    entries = native_ranks(NATIVE)
    assert entries is not None
    assert native_report(entries) == LoadReport(
        (
            RankLoad(
                dp_rank=3,
                running_requests=4,
                waiting_requests=2,
                waiting_uncached_tokens=700,
                used_tokens=50,
                max_tokens=100,
                token_usage=0.5,
                gen_throughput=123.5,
                cache_hit_rate=0.25,
                utilization=0.75,
                max_running_requests=64,
                kv_transfer_latency_ms=1.5,
                kv_transfer_speed_gb_s=10.0,
                prefill_queue_requests=1,
                decode_queue_requests=2,
            ),
        ),
        "loads",
    )


def test_native_and_back() -> None:
    report = native_report(NATIVE["loads"])
    assert report is not None
    (entry,) = load_formats.entries(report)
    (told,) = NATIVE["loads"]
    assert entry == {key: value for key, value in told.items() if KEYS[key]}


@pytest.mark.parametrize(
    "data",
    [None, 1, "x", [], {}, {"loads": None}, {"loads": {}}, {"loads": [1]}, {"loads": [{}, None]}],
)
def test_not_native(data: Any) -> None:
    assert native_ranks(data) is None


def test_too_many_ranks_are_no_answer() -> None:
    assert native_ranks({"loads": [{}] * 4096}) is not None
    assert native_ranks({"loads": [{}] * 4097}) is None


def test_every_field_is_optional() -> None:
    assert ranks({"token_usage": 0.5}) == LoadReport((RankLoad(token_usage=0.5),), "loads")
    assert ranks({"num_waiting_reqs": 0}) == LoadReport((RankLoad(waiting_requests=0),), "loads")


def test_a_rank_without_number_is_the_one_at_its_place() -> None:
    report = ranks({"num_waiting_reqs": 1}, {"num_waiting_reqs": 2})
    assert report is not None
    assert [rank.dp_rank for rank in report.ranks] == [0, 1]


def test_usage_follows_from_the_absolute_figures() -> None:
    report = ranks({"num_used_tokens": 30, "max_total_num_tokens": 40})
    assert report is not None
    assert report.token_usage == 0.75
    assert ranks({"num_used_tokens": 30, "max_total_num_tokens": 0}) is None


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"num_running_reqs": 5, "gen_throughput": 10.0},
        {"num_waiting_reqs": -1},
        {"num_waiting_reqs": True},
        {"num_waiting_reqs": "3"},
        {"num_waiting_reqs": 1e300},
        {"num_waiting_reqs": 10**400},
        {"token_usage": 87.5},
        {"token_usage": math.nan},
        {"token_usage": math.inf},
        {"token_usage": -0.1},
        {"token_usage": [0.5]},
    ],
)
def test_who_does_not_tell_how_long_requests_wait_gives_no_report(entry: dict[str, Any]) -> None:
    assert ranks(entry) is None


def test_a_little_above_full_is_full() -> None:
    report = ranks({"token_usage": 1.02})
    assert report is not None
    assert report.token_usage == 1.0


def test_vllm() -> None:
    expected = RankLoad(running_requests=7, waiting_requests=2, token_usage=0.5, cache_hit_rate=0.5)
    assert vllm_report(samples(VLLM)) == LoadReport((expected,), "vllm")


def test_vllm_under_the_older_name() -> None:
    report = vllm_report(samples(b"vllm:gpu_cache_usage_perc 0.4\n"))
    assert report == LoadReport((RankLoad(token_usage=0.4),), "vllm")


def test_sglang() -> None:
    expected = RankLoad(
        running_requests=162,
        waiting_requests=2826,
        token_usage=0.28,
        gen_throughput=86.5,
        cache_hit_rate=0.007,
        utilization=0.6,
    )
    found = samples(SGLANG)
    assert vllm_report(found) is None
    assert sglang_report(found) == LoadReport((expected,), "sglang")
    assert sglang_report(samples(SGLANG.replace(b"sglang:", b"sglang_"))) == sglang_report(found)


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
def test_the_use_of_the_kv_cache_is_required(engine: str) -> None:
    text = b"vllm:num_requests_waiting 3\nsglang:num_queue_reqs 3\n"
    report = vllm_report if engine == "vllm" else sglang_report
    assert report(samples(text)) is None


@pytest.mark.parametrize(
    "line",
    [
        b"vllm:kv_cache_usage_perc",
        b"vllm:kv_cache_usage_perc ",
        b"vllm:kv_cache_usage_perc NaN",
        b"vllm:kv_cache_usage_perc +Inf",
        b"vllm:kv_cache_usage_perc -1",
        b"vllm:kv_cache_usage_perc much",
        b'vllm:kv_cache_usage_perc{a="b" 0.5',
        b'vllm:kv_cache_usage_perc{a="b} 0.5',
        b"vllm:kv_cache_usage_perc_total 0.5",
        b" vllm:kv_cache_usage_perc 0.5",
        b"# vllm:kv_cache_usage_perc 0.5",
        b"sglang_token_usage_ 0.5",
        b"sglang__token_usage 0.5",
        b"my_vllm:kv_cache_usage_perc 0.5",
    ],
)
def test_lines_that_are_no_sample(line: bytes) -> None:
    assert samples(b"\n" + line + b"\n") == {}


def sound(report: LoadReport | None) -> bool:
    """Whether a policy may calculate with it."""
    if report is None:
        return True
    for rank in report.ranks:
        for key, field in KEYS.items():
            value = getattr(rank, field) if field else None
            if value is None:
                continue
            if not (math.isfinite(value) and 0 <= value <= 1e13):
                return False
            if key in ("token_usage", "cache_hit_rate", "utilization") and value > 1:
                return False
    return bool(report.ranks)


FIGURES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.just(10**400)
    | st.lists(st.integers(), max_size=2)
)
ENTRIES = st.dictionaries(st.sampled_from([*KEYS, "else"]), FIGURES, max_size=8)
JSON = st.recursive(
    FIGURES | ENTRIES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=12,
)


@given(data=JSON | st.fixed_dictionaries({"loads": st.lists(ENTRIES | FIGURES, max_size=5) | JSON}))
@settings(max_examples=300, deadline=None)
def test_any_json_gives_a_sound_report_or_none(data: Any) -> None:
    entries = native_ranks(data)
    if entries:
        assert sound(native_report(entries))


NAMES = st.sampled_from(
    [
        *("vllm:kv_cache_usage_perc", "vllm:num_requests_waiting", "vllm:num_requests_running"),
        *("sglang:token_usage", "sglang_gen_throughput", "sglang:num_queue_reqs", "else"),
    ]
)
VALUES = st.floats().map(str) | st.sampled_from(["1e999", "-0", "0x1", "1_0", ""]) | st.text()
LINES = st.builds(
    lambda name, labels, value: f"{name}{labels} {value}",
    NAMES,
    st.sampled_from(["", "{}", '{a="b"}', '{a="', '{a="\\"}"}', "{"]),
    VALUES,
)


@given(text=st.lists(LINES, max_size=8).map("\n".join).map(str.encode) | st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_text_gives_a_sound_report_or_none(text: bytes) -> None:
    found = samples(text)
    assert sound(vllm_report(found))
    assert sound(sglang_report(found))


def test_what_the_json_parser_makes_of_huge_numbers() -> None:
    for text in (b"1e400", b"123456789012345678901234567890", b"-1e400"):
        body = b'{"loads":[{"num_waiting_reqs":' + text + b',"token_usage":0.1}]}'
        try:
            entries = native_ranks(orjson.loads(body))
        except orjson.JSONDecodeError:
            continue
        assert entries is not None
        assert native_report(entries) == LoadReport((RankLoad(token_usage=0.1),), "loads")
