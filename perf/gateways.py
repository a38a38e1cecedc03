"""How each gateway is started: one row per gateway, with defaults except where the workload needs
more.

A peer that is not installed (see perf/peers.sh) has no command and is left out of the run.
"""

from __future__ import annotations

import functools
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / ".peers"


@dataclass(frozen=True)
class Start:
    """Where a gateway listens, whom it serves, and a directory for its files."""

    host: str
    port: int
    metrics_port: int
    workers: Sequence[str]
    directory: Path
    many_streams: bool = False  # more concurrent streams than the gateway's default limit
    policy: str = "round_robin"  # of gateways that have policies


@dataclass(frozen=True)
class Gateway:
    name: str
    label: str
    program: Callable[[], str | None]  # path of its program, None when missing
    arguments: Callable[[Start], list[str]]

    def command(self, start: Start) -> list[str] | None:
        program = self.program()
        return None if program is None else [program, *self.arguments(start)]


def _file(path: Path) -> Callable[[], str | None]:
    return lambda: str(path) if path.exists() else None


def _ours() -> str | None:
    beside = Path(sys.executable).parent / "smg"
    return str(beside) if beside.exists() else shutil.which("smg")


def _haproxy() -> str | None:
    unpacked = PEERS / "haproxy" / "usr" / "sbin" / "haproxy"
    return (
        str(unpacked) if unpacked.exists() else shutil.which("haproxy", path="/usr/sbin:/usr/bin")
    )


def _router_flags(level: str) -> Callable[[Start], list[str]]:
    def flags(start: Start) -> list[str]:
        return [
            "--worker-urls", *start.workers,
            "--policy", start.policy,
            "--log-level", level,
            "--host", start.host,
            "--port", str(start.port),
            "--prometheus-port", str(start.metrics_port),
        ]  # fmt: skip

    return flags


def _launch(start: Start) -> list[str]:
    return ["launch", *_router_flags("warn")(start)]


def _reference(start: Start) -> list[str]:
    flags = _launch(start)
    # It allows 4,096 requests at once by default, and a stream is one. Ours has no limit yet.
    return [*flags, "--max-concurrent-requests", "20000"] if start.many_streams else flags


def _sglang(start: Start) -> list[str]:
    return ["-m", "sglang_router.launch_router", *_router_flags("warn")(start)]


# maxconn: two descriptors each must fit the usual hard limit of 20,000.
HAPROXY_CONFIG = """\
global
    nbthread 1
    maxconn 9900
defaults
    mode http
    option http-keep-alive
    http-reuse always
{delay}    timeout connect 5s
    timeout client 300s
    timeout server 300s
frontend clients
    bind {host}:{port}
    default_backend workers
backend workers
    balance roundrobin
{servers}
"""


def _haproxy_arguments(start: Start, *, no_delay: bool = False) -> list[str]:
    # By default HAProxy holds the chunks of a slow stream back for up to 200 ms (MSG_MORE). That is
    # the cheaper, hence the harder figure to compare with; no-delay is how one would run it before
    # language models.
    delay = "    option http-no-delay\n" if no_delay else ""
    servers = "\n".join(
        f"    server w{number} {url.split('//')[1]} check inter 60s"
        for number, url in enumerate(start.workers)
    )
    config = start.directory / "haproxy.cfg"
    config.write_text(
        HAPROXY_CONFIG.format(host=start.host, port=start.port, servers=servers, delay=delay)
    )
    return ["-db", "-f", str(config)]


def _prototype(start: Start) -> list[str]:
    return [
        "-m", "perf.prototype", "--worker-urls", *start.workers,
        "--host", start.host, "--port", str(start.port),
    ]  # fmt: skip


GATEWAYS: dict[str, Gateway] = {
    gateway.name: gateway
    for gateway in (
        Gateway("smg", "SMG", _ours, _launch),
        Gateway("reference", "reference 1.13", _file(PEERS / "reference/bin/smg"), _reference),
        Gateway("haproxy", "HAProxy, 1 thread", _haproxy, _haproxy_arguments),
        Gateway(
            "haproxy-nodelay",
            "HAProxy, no-delay",
            _haproxy,
            functools.partial(_haproxy_arguments, no_delay=True),
        ),
        Gateway("sglang", "sglang-router", _file(PEERS / "sglang/bin/python"), _sglang),
        Gateway(
            "vllm", "vllm-router", _file(PEERS / "vllm/bin/vllm-router"), _router_flags("warning")
        ),
        Gateway("prototype", "prototype", lambda: sys.executable, _prototype),
    )
}

DEFAULT = ("smg", "reference", "haproxy", "sglang", "vllm", "prototype")
