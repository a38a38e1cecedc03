"""Traffic while the fleet changes: `python -m perf.churn --seconds 120 --rate 500`.

Workers are added, drained, removed, replaced and changed at random through the worker API while an
open loop sends short answers and streams of up to three seconds. A worker's process ends as soon as
the gateway says that the worker is gone, as in a rolling upgrade. Bounds: no request fails, no
stream is cut, afterwards nothing is counted as in flight. Exit code 1 when one is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop

from perf import cpu
from perf.gateways import GATEWAYS
from perf.load import Answer, Result
from perf.messages import chat_body, request
from perf.processes import (
    HOST,
    NotReady,
    Program,
    Running,
    call,
    fetch,
    free_ports,
    running,
    start,
    start_gateway,
    wait_port,
    worker_command,
)
from perf.stats import percentile

#: (share, events of a stream or 0, milliseconds between them)
MIX = ((0.6, 0, 0), (0.25, 20, 20), (0.1, 30, 50), (0.05, 30, 100))
LEAST_WORKERS = 2
IN_FLIGHT = ("smg_http_connections_active", "smg_worker_requests_active", "smg_inflight")


class OpenLoop:
    """Requests at a steady rate, each on an idle connection or a new one."""

    def __init__(self, port: int, rate: float, chance: random.Random) -> None:
        self.port, self.rate, self.chance = port, rate, chance
        self.results = [Result() for _ in MIX]
        self.requests = [
            request(chat_body(stream=bool(events), chunks=events or 33, pace_ms=pace), HOST, port)
            for _, events, pace in MIX
        ]
        self.idle: list[list[Answer]] = [[] for _ in MIX]
        self.busy = 0
        self.sent = 0

    async def run(self, seconds: float) -> None:
        """Sends for `seconds`, then waits for what is under way."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while (now := loop.time()) < begun + seconds:
            while self.sent < (now - begun) * self.rate:
                self.sent += 1
                await self._send()
            await asyncio.sleep(0.005)
        for _ in range(1000):
            if not self.busy:
                return
            await asyncio.sleep(0.02)
        self.results[0].errors["never answered"] += self.busy

    async def _send(self) -> None:
        kind = self.chance.choices(range(len(MIX)), [share for share, _, _ in MIX])[0]
        self.busy += 1
        idle = self.idle[kind]
        while idle:
            answer = idle.pop()
            if not answer.transport.is_closing():
                answer.send(self.requests[kind])
                return
        loop = asyncio.get_running_loop()

        def finished(answer: Answer, reason: str) -> None:
            self.busy -= 1
            self.idle[kind].append(answer)

        try:
            _, answer = await loop.create_connection(
                lambda: Answer(self.results[kind], MIX[kind][1], finished), HOST, self.port
            )
        except OSError as error:
            self.busy -= 1
            self.results[kind].errors[f"connect: {type(error).__name__}"] += 1
            return
        answer.send(self.requests[kind])

    def close(self) -> None:
        for idle in self.idle:
            for answer in idle:
                answer.transport.close()


