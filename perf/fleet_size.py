"""Does a request pay for the size of the fleet? `python -m perf.fleet_size --must-hold`.

Two gateways before the same two worker processes: one knows 2 workers, the other 1,000 (addresses
of the loopback network 127/8, all answered by those two). They take turns; the figure is CPU per
small request.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import uvloop

from perf.gateways import GATEWAYS
from perf.processes import (
    NotReady,
    Program,
    Running,
    call,
    free_ports,
    running,
    start,
    start_gateway,
    wait_port,
)
from perf.stats import median
from perf.workloads import WORKLOADS, measure

BOUND = 1.2


def addresses(count: int, ports: list[int]) -> list[str]:
    """Distinct worker URLs that lead to `ports` in turn."""
    return [
        f"http://127.0.{1 + number // 250}.{1 + number % 250}:{ports[number % len(ports)]}"
        for number in range(count)
    ]


async def register(gateway: Running, urls: list[str]) -> float:
    """Registers all and waits until all are ready; the seconds it took."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    slots = asyncio.Semaphore(32)

    async def one(url: str) -> None:
        async with slots:
            _, answer = await call(gateway.port, "POST", "/workers", {"url": url})
            if answer.get("status") != "accepted":
                raise NotReady(f"{url}: {answer}")

    await asyncio.gather(*(one(url) for url in urls))
    while loop.time() < begun + 120:
        workers = (await call(gateway.port, "GET", "/workers"))[1]["workers"]
        if sum(worker["is_healthy"] for worker in workers) >= len(urls):
            return loop.time() - begun
        await asyncio.sleep(0.2)
    raise NotReady("not all workers became ready")


async def compare(options: argparse.Namespace) -> bool:
    directory = Path(tempfile.mkdtemp(prefix="perf-"))
    with running([]) as programs:
        ports = free_ports(2)
        for number, port in enumerate(ports):
            command = [
                sys.executable,
                "-m",
                "perf.worker",
                "--host",
                "0.0.0.0",
                "--port",
                str(port),
            ]
            program: Program = start(f"worker{number}", command, directory)
            programs.append(program)
            await wait_port(program, port)
        gateways = {}
        for size in (2, options.size):
            (directory / str(size)).mkdir()
            gateways[size] = await start_gateway(
                programs,
                GATEWAYS["smg"],
                ports,
                directory / str(size),
                named=False,
                policy=options.policy,
            )
        took = await register(gateways[options.size], addresses(options.size - 2, ports))
        print(f"{options.size:,} workers registered in {took:.1f} s")
        # 1,000 pools of one connection each: warm-up opens them, the measurement uses them.
        workload = replace(WORKLOADS["small"], requests=options.requests)
        costs: dict[int, list[float]] = {size: [] for size in gateways}
        for turn in range(options.rounds + 1):
            for size, gateway in gateways.items():
                sample = await measure(workload, gateway.port, gateway.program.pid)
                if sample.errors:
                    raise NotReady(f"errors with {size} workers: {sample.errors}")
                if turn:
                    costs[size].append(sample.cpu_us)
    for size, values in costs.items():
        print(f"{size:6,} workers: {median(values):6.1f} us per request ({min(values):.1f} to "
              f"{max(values):.1f})")  # fmt: skip
    factor = median(costs[options.size]) / median(costs[2])
    good = factor <= BOUND
    print(f"{'pass' if good else 'MISS'}  {factor:.2f} x the cost with 2 (at most {BOUND})")
    return good


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="perf.fleet_size", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--size", type=int, default=1000)
    parser.add_argument("--policy", default="cache_aware")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--requests", type=int, default=20_000, help="per round")
    parser.add_argument("--must-hold", action="store_true", help="exit 1 above the bound")
    options = parser.parse_args()
    try:
        good = uvloop.run(compare(options))
    except NotReady as problem:
        print(problem, file=sys.stderr)
        return 2
    return 0 if good or not options.must_hold else 1


if __name__ == "__main__":
    sys.exit(main())
