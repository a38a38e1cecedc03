"""The life of `smg serve`: ports, workers, readiness, gateway, and a stop that forgets nobody.

Signals: before the gateway runs they end the start-up; while it runs the gateway drains first; a
second signal kills what is left and exits at once (cli 9.5).
"""

from __future__ import annotations

import atexit
import dataclasses
import functools
import logging
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any

from smg.config.grammar import UsageError
from smg.core.errors import ConfigError
from smg.serve.launchers import BACKEND_LAUNCHERS, flag_value
from smg.serve.ports import PortError, allocate, check_bindable, url_host
from smg.serve.processes import WorkerProcess, shown
from smg.serve.readiness import Readiness, StartupError, describe_exit

if TYPE_CHECKING:
    from smg.config.parse import Loaded
    from smg.config.settings import RouterConfig
    from smg.serve.args import ServeArgs

log = logging.getLogger("smg.serve")

STOP_SECS = 30.0
LAST_OUTPUT_SECS = 1.0
SIGNALS = (signal.SIGINT, signal.SIGTERM)

# (configuration, when it listens, for every signal it gets): blocks, returns the exit code.
RunGateway = Callable[["RouterConfig", Callable[[], None], Callable[[int], None]], int]


class Interrupted(BaseException):
    """A signal came; raised out of whatever the main thread was doing."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


class ServeOrchestrator:
    """Runs once. `gateway` replaces the gateway in tests."""

    def __init__(
        self,
        backend: str,
        args: ServeArgs,
        backend_args: Sequence[str],
        *,
        gateway: RunGateway | None = None,
    ) -> None:
        self.launcher = BACKEND_LAUNCHERS[backend]
        self.args = args
        self.backend_args = list(backend_args)
        self.workers: list[WorkerProcess] = []
        self._gateway = gateway or functools.partial(run_gateway, reload=self._reload)
        self._given: dict[str, Any] = {}  # what the gateway is told, by field
        self._urls: tuple[str, ...] = ()
        self._readiness = Readiness()
        self._signum: int | None = None
        self._launching = False
        self._stopping = False
        self._stopped = False

    def run(self) -> int:
        """Everything, from ports to the end of the last worker; returns the exit code."""
        set_up_logging()
        try:
            config, ports = self._prepare()
        except ConfigError as error:
            print(*error.problems, sep="\n", file=sys.stderr)
            return 1
        except PortError as error:
            print(f"smg serve: {error}", file=sys.stderr)
            return 1
        self._install_handlers()
        atexit.register(self.stop_workers)
        code = 1
        try:
            self._start_workers(ports)
            self._wait_ready(ports)
            code = self._gateway(config, lambda: self._announce(config), self._gateway_signalled)
            # The gateway had its own handlers; it ends by itself only after a signal or an error.
            self._install_handlers()
            if code == 0:
                code = 128 + (self._signum or signal.SIGTERM)
        except Interrupted as stopped:
            log.info("received %s", signal.Signals(stopped.signum).name)
            code = 128 + stopped.signum
        except StartupError as error:
            log.error("%s", error)
        except ConfigError as error:
            log.error("%s", "; ".join(error.problems))
        except Exception:
            log.exception("cannot serve")
        finally:
            self.stop_workers()
            atexit.unregister(self.stop_workers)
        return code

    # -- before anything runs ---------------------------------------------------------------------

    def _prepare(self) -> tuple[RouterConfig, list[int]]:
        """Every mistake that can be found before a worker starts; raises ConfigError, PortError."""
        from smg.config.parse import resolve

        args = self.args
        given: dict[str, Any] = {**args.router, "host": args.host, "port": args.port}
        self._take_engine_values(given)
        if args.data_parallel_size == 1:
            self._pass_through(given)
        # Rules may count the workers; their ports come later, because they avoid the gateway's.
        places = range(args.data_parallel_size)
        given["worker_urls"] = tuple(f"http://127.0.0.1:{place + 1}" for place in places)
        self._given = given
        if given.get("pd_disaggregation"):
            raise ConfigError(
                ["--router-pd-disaggregation: serve starts no pairs; start them, and smg launch"]
            )
        try:
            loaded = resolve(given)
        except UsageError as error:
            raise ConfigError([str(error)]) from None
        for warning in loaded.warnings:
            log.warning("%s", warning)
        config = loaded.config
        check_bindable(config.host, config.port)
        reserved = {config.port, config.prometheus_port}
        ports = allocate(args.data_parallel_size, args.worker_base_port, args.worker_host, reserved)
        self._urls = tuple(self.launcher.worker_url(args, args.worker_host, port) for port in ports)
        return dataclasses.replace(config, worker_urls=self._urls), ports

    def _reload(self) -> Loaded:
        """The settings, read again; the workers are still ours. Raises ConfigError."""
        from smg.config.parse import resolve

        loaded = resolve(self._given)
        return dataclasses.replace(
            loaded, config=dataclasses.replace(loaded.config, worker_urls=self._urls)
        )

    def _take_engine_values(self, given: dict[str, Any]) -> None:
        """The fallback rule: an engine's key is the gateway's too, unless it has one of its own."""
        if self.args.router_disable_arg_fallback or given.get("api_key"):
            return
        key = flag_value(self.backend_args, "--api-key")
        if key and not os.environ.get("SMG_API_KEY"):
            given["api_key"] = key

    def _pass_through(self, given: dict[str, Any]) -> None:
        for name, value in (
            ("policy", "passthrough"),
            ("disable_retries", True),
            ("disable_circuit_breaker", True),
        ):
            given[name] = value
            log.info("one worker: %s", f"{name.replace('_', '-')} {value}".removesuffix(" True"))

    # -- workers ----------------------------------------------------------------------------------

    def _start_workers(self, ports: Sequence[int]) -> None:
        args, host = self.args, self.args.worker_host
        # A signal between a fork and its entry in the list would leave that worker behind.
        self._launching = True
        try:
            for rank, port in enumerate(ports):
                worker = self.launcher.launch(args, self.backend_args, host, port, rank)
                self.workers.append(worker)
                log.info(
                    "started %s on %s:%d, pid %d: %s",
                    worker.name,
                    host,
                    port,
                    worker.pid,
                    shown(worker.command),
                )
        finally:
            self._launching = False
        for worker in self.workers:
            worker.watch(self._worker_ended)
        if self._signum is not None:
            raise Interrupted(self._signum)

    def _wait_ready(self, ports: Sequence[int]) -> None:
        args = self.args
        began = time.monotonic()

        def probe(port: int) -> Callable[[float], bool]:
            return lambda limit: self.launcher.health_check(args, args.worker_host, port, limit)

        probes = [
            (worker.name, probe(port)) for worker, port in zip(self.workers, ports, strict=True)
        ]
        self._readiness.wait(probes, args.worker_startup_timeout)
        log.info("%d workers ready after %.1f s", len(probes), time.monotonic() - began)

    def _worker_ended(self, worker: WorkerProcess) -> None:
        """Called from the worker's thread."""
        code = worker.exit_code
        self._readiness.ended(worker.name, code)
        if not self._stopping:
            log.error("worker %s %s", worker.name, describe_exit(code or 0))

    def stop_workers(self) -> None:
        """SIGTERM to all, one shared deadline, SIGKILL for the rest. Idempotent."""
        if self._stopped:
            return
        self._stopping = True
        for worker in self.workers:
            worker.terminate()
        deadline = time.monotonic() + STOP_SECS
        for worker in self.workers:
            if not worker.join(deadline):
                log.warning(
                    "worker %s did not stop within %g s, killing it", worker.name, STOP_SECS
                )
                worker.kill()
        deadline = time.monotonic() + LAST_OUTPUT_SECS
        for worker in self.workers:
            worker.drain(deadline)
        self._stopped = True

    # -- signals ----------------------------------------------------------------------------------

    def _install_handlers(self) -> None:
        for signum in SIGNALS:
            signal.signal(signum, self._on_signal)

    def _gateway_signalled(self, signum: int) -> None:
        """The gateway got a signal: it drains after the first, exits at once after the second."""
        if self._signum is not None:
            self._kill_workers()
        self._signum = signum

    def _kill_workers(self) -> None:
        for worker in self.workers:
            worker.kill()

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        if self._stopping or self._signum is not None:
            self._kill_workers()
            os._exit(128 + signum)
        self._signum = signum
        if not self._launching:
            raise Interrupted(signum)

    # -- for people -------------------------------------------------------------------------------

    def _announce(self, config: RouterConfig) -> None:
        """Called by the gateway when it listens."""
        base = f"http://{url_host(config.host)}:{config.port}"
        model = self.launcher.served_model(self.args, self.backend_args)
        count = len(self.workers)
        workers = f"{count} {self.launcher.name} worker{'s' if count != 1 else ''}"
        if config.log_json:  # stdout may be a stream of JSON lines
            log.info("listening on %s, %s", base, workers)
            return
        print(f"Listening on {base}, {workers}.")
        print(f"Try: {example(base, model, with_key=config.api_key is not None)}", flush=True)


