"""The gateway, looked at from outside: its metrics, its memory and its sockets."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
from dataclasses import dataclass
from typing import Any

from perf import cpu
from perf.idle_streams import delay_percentile
from perf.processes import Running, call, fetch

#: Families that are zero when no request is under way and no client connected. The ages of requests
#: are missing: they are taken every 20 s, so they tell of the past.
AT_REST = (
    "smg_http_connections_active",
    "smg_http_open_connections",
    "smg_worker_requests_active",
    "smg_admission_inflight",
    "smg_admission_queue_depth",
)
REST_SECS = 20.0


def family(exposition: bytes, name: str) -> float:
    """Sum over the series of a family; NaN if there is none."""
    total = math.nan
    for line in exposition.decode().splitlines():
        if line.startswith(name) and line[len(name) : len(name) + 1] in ("{", " "):
            value = float(line.rpartition(" ")[2])
            total = value if math.isnan(total) else total + value
    return total


def sockets(pid: int) -> int:
    """Sockets that a process tree has open."""
    count = 0
    for one in cpu.tree(pid):
        folder = f"/proc/{one}/fd"
        with contextlib.suppress(OSError):
            for name in os.listdir(folder):
                with contextlib.suppress(OSError):
                    count += os.readlink(f"{folder}/{name}").startswith("socket:")
    return count


@dataclass(frozen=True)
class Look:
    """The gateway at one moment; NaN for what it does not publish."""

    exposition: bytes
    rss_mb: float
    sockets: int
    clients: float  # open client connections
    upstream: float  # open connections to workers
    tasks: float  # on the event loop

    def loop_p99_ms(self, before: Look) -> float:
        """99th percentile of the event loop's delay since another look."""
        return delay_percentile(before.exposition, self.exposition, 99) * 1e3

    def busy(self) -> dict[str, float]:
        """Gauges that are not zero although they should be."""
        found = {name: family(self.exposition, name) for name in AT_REST}
        return {name: value for name, value in found.items() if value > 0}


async def look(gateway: Running) -> Look:
    """Scrape and read; a gateway that does not answer in time has no metrics."""
    exposition = b""
    with contextlib.suppress(OSError, EOFError, asyncio.TimeoutError):
        exposition = await fetch(gateway.metrics_port, "/metrics")
    pid = gateway.program.pid
    return Look(
        exposition=exposition,
        rss_mb=cpu.rss_bytes(pid) / 1e6,
        sockets=sockets(pid),
        clients=family(exposition, "smg_http_open_connections"),
        upstream=family(exposition, "smg_worker_connections_active"),
        tasks=family(exposition, "smg_event_loop_tasks"),
    )


async def left_behind(gateway: Running, before: Look) -> dict[str, Any]:
    """What the gateway holds although no client is there, against a look before any came.

    Waits for it to go: pools keep idle connections for some seconds.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + REST_SECS
    while True:
        now = await look(gateway)
        left: dict[str, Any] = dict(now.busy())
        if not now.exposition:
            left["metrics"] = "no answer"
        if now.sockets > before.sockets:
            left["sockets"] = now.sockets - before.sockets
        if now.tasks > before.tasks:
            left["tasks"] = now.tasks - before.tasks
        with contextlib.suppress(OSError, EOFError, asyncio.TimeoutError):
            _, listed = await call(gateway.port, "GET", "/workers")
            for worker in listed["workers"]:
                if worker.get("load"):
                    left[f"load of {worker['url']}"] = worker["load"]
        if not left or loop.time() > until:
            return left
        await asyncio.sleep(0.25)
