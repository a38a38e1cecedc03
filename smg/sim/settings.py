"""Command line of the simulated engine and its presets.

Units are in the option names. A preset fills what the command line leaves out.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class SimSettings:
    """How one simulated worker behaves. 0 means: no cost, or no limit."""

    host: str = "127.0.0.1"
    port: int = 31000
    models: tuple[str, ...] = ("sim",)
    owned_by: str = "smg-sim"
    api_key: str | None = None
    strict_model: bool = False
    tokens: int = 16
    max_model_len: int = 32768
    embedding_dimensions: int = 32
    prefill_tokens_per_second: float = 8000.0
    token_latency_ms: float = 25.0
    cache_blocks: int = 4096
    max_running: int = 256
    stream_writes: str = "each"
    tick_ms: float = 2.0
    role: str = "regular"
    engine: str = "sglang"
    bootstrap_port: int = 8998
    kv_engine_id: str = "sim-engine"
    kv_timeout_secs: float = 30.0
    kv_transfer_ms: float = 0.0
    load_reports: str = "all"
    keep_requests: int = 8
    faults: tuple[str, ...] = ()


PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "instant": {
        "prefill_tokens_per_second": 0.0,
        "token_latency_ms": 0.0,
        "cache_blocks": 0,
        "max_running": 0,
        "keep_requests": 1,
    },
}


def build_parser() -> argparse.ArgumentParser:
    """The flags; every default is None here, so that a preset can be told from a choice."""
    parser = argparse.ArgumentParser(
        prog="python -m smg.sim",
        description="A simulated LLM engine: OpenAI-compatible, no model, no GPU.",
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    serving = parser.add_argument_group("serving")
    serving.add_argument("--host", help="address to listen on (127.0.0.1)")
    serving.add_argument("--port", type=_port, help="port; 0 lets the system choose (31000)")
    serving.add_argument(
        "--model",
        action="append",
        dest="models",
        metavar="NAME",
        help="served model name, repeatable (sim)",
    )
    serving.add_argument("--owned-by", help="owned_by in /v1/models (smg-sim)")
    serving.add_argument("--api-key", help="require this bearer key")
    serving.add_argument(
        "--strict-model", action="store_true", help="answer 404 for other model names"
    )
    answers = parser.add_argument_group("answers")
    answers.add_argument(
        "--tokens", type=_positive, help="answer length when the request sets none (16)"
    )
    answers.add_argument(
        "--max-model-len", type=_positive, help="longest answer, and /v1/models (32768)"
    )
    answers.add_argument(
        "--embedding-dimensions", type=_positive, help="length of embedding vectors (32)"
    )
    timing = parser.add_argument_group("timing")
    timing.add_argument(
        "--preset", choices=sorted(PRESETS), help="instant: no waiting at all, for load tests"
    )
    timing.add_argument(
        "--prefill-tokens-per-second",
        type=_amount,
        help="prompt speed of the worker, 0 = instant (8000)",
    )
    timing.add_argument(
        "--token-latency-ms", type=_amount, help="time between tokens, 0 = instant (25)"
    )
    timing.add_argument(
        "--cache-blocks",
        type=_count,
        help="prefix cache, in blocks of 64 characters, 0 = off (4096)",
    )
    timing.add_argument(
        "--max-running", type=_count, help="requests at once, others wait, 0 = no limit (256)"
    )
    timing.add_argument(
        "--stream-writes",
        choices=["each", "joined"],
        help="instant streams: an HTTP chunk per frame, or one for all (each)",
    )
    timing.add_argument("--tick-ms", type=_tick, help="resolution of the pacing timer (2)")
    pairs = parser.add_argument_group("prefill/decode pairs")
    pairs.add_argument(
        "--role",
        choices=["regular", "prefill", "decode"],
        help="half of a pair, or a whole engine (regular)",
    )
    pairs.add_argument(
        "--engine", choices=["sglang", "vllm"], help="whose rules the halves follow (sglang)"
    )
    pairs.add_argument(
        "--bootstrap-port",
        type=_port,
        help="where decode workers find a prefill worker; 0 lets the system choose (8998)",
    )
    pairs.add_argument("--kv-engine-id", help="prefill's name for Mooncake (sim-engine)")
    pairs.add_argument(
        "--kv-timeout-secs",
        type=_amount,
        help="how long a half waits for the other, and keeps blocks that nobody takes (30)",
    )
    pairs.add_argument(
        "--kv-transfer-ms", type=_amount, help="time that taking the blocks costs (0)"
    )
    testing = parser.add_argument_group("testing")
    testing.add_argument(
        "--fault",
        action="append",
        dest="faults",
        metavar="SPEC",
        help="misbehave: docs/guide/simulated-engine.md",
    )
    testing.add_argument(
        "--load-reports",
        choices=["all", "metrics", "none"],
        help="who tells its load: /v1/loads and /metrics, only the latter, or neither (all)",
    )
    testing.add_argument(
        "--keep-requests", type=_count, help="requests shown by GET /sim/state (8)"
    )
    return parser


def parse(argv: Sequence[str]) -> SimSettings:
    """Settings for a command line; exits 2 on a wrong one."""
    given = vars(build_parser().parse_args(list(argv)))
    return make(**given)


def make(preset: str = "default", **given: Any) -> SimSettings:
    """Settings from keywords, over a preset; lists become tuples."""
    values = {**PRESETS[preset], **given}
    known = {field.name for field in fields(SimSettings)}
    if unknown := sorted(set(values) - known):
        raise TypeError(f"unknown settings: {', '.join(unknown)}")
    for name in ("models", "faults"):
        if name in values:
            values[name] = tuple(values[name])
    if values.get("role", "regular") != "regular":
        values.setdefault("owned_by", values.get("engine", SimSettings.engine))
    return SimSettings(**values)


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError("must be 0..65535")
    return value


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError("must be 0 or more")
    return value


def _amount(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError("must be 0 or more")
    return value


def _tick(text: str) -> float:
    value = float(text)
    # uvloop's timers count whole milliseconds; a finer wheel would spin.
    if not 1 <= value <= 1000:
        raise argparse.ArgumentTypeError("must be 1..1000")
    return value
