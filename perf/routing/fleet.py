"""Several simulated workers in one process: `python -m perf.routing.fleet --ports 9001,9002 ...`.

All other options are those of `python -m smg.sim`. One process, because the workers mostly sleep
and the machine has few cores.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

import uvloop

from smg.sim.engine import Engine
from smg.sim.settings import parse
from smg.sim.worker import SimServer, Worker

MEMORY_TOKENS = 1_000_000


class Roomy:
    """Of an engine that says that it has memory for everybody: the prefix cache is scarce here, KV
    memory is not modelled. Reports of full memory would make gateways avoid workers that are well.
    """

    @property
    def capacity_tokens(self) -> int:
        return MEMORY_TOKENS


class RoomyEngine(Roomy, Engine):
    """A whole engine."""


class FleetWorker(Worker):
    """A simulated worker with a given engine."""

    def __init__(self, engine: Engine) -> None:
        self.settings = engine.settings
        self.engine = engine
        self._server = SimServer(engine)


async def serve(make: Callable[[asyncio.AbstractEventLoop], list[Engine]]) -> None:
    """Workers with the engines that `make` returns, until a signal comes."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    workers = [FleetWorker(engine) for engine in make(loop)]
    for worker in workers:
        await worker.open()
    await stop.wait()
    for worker in workers:
        await worker.close()


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    parser.add_argument("--ports", required=True)
    options, rest = parser.parse_known_args(argv)
    settings = parse(rest)
    uvloop.run(
        serve(
            lambda loop: [
                RoomyEngine(replace(settings, port=port), loop) for port in numbers(options.ports)
            ]
        )
    )


def numbers(text: str) -> list[int]:
    """Ports with commas between them."""
    return [int(number) for number in text.split(",")]


if __name__ == "__main__":
    main(sys.argv[1:])
