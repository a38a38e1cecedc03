"""The workloads of docs/performance.md, each measured on one gateway at a time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from perf import cpu
from perf.load import ClosedLoop, PacedStreams
from perf.messages import SMALL_BODY, STREAM_CHUNKS, chat_body, request
from perf.processes import HOST
from perf.stats import percentile


@dataclass(frozen=True)
class Workload:
    """`requests` per round and gateway; for the paced one, `streams` at once."""

    name: str
    title: str
    unit: str  # what the CPU microseconds are divided by
    body: int = SMALL_BODY
    stream: bool = False
    requests: int = 0
    connections: int = 32
    streams: int = 0
    pace_ms: int = 100
    window: float = 5.0
    ramp: float = 2.0

    def quick(self) -> Workload:
        return replace(
            self,
            requests=max(64, self.requests // 8),
            streams=self.streams // 8,
            window=2.0,
            ramp=0.5,
        )


WORKLOADS: dict[str, Workload] = {
    workload.name: workload
    for workload in (
        Workload("latency", "one connection, 230 bytes", "request", requests=500, connections=1),
        Workload("small", "230 bytes", "request", requests=8000),
        Workload(
            "stream", f"stream of {STREAM_CHUNKS} chunks", "request", stream=True, requests=1500
        ),
        Workload("paced", "paced streams, 10 chunks/s each", "chunk", stream=True, streams=2000),
        Workload("32k", "32 kB", "request", body=32_000, requests=4000),
        Workload("256k", "256 kB", "request", body=256_000, requests=800),
        Workload("1m", "1 MB", "request", body=1_000_000, requests=200),
    )
}


@dataclass(frozen=True)
class Sample:
    """One round of one workload on one gateway."""

    cpu_us: float  # per unit of the workload; NaN without a process to read
    per_second: float  # units
    p50_ms: float
    p99_ms: float
    rss_mb: float  # under the load
    first_p50_ms: float  # first event of a stream
    first_p99_ms: float
    gap_p99_ms: float  # between the events of a paced stream
    errors: str


async def measure(workload: Workload, port: int, pid: int | None) -> Sample:
    if workload.streams:
        return await _paced(workload, port, pid)
    return await _closed(workload, port, pid)


async def _closed(workload: Workload, port: int, pid: int | None) -> Sample:
    body = chat_body(workload.body, stream=workload.stream)
    load = ClosedLoop(
        HOST,
        port,
        request(body, HOST, port),
        connections=workload.connections,
        total=workload.requests,
        wanted=STREAM_CHUNKS if workload.stream else 0,
    )
    await load.connect()
    meter = cpu.Meter(pid) if pid is not None else None
    if meter:
        meter.start()
    result = await load.run()
    used = meter.stop() if meter else float("nan")
    return Sample(
        cpu_us=used * 1e6 / max(1, result.answers),
        per_second=result.answers / result.seconds,
        p50_ms=result.milliseconds(50),
        p99_ms=result.milliseconds(99),
        rss_mb=cpu.rss_bytes(pid) / 1e6 if pid is not None else float("nan"),
        first_p50_ms=percentile(result.first, 50) * 1e3,
        first_p99_ms=percentile(result.first, 99) * 1e3,
        gap_p99_ms=float("nan"),
        errors=result.describe_errors(),
    )


async def _paced(workload: Workload, port: int, pid: int | None) -> Sample:
    settle = 0.5
    # Every stream must outlive the window, the first one included.
    chunks = int((workload.ramp + 2 * settle + workload.window) * 1000 / workload.pace_ms) + 5
    body = chat_body(stream=True, chunks=chunks, pace_ms=workload.pace_ms)
    load = PacedStreams(
        HOST,
        port,
        [(request(body, HOST, port), chunks)],
        streams=workload.streams,
        ramp=workload.ramp,
    )
    await load.start()
    await asyncio.sleep(settle)
    load.gaps.clear()
    meter = cpu.Meter(pid) if pid is not None else None
    if meter:
        meter.start()
    before = load.result.events
    await asyncio.sleep(workload.window)
    used = meter.stop() if meter else float("nan")
    events = load.result.events - before
    gaps = list(load.gaps)
    rss = cpu.rss_bytes(pid) / 1e6 if pid is not None else float("nan")
    result = await load.finish(timeout=30.0 + workload.window)
    return Sample(
        cpu_us=used * 1e6 / max(1, events),
        per_second=events / workload.window,
        p50_ms=float("nan"),
        p99_ms=float("nan"),
        rss_mb=rss,
        first_p50_ms=percentile(result.first, 50) * 1e3,
        first_p99_ms=percentile(result.first, 99) * 1e3,
        gap_p99_ms=percentile(gaps, 99) * 1e3,
        errors=result.describe_errors(),
    )
