"""Runs one gateway as a process: logging, event loop, signals, exit code."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from smg.app.build import Gateway
from smg.core.errors import ConfigError
from smg.observability.logging import LogHandle, configure

if TYPE_CHECKING:
    from smg.config.settings import RouterConfig

log = logging.getLogger(__name__)


def run(
    config: RouterConfig,
    *,
    on_ready: Callable[[], None] | None = None,
    on_signal: Callable[[int], None] | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT, drain, and return the exit code: 0 after a drain, 1 when
    start-up failed.

    A second signal ends the process at once with 128 + its number. `on_ready` is called once
    listeners are open, `on_signal(number)` first thing on every signal.
    """
    handle = configure(config.log_level, config.log_json, config.log_dir)
    if config.api_key:
        handle.redact(config.api_key)
    try:
        return _run_loop(_serve(config, handle, on_ready, on_signal))
    except ConfigError as error:
        for problem in error.problems:
            print(f"smg: {problem}", file=sys.stderr)
        return 1
    finally:
        handle.close()


def _run_loop(main: Coroutine[Any, Any, int]) -> int:
    if sys.platform == "win32":
        return asyncio.run(main)
    import uvloop

    # uvloop.run exists since 0.18 on every supported Python.
    return int(uvloop.run(main))


async def _serve(
    config: RouterConfig,
    handle: LogHandle,
    on_ready: Callable[[], None] | None,
    told: Callable[[int], None] | None,
) -> int:
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()

    def on_signal(number: int) -> None:
        if told is not None:
            told(number)
        if stopping.is_set():
            # No clean-up: the operator asked twice.
            handle.flush(0.2)
            os._exit(128 + number)
        log.info("received %s: draining", signal.Signals(number).name)
        stopping.set()

    # Handlers first: a signal during start-up must end it, not be lost.
    if sys.platform != "win32":
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, on_signal, number)
        loop.add_signal_handler(signal.SIGUSR1, handle.toggle_debug)
    gateway = Gateway(config, log_handle=handle)
    await gateway.start()
    # What exists now lives as long as the process: keep the collector from walking it again and
    # again.
    gc.collect()
    gc.freeze()
    if on_ready is not None:
        on_ready()
    await stopping.wait()
    await gateway.stop(config.shutdown_grace_period_secs)
    return 0
