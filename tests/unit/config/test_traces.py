"""Flags of tracing: what is refused, and only when it is on."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from smg.config.parse import parse
from smg.core.errors import ConfigError


def problems(*argv: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(argv, {})
    return caught.value.problems


@pytest.mark.parametrize(
    "endpoint",
    [
        "localhost:4317",
        "http://collector.ns.svc:4317",
        "https://collector:443",
        "10.0.0.1:1",
        "[::1]:65535",
        "http://[fd00::1]:4317",
    ],
)
def test_collectors(endpoint: str):
    config = parse(["--enable-trace", "--otlp-traces-endpoint", endpoint], {}).config
    assert config.otlp_traces_endpoint == endpoint
    assert config.trace_sampling_ratio == 1.0


@pytest.mark.parametrize(
    ("endpoint", "text"),
    [
        ("host", "must be HOST:PORT"),
        ("http://host", "must be HOST:PORT"),
        (":4317", "needs a host"),
        ("http://:4317", "needs a host"),
        ("host:", "port must be 1-65535"),
        ("host:0", "port must be 1-65535"),
        ("host:65536", "port must be 1-65535"),
        ("host:x", "port must be 1-65535"),
        ("host:4317/v1/traces", "port must be 1-65535"),
        ("host/v1:4317", "host"),
        ("grpc://host:4317", "only http:// or https://"),
        ("http://me:hush@host:4317", "must not carry a user name or password"),
        ("::1:4317", "cannot be read"),
        ("ho st:4317", "cannot be read"),
    ],
)
def test_no_collectors(endpoint: str, text: str):
    (line,) = problems("--enable-trace", "--otlp-traces-endpoint", endpoint)
    assert line.startswith("--otlp-traces-endpoint: ")
    assert text in line
    assert "hush" not in line
    parse(["--otlp-traces-endpoint", endpoint], {})  # nobody looks at it


@pytest.mark.parametrize("ratio", ["-0.1", "1.1", "nan"])
def test_a_share_is_between_0_and_1(ratio: str):
    (line,) = problems("--enable-trace", f"--trace-sampling-ratio={ratio}")
    assert line.startswith("--trace-sampling-ratio: must be")


@pytest.mark.parametrize("missing", ["opentelemetry.sdk", "opentelemetry.exporter"])
def test_packages_that_are_missing(missing: str, monkeypatch: pytest.MonkeyPatch):
    find = importlib.util.find_spec

    def without(name: str, *more: Any) -> Any:
        if name == missing:
            return None
        if name.startswith(missing):
            raise ModuleNotFoundError(name)  # as for a package whose parent is missing
        return find(name, *more)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    (line,) = problems("--enable-trace")
    assert line == "--enable-trace: needs packages that are missing: pip install 'smg[tracing]'"
    parse([], {})
