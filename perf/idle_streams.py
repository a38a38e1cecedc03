"""Thousands of mostly idle streams through one gateway process: `python -m perf.idle_streams`.

A chat whose model thinks for seconds between tokens costs a gateway two sockets and next to no CPU;
what can go wrong is memory per stream, a lost stream, and a loop that answers late. Every stream is
checked to its end. Reported: how late the gateway's loop ran (its own metric, where it has one),
how long /health took meanwhile, memory and CPU.

Descriptors are limited per process (20,000 here), so 8,000 streams need two workers, one gateway,
and one client.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import re
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import uvloop

from perf import cpu
from perf.gateways import GATEWAYS
from perf.load import PacedStreams
from perf.messages import chat_body, request
from perf.processes import HOST, NotReady, Running, fetch, running, start_gateway, start_workers
from perf.stats import histogram_percentile, percentile

LOOP_DELAY = "smg_event_loop_delay_seconds"
PACES_MS = (5000, 6250, 7500, 8750, 10000)
_BUCKET = re.compile(
    rb"^" + LOOP_DELAY.encode() + rb'_bucket\{[^}]*le="([^"]+)"[^}]*\} (\S+)', re.MULTILINE
)


def loop_delay_buckets(exposition: bytes) -> dict[float, float]:
    """Cumulative counts by bound; several processes or labels are added up."""
    buckets: dict[float, float] = {}
    for bound, count in _BUCKET.findall(exposition):
        buckets[float(bound)] = buckets.get(float(bound), 0.0) + float(count)
    return buckets


def delay_percentile(before: bytes, after: bytes, percent: float) -> float:
    """Of what was observed between two scrapes, in seconds; NaN without the metric."""
    old = loop_delay_buckets(before)
    new = loop_delay_buckets(after)
    return histogram_percentile(
        [(bound, count - old.get(bound, 0.0)) for bound, count in new.items()], percent
    )


@dataclass
class Outcome:
    gateway: str
    streams: int
    finished: int
    errors: str
    rss_idle_mb: float
    rss_mb: float
    cpu_percent: float
    events_per_second: float
    health_p50_ms: float
    health_p99_ms: float
    loop_p99_ms: float

    def lines(self) -> list[str]:
        per_stream = (self.rss_mb - self.rss_idle_mb) * 1000 / self.streams
        return [
            f"{self.gateway}: {self.finished} of {self.streams} streams complete"
            + (f"; ERRORS {self.errors}" if self.errors else ""),
            f"  RSS {self.rss_idle_mb:.0f} MB idle, {self.rss_mb:.0f} MB with all streams"
            f" ({per_stream:.1f} kB each)",
            f"  CPU {self.cpu_percent:.1f} % of a core at {self.events_per_second:,.0f} events/s",
            f"  /health p50 {self.health_p50_ms:.2f} ms, p99 {self.health_p99_ms:.2f} ms",
            f"  loop delay p99 {self.loop_p99_ms:.2f} ms (gateway's own metric; nan = none)",
        ]


async def _probe(port: int, times: list[float]) -> None:
    """Asks /health ten times a second, as a kubelet never would."""
    while True:
        begun = time.perf_counter()
        with contextlib.suppress(OSError, EOFError, asyncio.TimeoutError):
            await fetch(port, "/health")
            times.append(time.perf_counter() - begun)
        await asyncio.sleep(0.1)


async def _scrape(gateway: Running) -> bytes:
    with contextlib.suppress(OSError, EOFError, asyncio.TimeoutError):
        return await fetch(gateway.metrics_port, "/metrics")
    return b""


async def measure(name: str, streams: int, seconds: float, ramp: float, directory: Path) -> Outcome:
    with running([]) as programs:
        worker_ports = await start_workers(programs, "raw", 2, directory)
        gateway = await start_gateway(
            programs, GATEWAYS[name], worker_ports, directory, many_streams=True
        )
        pid, port = gateway.program.pid, gateway.port
        idle = cpu.rss_bytes(pid) / 1e6
        requests = []
        for pace in PACES_MS:
            # Streams of every pace live a little longer than ramp and window together.
            chunks = int((ramp + seconds + 2) * 1000 / pace) + 2
            body = chat_body(stream=True, chunks=chunks, pace_ms=pace)
            requests.append((request(body, HOST, port), chunks))
        load = PacedStreams(HOST, port, requests, streams=streams, ramp=ramp)
        await load.start()
        times: list[float] = []
        probe = asyncio.ensure_future(_probe(port, times))
        scraped = await _scrape(gateway)
        meter = cpu.Meter(pid)
        meter.start()
        events, begun = load.result.events, time.perf_counter()
        await asyncio.sleep(seconds)
        elapsed = time.perf_counter() - begun
        used, events = meter.stop(), load.result.events - events
        rss = cpu.rss_bytes(pid) / 1e6
        delay = delay_percentile(scraped, await _scrape(gateway), 99)
        probe.cancel()
        result = await load.finish(timeout=max(PACES_MS) / 1000 * 2 + 10)
    return Outcome(
        gateway=name,
        streams=streams,
        finished=result.answers,
        errors=result.describe_errors(),
        rss_idle_mb=idle,
        rss_mb=rss,
        cpu_percent=100 * used / elapsed,
        events_per_second=events / elapsed,
        health_p50_ms=percentile(times, 50) * 1e3,
        health_p99_ms=percentile(times, 99) * 1e3,
        loop_p99_ms=delay * 1e3,
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="perf.idle_streams", description=__doc__)
    parser.add_argument("--gateways", default="smg", help="comma list; one after the other")
    parser.add_argument("--streams", type=int, default=8000)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--ramp", type=float, default=8.0, help="seconds to open all streams")
    options = parser.parse_args()
    failed = False
    for name in options.gateways.split(","):
        directory = Path(tempfile.mkdtemp(prefix="perf-"))
        work = measure(name, options.streams, options.seconds, options.ramp, directory)
        try:
            outcome = uvloop.run(work)
        except NotReady as problem:
            print(f"{name}: {problem}")
            failed = True
            continue
        print(*outcome.lines(), sep="\n", flush=True)
        if outcome.finished == outcome.streams:
            shutil.rmtree(directory, ignore_errors=True)
        else:
            failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
