"""Runs one gateway as a process: logging, event loop, signals, exit code."""

from __future__ import annotations

import asyncio
import faulthandler
import io
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from smg.app.build import Gateway
from smg.app.process import settle
from smg.app.reload import Reloader
from smg.app.systemd import Service
from smg.core.errors import ConfigError
from smg.observability.logging import LogHandle, configure
from smg.version import __version__

if TYPE_CHECKING:
    from smg.config.parse import Loaded
    from smg.config.settings import RouterConfig

log = logging.getLogger(__name__)


def run(
    config: RouterConfig,
    *,
    on_ready: Callable[[], None] | None = None,
    on_signal: Callable[[int], None] | None = None,
    reload: Callable[[], Loaded] | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT, drain, and return the exit code: 0 after a drain, 1 when
    start-up failed.

    A second signal ends the process at once with 128 + its number. `on_ready` is called once
    listeners are open, `on_signal(number)` first thing on every signal that ends it. `reload` reads
    the settings again (SIGHUP); it runs on a thread and raises ConfigError or UsageError.
    """
    handle = configure(config.log_level, config.log_json, config.log_dir)
    handle.redact(*config.secrets)
    _trace_crashes()
    log.info("Starting router: version %s, mode %s", __version__, config.mode_name)
    try:
        return _run_loop(_Process(config, handle, on_ready, on_signal, reload).serve())
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


def _trace_crashes() -> None:
    """Leave the stacks of all threads on stderr when compiled code crashes, or when systemd aborts
    a process whose loop is stuck.
    """
    try:
        faulthandler.enable()
    except (AttributeError, OSError, ValueError, io.UnsupportedOperation):
        pass  # there is no stderr


class _Process:
    """The gateway, what the outside tells it by signals, and what it tells systemd."""

    def __init__(
        self,
        config: RouterConfig,
        handle: LogHandle,
        on_ready: Callable[[], None] | None,
        on_signal: Callable[[int], None] | None,
        reload: Callable[[], Loaded] | None,
    ) -> None:
        self._config = config
        self._handle = handle
        self._on_ready = on_ready
        self._told = on_signal
        self._load = reload
        self._stopping = asyncio.Event()
        self._reloader: Reloader | None = None  # while there is something to reload
        self._early_hangup = False
        self._has_terminal = _has_terminal()

    async def serve(self) -> int:
        """From start-up to the end of the drain; the exit code."""
        loop = asyncio.get_running_loop()
        self._catch_signals(loop)
        service = Service(loop)
        gateway = Gateway(self._config, log_handle=self._handle)
        await gateway.start()
        self._reloader = Reloader(
            gateway, self._load, begins=service.reloading, ends=service.reloaded
        )
        settle()
        service.ready(gateway.readiness, gateway.registry)
        if self._on_ready is not None:
            self._on_ready()
        if self._early_hangup:
            self._reloader.request()
        await self._stopping.wait()
        reloader, self._reloader = self._reloader, None
        await reloader.close()
        service.stopping(lambda: len(gateway.server.exchanges))
        await gateway.stop(gateway.config.shutdown_grace_period_secs)
        service.close()
        return 0

    # -- signals ----------------------------------------------------------------------------------

    def _catch_signals(self, loop: asyncio.AbstractEventLoop) -> None:
        """First of all: a signal during start-up must end it, not be lost."""
        if sys.platform == "win32":
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, number)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        loop.add_signal_handler(signal.SIGUSR1, self._handle.toggle_debug)

    def _stop(self, number: int) -> None:
        if self._told is not None:
            self._told(number)
        if self._stopping.is_set():
            # No clean-up: the operator asked twice.
            self._handle.flush(0.2)
            os._exit(128 + number)
        log.info("received %s: draining", signal.Signals(number).name)
        self._stopping.set()

    def _hang_up(self) -> None:
        """SIGHUP: of an operator who changed the settings, or of a terminal that is gone."""
        if self._has_terminal and not _has_terminal():
            # Without whoever started us by hand nobody would ever stop us.
            self._has_terminal = False
            self._stop(signal.SIGHUP)
            return
        log.info("received SIGHUP")
        self._handle.reopen()
        if self._reloader is not None:
            self._reloader.request()
        elif not self._stopping.is_set():
            self._early_hangup = True


def _has_terminal() -> bool:
    """Whether a terminal can send us a signal when it closes. Under nohup it cannot."""
    if sys.platform == "win32" or signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return False
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
