"""Flags: logs, metrics and traces (cli 4.6)."""

from __future__ import annotations

from functools import partial

from smg.config.flags.row import Flag
from smg.config.kinds import Choice, Float, Kind, Many, Port, Switch

log = partial(Flag, group="Logging")
prometheus = partial(Flag, group="Prometheus Metrics")
trace = partial(Flag, group="Tracing")

# Upper bounds in seconds of duration histograms: a millisecond to two hours (operations 1.2).
DURATION_BUCKETS = (
    *(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 240.0, 300.0, 480.0),
    *(900.0, 1200.0, 1800.0, 2700.0, 3600.0, 5400.0, 7200.0),
)

FLAGS = (
    log(
        name="log-level",
        kind=Choice("debug", "info", "warn", "error"),
        default="info",
        help="Log level. SMG_LOG, else RUST_LOG, replaces it when set.",
    ),
    log(name="log-dir", kind=Kind("DIR"), help="Also write daily log files into this directory."),
    log(name="log-json", kind=Switch(), default=False, help="Log lines as JSON."),
    prometheus(
        name="prometheus-port",
        kind=Port(0),
        default=29000,
        help="Port of the metrics listener; 0 lets the system choose.",
    ),
    prometheus(
        name="prometheus-host",
        kind=Kind("HOST"),
        default="0.0.0.0",
        help="Address of the metrics listener.",
    ),
    prometheus(
        name="prometheus-duration-buckets",
        kind=Many(Float(0)),
        default=DURATION_BUCKETS,
        help="Upper bounds in seconds of duration histograms, ascending.",
    ),
    trace(
        name="enable-trace",
        kind=Switch(),
        default=False,
        help="Export OpenTelemetry traces. Needs the extra smg[tracing].",
    ),
    trace(
        name="otlp-traces-endpoint",
        kind=Kind("HOST:PORT"),
        default="localhost:4317",
        mode="with --enable-trace",
        help="Collector of the traces, OTLP over gRPC; https:// before it for TLS.",
    ),
    trace(
        name="trace-sampling-ratio",
        kind=Float(0, 1),
        default=1.0,
        mode="with --enable-trace",
        tag="beyond",
        help="Share of the traces that begin here; callers decide about theirs.",
    ),
)