def example(base: str, model: str, *, with_key: bool) -> str:
    """A curl command that gets an answer; a key is left for the reader to fill in."""
    key = ' -H "authorization: Bearer $SMG_API_KEY"' if with_key else ""
    body = f'{{"model":"{model}","messages":[{{"role":"user","content":"Hello"}}]}}'
    return (
        f"curl {base}/v1/chat/completions -H 'content-type: application/json'{key} "
        f"-d {shlex.quote(body)}"
    )


def run_gateway(
    config: RouterConfig,
    on_ready: Callable[[], None],
    on_signal: Callable[[int], None],
    *,
    reload: Callable[[], Loaded] | None = None,
) -> int:
    """The gateway in this process, until it drained."""
    from smg.app.main import run

    return run(config, on_ready=on_ready, on_signal=on_signal, reload=reload)


class _Stderr(logging.Handler):
    """Writes to what is stderr now, not to what it was when the first command was run."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            print(self.format(record), file=sys.stderr, flush=True)
        except Exception:
            self.handleError(record)


def set_up_logging() -> None:
    """Our lines on stderr, also before the gateway sets up its own log."""
    if log.handlers:
        return
    handler = _Stderr()
    handler.setFormatter(logging.Formatter("%(asctime)s - %(name)s - %(levelname)s - %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
