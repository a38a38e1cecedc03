"""Flags: where the gateway listens and which workers it starts with (cli 4.1, 4.14)."""

from __future__ import annotations

from functools import partial

from smg.config.flags.row import Flag
from smg.config.kinds import Choice, Int, Kind, Many, Port, Seconds, Switch

flag = partial(Flag, group="Worker Configuration")

FLAGS = (
    flag(
        name="config",
        kind=Kind("FILE"),
        tag="beyond",
        help="Settings file (.yaml, .yml, .json, .toml). Flags and environment win over it.",
    ),
    flag(
        name="host",
        kind=Kind("HOST"),
        default="0.0.0.0",
        help="Address to listen on: IPv4, IPv6 with or without brackets, or a host name.",
    ),
    flag(name="port", kind=Port(), default=30000, help="Port of the API."),
    flag(
        name="health-check-port",
        kind=Port(),
        tag="beyond",
        help="Extra plain-HTTP port on --host for /liveness, /readiness and /health only; it "
        "answers however busy the gateway is.",
    ),
    flag(
        name="worker-urls",
        kind=Many(Kind("URL")),
        default=(),
        help="Base URLs of the workers to start with.",
        mode="regular",
    ),
    flag(
        name="backend",
        aliases=("runtime",),
        kind=Choice(
            "sglang",
            "vllm",
            "trtllm",
            "tokenspeed",
            later=dict.fromkeys(("openai", "anthropic", "gemini"), "external providers"),
        ),
        help="Engine behind the workers; a hint, workers are asked either way.",
    ),
    flag(
        name="zmq-engine-count",
        kind=Int(1),
        tag="beyond",
        feature="ZMQ workers",
        help="Data-parallel engines per ipc:// start-up worker.",
    ),
    flag(
        name="upstream-http2",
        kind=Switch(),
        default=False,
        tag="beyond",
        feature="HTTP/2 to workers",
        help="HTTP/2 with prior knowledge to all HTTP workers.",
    ),
    flag(
        name="upstream-pool-idle-timeout-secs",
        kind=Seconds(),
        default=3,
        tag="beyond",
        help="Idle life of a pooled worker connection. Keep it under the engine's own keep-alive, "
        "which is usually 5 s. 0 keeps connections for ever.",
    ),
    flag(
        name="job-queue-capacity",
        kind=Int(1, 1_000_000),
        default=1000,
        tag="beyond",
        help="Control-plane jobs that may wait.",
    ),
    flag(
        name="job-queue-concurrency",
        kind=Int(1, 100_000),
        default=200,
        tag="beyond",
        help="Control-plane jobs that run at once.",
    ),
    flag(
        name="worker-startup-timeout-secs",
        kind=Seconds(1),
        default=1800,
        help="Time a new worker may take to answer its first probe.",
    ),
    flag(
        name="worker-startup-delay",
        kind=Seconds(),
        default=0,
        tag="beyond",
        help="Seconds to wait before the first probe of each worker.",
    ),
    flag(
        name="worker-startup-check-interval",
        kind=Seconds(1),
        default=30,
        help="Longest pause between two probes of a worker that is starting, in seconds.",
    ),
)
