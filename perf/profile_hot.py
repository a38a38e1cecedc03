"""What a small request costs inside the gateway: `python -m perf.profile_hot`.

Instructions per request from callgrind do not depend on what else the machine does, so they tell a
change of one percent from noise where CPU time cannot. `--perf` samples the running gateway instead
(Linux perf, real speed). Either way the gateway runs as in bench.py, and only warmed-up requests
are counted.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import uvloop

from perf.gateways import GATEWAYS
from perf.load import ClosedLoop
from perf.messages import STREAM_CHUNKS, chat_body, request
from perf.processes import HOST, Running, running, start_gateway, start_workers
from perf.workloads import WORKLOADS, Workload

_TOTAL = re.compile(r"^(?:summary|totals): (\d+)", re.MULTILINE)
WARM_UP = 200


def instructions(text: str) -> int:
    """The total of one callgrind dump; dumps of several threads are added by the caller."""
    found = _TOTAL.findall(text)
    return int(found[-1]) if found else 0


async def send(gateway: Running, workload: Workload, count: int) -> None:
    body = chat_body(workload.body, stream=workload.stream)
    load = ClosedLoop(
        HOST,
        gateway.port,
        request(body, HOST, gateway.port),
        connections=min(workload.connections, count),
        total=count,
        wanted=STREAM_CHUNKS if workload.stream else 0,
    )
    result = await load.run(timeout=600.0)
    if result.errors:
        raise SystemExit(f"the run had errors: {result.describe_errors()}")


async def control(*arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(
        "callgrind_control", *arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    if await process.wait():
        raise SystemExit(f"callgrind_control {' '.join(arguments)} failed")


async def count_instructions(name: str, workload: Workload, count: int, directory: Path) -> None:
    """Leaves callgrind's dumps of `count` requests in `directory`."""
    out = directory / "callgrind.out"
    # Start-up runs uninstrumented: only the requests below are of interest, and it would take a
    # minute.
    prefix = [
        "valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}",
        "--dump-instr=no", "--",
    ]  # fmt: skip
    with running([]) as programs:
        workers = await start_workers(programs, "raw", 2, directory)
        gateway = await start_gateway(
            programs, GATEWAYS[name], workers, directory, prefix=prefix, timeout=180.0
        )
        pid = str(gateway.program.pid)
        await control("--instr=on", pid)
        await send(gateway, workload, WARM_UP)
        await control("--zero", pid)
        await send(gateway, workload, count)
        await control("--dump=measured", pid)
        await asyncio.sleep(1.0)


def print_instructions(
    name: str, workload: Workload, count: int, top: int, directory: Path
) -> None:
    dumps = sorted(directory.glob("callgrind.out.*"))
    if not dumps:
        raise SystemExit(f"callgrind wrote no dump; the gateway's output is in {directory}")
    total = sum(instructions(dump.read_text(errors="replace")) for dump in dumps)
    print(f"{name}, {workload.title}: {total / count:,.0f} instructions per {workload.unit}")
    if shutil.which("callgrind_annotate"):
        listing = subprocess.run(
            ["callgrind_annotate", str(dumps[-1])], capture_output=True, text=True, check=False
        ).stdout
        print(*hottest(listing, total, count, top), sep="\n")
    print(f"dumps for callgrind_annotate or kcachegrind: {directory}")


def hottest(listing: str, total: int, count: int, top: int) -> list[str]:
    """The functions with the most instructions of their own, per request."""
    lines = []
    for line in listing.splitlines():
        match = re.match(r"\s*([\d,]+) \([^)]*\)\s+(\S.*)", line)
        if match and "PROGRAM TOTALS" not in line:
            own = int(match[1].replace(",", ""))
            # Source file before the colon and the object's directories are noise here.
            function = re.sub(r"\[[^]]*/", "[", re.sub(r"^\S*?:", "", match[2]))
            lines.append(
                f"{own / count:10,.0f} {100 * own / max(1, total):5.1f} %  {function[:90]}"
            )
    return lines[:top]


async def take_samples(name: str, workload: Workload, count: int, directory: Path) -> None:
    """Leaves perf.data in `directory`."""
    data = directory / "perf.data"
    with running([]) as programs:
        workers = await start_workers(programs, "raw", 2, directory)
        gateway = await start_gateway(programs, GATEWAYS[name], workers, directory)
        await send(gateway, workload, WARM_UP)
        recorder = await asyncio.create_subprocess_exec(
            "perf", "record", "--quiet", "-e", "cpu-clock", "-F", "2000", "-g", "-o", str(data),
            "-p", str(gateway.program.pid),
        )  # fmt: skip
        await asyncio.sleep(0.5)
        await send(gateway, workload, count)
        recorder.terminate()
        await recorder.wait()


def print_samples(name: str, workload: Workload, top: int, directory: Path) -> None:
    data = directory / "perf.data"
    print(f"{name}, {workload.title}: share of samples by object, then by function")
    for order, limit in (("dso", 8), ("dso,symbol", top)):
        report = subprocess.run(
            ["perf", "report", "-i", str(data), "--stdio", "--no-children", "-g", "none",
             "--sort", order],
            capture_output=True, text=True, check=False,
        ).stdout  # fmt: skip
        lines = [line for line in report.splitlines() if line and not line.startswith("#")]
        print(*(line.rstrip(" -") for line in lines[:limit]), "", sep="\n")
    print(f"call graphs: perf report -i {data}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="perf.profile_hot", description=__doc__)
    parser.add_argument("--gateway", default="smg", choices=list(GATEWAYS))
    parser.add_argument("--workload", default="small", choices=["small", "stream", "32k", "256k"])
    parser.add_argument("--requests", type=int, help="2000, or 20000 with --perf")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--top", type=int, default=30, help="functions to list")
    parser.add_argument("--perf", action="store_true", help="sample instead of counting")
    options = parser.parse_args()
    tool = "perf" if options.perf else "valgrind"
    if shutil.which(tool) is None:
        print(f"{tool} is not installed (apt-get install {'linux-perf' if options.perf else tool})")
        return 2
    count = options.requests or (20_000 if options.perf else 2_000)
    workload = replace(WORKLOADS[options.workload], connections=options.connections)
    directory = Path(tempfile.mkdtemp(prefix="perf-"))
    name: str = options.gateway
    if options.perf:
        uvloop.run(take_samples(name, workload, count, directory))
        print_samples(name, workload, options.top, directory)
    else:
        uvloop.run(count_instructions(name, workload, count, directory))
        print_instructions(name, workload, count, options.top, directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
