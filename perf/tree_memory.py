"""Memory per cached character of the routing trees: `python -m perf.tree_memory`.

Every gateway runs with cache_aware before one worker and is sent prompts that nobody has seen, in
conversations of three turns. What its resident memory grows by, over the characters in its tree, is
printed. Then our gateway, with a small tree, is sent many generations of prompts: its memory must
stay where it was once the tree was full.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from pathlib import Path

import orjson
import uvloop

from perf import cpu
from perf.gateways import GATEWAYS, PEERS
from perf.messages import MODEL, request
from perf.processes import HOST, NotReady, Running, running, start_gateway, start_workers

TURN = 1_300  # characters that a turn adds
TURNS = 3
TEXT = "The quick brown fox said 'no' and jumped over 13 lazy dogs, twice. " * 40


def conversation(chance: random.Random) -> list[bytes]:
    """The bodies of one conversation's turns; its characters are the last body's prompt."""
    messages: list[dict[str, str]] = []
    bodies = []
    for turn in range(TURNS):
        begin = chance.randrange(60)
        text = f"{chance.getrandbits(64):016x} {TEXT[begin : begin + TURN - 18]}"
        messages.append({"role": ("user", "assistant")[turn & 1], "content": text})
        bodies.append(orjson.dumps({"model": MODEL, "messages": messages, "max_tokens": 1}))
    return bodies


async def send(gateway: Running, conversations: int, seed: int, connections: int = 16) -> None:
    """Every conversation's turns in order; conversations share nothing."""
    left = iter(range(conversations))

    async def client() -> None:
        reader, writer = await asyncio.open_connection(HOST, gateway.port)
        for number in left:
            for body in conversation(random.Random(seed * 1_000_000_007 + number)):
                writer.write(request(body, HOST, gateway.port))
                head = await reader.readuntil(b"\r\n\r\n")
                if not head.startswith(b"HTTP/1.1 200"):
                    raise SystemExit(f"{gateway.gateway.name}: {head[:60]!r}")
                for line in head.lower().split(b"\r\n"):
                    if line.startswith(b"content-length:"):
                        await reader.readexactly(int(line[15:]))
        writer.close()

    await asyncio.gather(*(client() for _ in range(connections)))


def resident(gateway: Running) -> int:
    return cpu.rss_bytes(gateway.program.pid)


async def growth(name: str, conversations: int, directory: Path) -> float:
    """Bytes of resident memory per character stored."""
    with running([]) as programs:
        workers = await start_workers(programs, "raw", 1, directory)
        gateway = await start_gateway(
            programs, GATEWAYS[name], workers, directory, policy="cache_aware"
        )
        await send(gateway, 300, seed=0)  # buffers, allocator arenas and the like are there now
        before = resident(gateway)
        await send(gateway, conversations, seed=1)
        return (resident(gateway) - before) / (conversations * TURN * TURNS)


async def churn(conversations: int, generations: int, directory: Path) -> list[float]:
    """Megabytes after every generation; each is as large as the tree."""
    size = conversations * TURN * TURNS
    with running([]) as programs:
        workers = await start_workers(programs, "raw", 1, directory)
        gateway = await start_gateway(
            programs,
            GATEWAYS["smg"],
            workers,
            directory,
            policy="cache_aware",
            extra=("--max-tree-size", str(size)),
        )
        sizes = []
        for generation in range(generations):
            await send(gateway, conversations, seed=generation + 1)
            sizes.append(resident(gateway) / 1e6)
            print(f"generation {generation + 1}: {sizes[-1]:.1f} MB", file=sys.stderr)
        return sizes


async def measure(options: argparse.Namespace) -> bool:
    held = True
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        figures = {}
        for gateway in ("smg", "reference"):
            try:
                figures[gateway] = await growth(gateway, options.conversations, directory)
            except NotReady as problem:
                print(f"skipped: {problem} ({PEERS.name})")
                continue
            print(f"{gateway}: {figures[gateway]:.2f} bytes per cached character")
        if len(figures) == 2:
            ratio = figures["smg"] / figures["reference"]
            held = ratio <= 0.5
            print(f"{'pass' if held else 'MISS'}  {ratio:.2f} of the reference (at most 0.50)")
        sizes = await churn(options.conversations // 4, options.generations, directory)
        steady, last = sizes[1], sizes[-1]
        fits = last <= steady * 1.1
        print(f"{'pass' if fits else 'MISS'}  churn: {steady:.1f} MB when the tree had been filled "
              f"twice, {last:.1f} MB after {len(sizes)} times (at most 10 % more)")  # fmt: skip
        return held and fits


def main() -> int:
    """Entry point; 1 if a bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--conversations", type=int, default=6_000)
    parser.add_argument("--generations", type=int, default=20)
    return 0 if uvloop.run(measure(parser.parse_args())) else 1


if __name__ == "__main__":
    sys.exit(main())
