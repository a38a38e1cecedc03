from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from smg.observability.engine_metrics import merge

W1 = """\
# HELP sglang:token_usage Share of sglang:tokens in use
# TYPE sglang:token_usage gauge
sglang:token_usage{model_name="http://m:1",dp_rank="0"} 8.128902e+06
# TYPE sglang:latency_seconds histogram
sglang:latency_seconds_bucket{le="0.5",zone="a"} 1.0
sglang:latency_seconds_bucket{le="+Inf",zone="a"} 2.0
sglang:latency_seconds_sum{zone="a"} 1.5
sglang:latency_seconds_count{zone="a"} 2.0
"""
W2 = """\
# TYPE sglang:token_usage gauge
sglang:token_usage{model_name="m"} 1.0
"""


def test_two_workers():
    assert merge([("http://w1:8000", W1), ("http://w2:8000", W2)]).decode() == (
        "# HELP sglang_token_usage Share of sglang:tokens in use\n"
        "# TYPE sglang_token_usage gauge\n"
        'sglang_token_usage{dp_rank="0",model_name="http://m:1",worker_addr="http://w1:8000"}'
        " 8128902\n"
        'sglang_token_usage{dp_rank="",model_name="m",worker_addr="http://w2:8000"} 1\n'
        "\n"
        "# TYPE sglang_latency_seconds histogram\n"
        'sglang_latency_seconds_bucket{worker_addr="http://w1:8000",zone="a",le="0.5"} 1\n'
        'sglang_latency_seconds_bucket{worker_addr="http://w1:8000",zone="a",le="+Inf"} 2\n'
        'sglang_latency_seconds_sum{worker_addr="http://w1:8000",zone="a"} 1.5\n'
        'sglang_latency_seconds_count{worker_addr="http://w1:8000",zone="a"} 2\n'
    )


@pytest.mark.parametrize(
    "text", ["<!DOCTYPE html>\n<html><body>Not Found</body></html>", 'a{x="1} 2', "a b c", "{"]
)
def test_what_does_not_parse_is_skipped(text: str, caplog: pytest.LogCaptureFixture):
    assert merge([("http://bad", text), ("http://w2", W2)]) == merge([("http://w2", W2)])
    assert "http://bad is skipped" in caplog.text or "http://bad are skipped" in caplog.text
    assert merge([("http://bad", text)]) == b""


def test_nothing_gives_nothing():
    assert merge([]) == b""
    assert merge([("http://w", "")]) == b""


def test_the_first_type_wins(caplog: pytest.LogCaptureFixture):
    one = "# TYPE a gauge\na 1\n# TYPE b gauge\nb 1\n"
    two = "# TYPE a histogram\na_sum 1\na_count 1\n# TYPE b gauge\nb 2\n"
    assert merge([("w1", one), ("w2", two)]).decode() == (
        '# TYPE a gauge\na{worker_addr="w1"} 1\n'
        "\n"
        '# TYPE b gauge\nb{worker_addr="w1"} 1\nb{worker_addr="w2"} 2\n'
    )
    assert "metric a of worker w2 is skipped" in caplog.text


def test_counters_keep_their_names():
    text = "# TYPE plain counter\nplain 1\n# TYPE good_total counter\ngood_total 2\nfree 3\n"
    assert merge([("w", text)]).decode() == (
        '# TYPE plain counter\nplain{worker_addr="w"} 1\n'
        "\n"
        '# TYPE good_total counter\ngood_total{worker_addr="w"} 2\n'
        "\n"
        '# TYPE free untyped\nfree{worker_addr="w"} 3\n'
    )


def test_a_gateway_behind_a_gateway_keeps_its_address():
    inner = merge([("http://inner", W2)]).decode()
    assert merge([("http://outer", inner)]).decode().splitlines()[-1] == (
        'sglang_token_usage{exported_worker_addr="http://inner",model_name="m",'
        'worker_addr="http://outer"} 1'
    )


def test_what_the_client_library_writes_survives():
    registry = CollectorRegistry()
    Counter("vllm:tokens", "T.", ["m"], registry=registry).labels('q"\\\n').inc(3)
    Gauge("vllm:load", "L.", registry=registry).set(0.5)
    Histogram("vllm:time", "T.", registry=registry, buckets=(0.5, 1)).observe(0.7)
    merged = merge([("http://w", generate_latest(registry).decode())]).decode()
    got = {
        (sample.name, sample.labels.get("le")): (sample.value, sample.labels["worker_addr"])
        for family in text_string_to_metric_families(merged)
        for sample in family.samples
        if not sample.name.endswith("_created")
    }
    assert got == {
        ("vllm_tokens_total", None): (3.0, "http://w"),
        ("vllm_load", None): (0.5, "http://w"),
        ("vllm_time_bucket", "0.5"): (0.0, "http://w"),
        ("vllm_time_bucket", "1.0"): (1.0, "http://w"),
        ("vllm_time_bucket", "+Inf"): (1.0, "http://w"),
        ("vllm_time_sum", None): (0.7, "http://w"),
        ("vllm_time_count", None): (1.0, "http://w"),
    }
