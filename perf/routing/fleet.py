"""Several simulated workers in one process: `python -m perf.routing.fleet --ports 9001,9002 ...`.

All other options are those of `python -m smg.sim`. One process, because the workers mostly sleep
and the machine has few cores.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace

import uvloop

from smg.sim.engine import Engine
from smg.sim.settings import SimSettings, parse
from smg.sim.worker import SimServer, Worker

MEMORY_TOKENS = 1_000_000


class RoomyEngine(Engine):
    """Says that it has memory for everybody: the prefix cache is scarce here, KV memory is not
    modelled. Reports of full memory would make gateways avoid workers that are well.
    """

    @property
    def capacity_tokens(self) -> int:
        return MEMORY_TOKENS


class RoomyWorker(Worker):
    """A simulated worker with such an engine."""

    def __init__(self, settings: SimSettings) -> None:
        self.settings = settings
        self.engine = RoomyEngine(settings, asyncio.get_running_loop())
        self._server = SimServer(self.engine)


async def serve(settings: SimSettings, ports: Sequence[int]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    workers = [RoomyWorker(replace(settings, port=port)) for port in ports]
    for worker in workers:
        await worker.open()
    await stop.wait()
    for worker in workers:
        await worker.close()


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    parser.add_argument("--ports", required=True)
    options, rest = parser.parse_known_args(argv)
    uvloop.run(serve(parse(rest), [int(port) for port in options.ports.split(",")]))


if __name__ == "__main__":
    main(sys.argv[1:])
