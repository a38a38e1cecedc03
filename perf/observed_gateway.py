"""The programs that `perf.observability_cost` starts besides `smg launch`:

    python -m perf.observed_gateway off ARGS         the gateway without any metrics
    python -m perf.observed_gateway probe FILE ARGS  the usual one; FILE: how late its loop runs
    python -m perf.observed_gateway collect PORT     a trace collector that throws all away

Metrics cannot be switched off in the product: they are cheap, and an operator without them is
blind. What they cost shows only beside a gateway without them, so `off` takes them out of one that
has started: no counting at the edge nor in the relay, no canary and no watchdog of the loop.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from concurrent import futures
from typing import IO, Any

from smg.app import build, main
from smg.launch_router import main as launch

TICK = 0.001
#: lateness that is worth a line (seconds)
WORTH = 0.0005


class Bare(build.Gateway):
    """Counts nothing."""

    def _observe(self, loop: asyncio.AbstractEventLoop) -> None:
        """Nothing is watched."""

    async def start(self) -> None:
        await super().start()
        self.backend.series = None
        table = self.server.table
        for endpoint in (*table.endpoints, table.other):
            endpoint.series = None


class Probed(build.Gateway):
    """Writes "TIME LATENESS OTHERS" for every millisecond's timer that comes late, in seconds.

    OTHERS is how long other threads of this process computed since the timer before. A loop that
    is late without them was stopped by its own work or by the machine, not by a scrape.
    """

    out: IO[str]

    async def start(self) -> None:
        await super().start()
        self._others = others()
        self._due = time.perf_counter() + TICK
        asyncio.get_running_loop().call_later(TICK, self._tick)

    def _tick(self) -> None:
        late = time.perf_counter() - self._due
        computed = others()
        if late > WORTH:
            self.out.write(f"{time.time():.6f} {late:.6f} {computed - self._others:.6f}\n")
        self._others = computed
        self._due = time.perf_counter() + TICK
        asyncio.get_running_loop().call_later(TICK, self._tick)


def others() -> float:
    """Seconds of CPU that all threads but this one have taken."""
    return time.process_time() - time.thread_time()


def collect(port: int) -> None:
    import grpc
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as messages
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as service

    class Sink(service.TraceServiceServicer):
        def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - the name in the protocol
            return messages.ExportTraceServiceResponse()

    server = grpc.server(futures.ThreadPoolExecutor(1))
    service.add_TraceServiceServicer_to_server(Sink(), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    server.start()
    over.wait()
    server.stop(0)


def run() -> int:
    kind, *rest = sys.argv[1:]
    if kind == "collect":
        collect(int(rest[0]))
        return 0
    if kind == "probe":
        Probed.out = open(rest.pop(0), "w", buffering=1)  # noqa: SIM115 - until the process ends
        vars(main)["Gateway"] = Probed
    else:
        vars(main)["Gateway"] = Bare
    return launch(rest)


if __name__ == "__main__":
    os.environ.pop("SMG_LOG", None)
    sys.exit(run())