@dataclass
class Fleet:
    """Worker processes and what the gateway was told of them."""

    gateway: Running
    ports: list[int]
    programs: list[Program]
    directory: Path
    chance: random.Random
    processes: dict[int, Program] = field(default_factory=dict)
    ids: dict[int, str] = field(default_factory=dict)  # of the registered ones, by port
    leaving: dict[int, asyncio.Task[None]] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)
    problems: Counter[str] = field(default_factory=Counter)
    runs: int = 0

    async def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        return await call(self.gateway.port, method, path, body)

    async def add(self, port: int) -> None:
        if port not in self.processes:
            self.runs += 1
            command = worker_command("raw", port)
            program = start(f"worker{port}-{self.runs}", command, self.directory)
            self.programs.append(program)
            self.processes[port] = program
            await wait_port(program, port)
        spec = {
            "url": f"http://{HOST}:{port}",
            "health": {"drain_settle_secs": self.chance.choice((0, 0.5, 1))},
        }
        status, body = await self.call("POST", "/workers", spec)
        if status != 202:
            self.problems[f"add: {status} {body}"] += 1
            return
        worker_id = body["worker_id"]
        for _ in range(200):
            status, info = await self.call("GET", f"/workers/{worker_id}")
            if status == 200 and info["status"] == "ready":
                self.ids[port] = worker_id
                self.done["added"] += 1
                return
            await asyncio.sleep(0.05)
        self.problems["add: never ready"] += 1

    async def remove(self, port: int) -> None:
        worker_id = self.ids.pop(port)
        status, _ = await self.call("DELETE", f"/workers/{worker_id}")
        if status != 202:
            self.problems[f"remove: {status}"] += 1
            return
        for _ in range(1000):
            status, info = await self.call("GET", f"/workers/{worker_id}")
            if status == 404:
                break
            if info["status"] != "draining":
                self.problems[f"remove: {info['status']}"] += 1
            await asyncio.sleep(0.05)
        else:
            self.problems["remove: never gone"] += 1
        # The gateway says that nothing runs on it any more: it may end.
        self.processes.pop(port).stop()
        self.done["removed"] += 1

    async def change(self, port: int) -> None:
        patch = {
            "labels": {"run": str(self.chance.random())},
            "cost": self.chance.choice((0.5, 1, 2)),
        }
        status, _ = await self.call("PATCH", f"/workers/{self.ids[port]}", patch)
        self.done["changed"] += status == 202
        if status != 202:
            self.problems[f"change: {status}"] += 1

    async def replace(self, port: int) -> None:
        spec = {"url": f"http://{HOST}:{port}", "labels": {"replaced": "yes"}}
        status, _ = await self.call("PUT", f"/workers/{self.ids[port]}", spec)
        self.done["replaced"] += status == 202
        if status != 202:
            self.problems[f"replace: {status}"] += 1

    def _left(self, port: int, task: asyncio.Task[None]) -> None:
        del self.leaving[port]

    async def churn(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            await asyncio.sleep(self.chance.uniform(0.1, 0.8))
            free = [
                port for port in self.ports if port not in self.ids and port not in self.leaving
            ]
            action = self.chance.choice(("add", "remove", "remove", "change", "replace"))
            if action == "add" or len(self.ids) <= LEAST_WORKERS:
                if free:
                    await self.add(self.chance.choice(free))
                continue
            port = self.chance.choice(list(self.ids))
            if action == "remove":
                task = asyncio.ensure_future(self.remove(port))
                self.leaving[port] = task
                task.add_done_callback(functools.partial(self._left, port))
            else:
                await getattr(self, action)(port)
        await asyncio.gather(*self.leaving.values())


def in_flight(exposition: bytes) -> dict[str, float]:
    """Gauges of requests under way that are not zero."""
    left = {}
    for line in exposition.decode().splitlines():
        name = line.partition("{")[0].partition(" ")[0]
        if name.startswith(IN_FLIGHT):
            value = float(line.rpartition(" ")[2])
            if value:
                left[line.rpartition(" ")[0]] = value
    return left


async def measure(options: argparse.Namespace) -> bool:
    directory = Path(tempfile.mkdtemp(prefix="perf-"))
    chance = random.Random(options.seed)
    with running([]) as programs:
        ports = free_ports(options.workers)
        processes = {}
        for port in ports[:LEAST_WORKERS]:
            program = start(f"worker{port}", worker_command("raw", port), directory)
            programs.append(program)
            processes[port] = program
            await wait_port(program, port)
        gateway = await start_gateway(
            programs,
            GATEWAYS["smg"],
            ports[:LEAST_WORKERS],
            directory,
            named=False,
            policy=options.policy,
            extra=["--health-check-interval-secs", "5"],
        )
        fleet = Fleet(gateway, ports, programs, directory, chance, processes)
        _, listed = await fleet.call("GET", "/workers")
        for worker in listed["workers"]:
            fleet.ids[int(worker["url"].rpartition(":")[2])] = worker["id"]
        load = OpenLoop(gateway.port, options.rate, chance)
        meter = cpu.Meter(gateway.program.pid)
        meter.start()
        await asyncio.gather(load.run(options.seconds), fleet.churn(options.seconds))
        used = meter.stop()
        load.close()
        await asyncio.sleep(1)
        _, listed = await fleet.call("GET", "/workers")
        loads = {worker["url"]: worker["load"] for worker in listed["workers"] if worker["load"]}
        left = in_flight(await fetch(gateway.metrics_port, "/metrics"))
    errors: Counter[str] = Counter()
    for result in load.results:
        errors += result.errors
    answers = sum(result.answers for result in load.results)
    print(f"{load.sent:,} requests in {options.seconds:g} s, {answers:,} good answers")
    for (_, events, pace), result in zip(MIX, load.results, strict=True):
        kind = f"stream {events} x {pace} ms" if events else "short"
        p50, p99 = percentile(result.latencies, 50), percentile(result.latencies, 99)
        print(f"  {kind:18} {result.answers:7,}  p50 {p50 * 1e3:8.1f} ms  p99 {p99 * 1e3:8.1f} ms")
    print("fleet: " + ", ".join(f"{count} {what}" for what, count in fleet.done.items()))
    print(f"gateway: {100 * used / options.seconds:.0f} % of a core")
    failures = {
        "requests that failed": dict(errors),
        "API calls that failed": dict(fleet.problems),
        "loads left": loads,
        "gauges left": left,
    }
    for what, found in failures.items():
        print(f"{'MISS' if found else 'pass'}  {what}: {found or 'none'}")
    return not any(failures.values()) and answers == load.sent


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="perf.churn", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--rate", type=float, default=500, help="requests per second")
    parser.add_argument("--workers", type=int, default=8, help="addresses that come and go")
    parser.add_argument("--policy", default="cache_aware")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    try:
        return 0 if uvloop.run(measure(options)) else 1
    except NotReady as problem:
        print(problem, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
