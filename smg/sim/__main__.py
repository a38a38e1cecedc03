"""`python -m smg.sim`: one simulated worker as a process.

SIGTERM ends it after the answers in progress, at most five seconds later.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Sequence

from smg.sim.faults import FaultError, parse
from smg.sim.settings import SimSettings, build_parser
from smg.sim.settings import parse as parse_settings
from smg.sim.worker import Worker

GRACE_SECS = 5.0


def new_loop() -> asyncio.AbstractEventLoop:
    """uvloop where it exists."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def serve(settings: SimSettings) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(signum, stop.set)
        except NotImplementedError:  # Windows
            signal.signal(signum, lambda *_: loop.call_soon_threadsafe(stop.set))
    worker = Worker(settings)
    try:
        await worker.open()
    except OSError as error:
        print(
            f"smg.sim: cannot listen on {settings.host}:{settings.port}: {error}", file=sys.stderr
        )
        return 1
    print(f"smg.sim: {', '.join(settings.models)} on {worker.url}", flush=True)
    await stop.wait()
    await worker.close(GRACE_SECS)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, run, return the exit code."""
    settings = parse_settings(sys.argv[1:] if argv is None else argv)
    try:
        for spec in settings.faults:
            parse(spec)
    except FaultError as error:
        build_parser().error(f"argument --fault: {error}")
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s"
    )
    loop = new_loop()
    try:
        return loop.run_until_complete(serve(settings))
    finally:
        loop.close()


if __name__ == "__main__":
    sys.exit(main())
