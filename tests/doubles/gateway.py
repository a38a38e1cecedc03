"""The gateway as a fixture: in the test's own process and loop, or as a process of its own.

    async with Gateway(worker_urls=[worker.url], request_timeout_secs=1) as gateway:
        answer = await gateway.post("/v1/chat/completions", {"model": "test-model", "messages": []})

In process is the default choice: the test sees registry, pools and connections, and the leak checks
of the loop cover the gateway. `GatewayProcess` is for signals, exit codes, start-up and clients
that block.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import IO, Any

from tests.doubles.metrics_text import Samples
from tests.doubles.raw_client import Answer, HeaderPairs, RawClient

READY_SECS = 30.0
STOP_SECS = 20.0

# Port 0 is chosen by the system; the command line refuses it, so this is set past validation.
TEST_DEFAULTS: dict[str, Any] = {
    "host": "127.0.0.1",
    "port": 0,
    "prometheus_host": "127.0.0.1",
    "prometheus_port": 0,
    "policy": "round_robin",
    "worker_startup_timeout_secs": 10,
    "shutdown_grace_period_secs": 0,
    # One attempt shows what happened to it; tests of retries turn them on.
    "disable_retries": True,
}


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Gateway:
    """The whole gateway on the running loop; keyword arguments are fields of `RouterConfig`."""

    def __init__(
        self, *, wait_ready: bool | None = None, log_handle: Any = None, **config: Any
    ) -> None:
        from smg.app.build import Gateway as Product
        from smg.config.settings import RouterConfig

        config["worker_urls"] = tuple(config.get("worker_urls", ()))
        self.config = RouterConfig(**{**TEST_DEFAULTS, **config})
        self.product: Any = Product(self.config, log_handle=log_handle)
        self.wait_ready = bool(config["worker_urls"]) if wait_ready is None else wait_ready

    async def __aenter__(self) -> Gateway:
        await self.product.start()
        try:
            if self.wait_ready:
                await self.ready()
        except BaseException:
            await self.product.stop(grace=0.0)
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self, grace: float = 0.0) -> None:
        """Stop once; a second call does nothing."""
        product, self.product = self.product, _Stopped(self.product)
        if not isinstance(product, _Stopped):
            await product.stop(grace=grace)

    @property
    def port(self) -> int:
        """Where clients connect."""
        return int(self.product.port)

    @property
    def url(self) -> str:
        """Base URL for clients."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def registry(self) -> Any:
        """The `WorkerRegistry`."""
        return self.product.registry

    @property
    def server(self) -> Any:
        """The `HttpServer`."""
        return self.product.server

    @property
    def upstream(self) -> Any:
        """Pools and client towards the workers."""
        return self.product.upstream

    async def connect(self, *, receive_buffer: int | None = None) -> RawClient:
        """A raw connection to the gateway."""
        return await RawClient.connect(self.port, receive_buffer=receive_buffer)

    async def request(
        self, method: str, target: str, body: Any = None, headers: HeaderPairs = ()
    ) -> Answer:
        """One request on a connection of its own."""
        async with await self.connect() as client:
            return await client.request(method, target, body, headers)

    async def get(self, target: str, headers: HeaderPairs = ()) -> Answer:
        """GET."""
        return await self.request("GET", target, None, headers)

    async def post(self, target: str, body: Any, headers: HeaderPairs = ()) -> Answer:
        """POST; a dict is sent as JSON."""
        return await self.request("POST", target, body, headers)

    async def ready(self, seconds: float = READY_SECS) -> None:
        """Wait until `/readiness` answers 200."""
        end = asyncio.get_running_loop().time() + seconds
        while (answer := await self.get("/readiness")).status != 200:
            if asyncio.get_running_loop().time() > end:
                raise TimeoutError(f"not ready: {answer.body!r}")
            await asyncio.sleep(0.02)

    async def metrics(self) -> Samples:
        """A scrape of the metrics port."""
        async with await RawClient.connect(self.product.metrics_port) as client:
            answer = await client.request("GET", "/metrics", headers={"Connection": "close"})
        assert answer.status == 200, answer
        return Samples(answer.body.decode())

    async def idle(self, seconds: float = 5.0) -> None:
        """Wait until nothing is in flight and every load is 0; fails with what is left."""
        end = asyncio.get_running_loop().time() + seconds
        while True:
            exchanges = len(self.server.exchanges)
            loads = {worker.url: worker.load for worker in self.registry.all() if worker.load}
            if not exchanges and not loads:
                return
            if asyncio.get_running_loop().time() > end:
                raise AssertionError(f"left in flight: {exchanges} exchanges, loads {loads}")
            await asyncio.sleep(0.01)


class _Stopped:
    """Keeps attributes readable after the stop, for assertions on what is left."""

    def __init__(self, product: Any) -> None:
        self._product = product

    def __getattr__(self, name: str) -> Any:
        return getattr(self._product, name)


class GatewayProcess:
    """`python -m smg COMMAND ...` on free ports. Blocking: use it from sync tests and fixtures, or
    in a thread.

    `with GatewayProcess("launch", "--worker-urls", worker.url) as gateway: gateway.url`
    """

    def __init__(
        self,
        command: str,
        *arguments: str,
        env: dict[str, str] | None = None,
        wait_ready: bool = True,
        ready_secs: float = READY_SECS,
    ) -> None:
        prefix = "--router-" if command == "serve" else "--"
        self.port, self.metrics_port = free_port(), free_port()
        self.arguments = [sys.executable, "-m", "smg", command, *arguments]
        self._add("--host", "127.0.0.1")
        self._add("--port", str(self.port))
        self._add(f"{prefix}prometheus-port", str(self.metrics_port))
        self._add(f"{prefix}prometheus-host", "127.0.0.1")
        if command == "serve":
            self._add("--worker-base-port", str(free_port()))
        self.env = {**os.environ, **(env or {})}
        self.wait_ready = wait_ready
        self.ready_secs = ready_secs
        self.process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self._last_log = ""

    def _add(self, flag: str, value: str) -> None:
        if flag not in self.arguments:
            self.arguments += [flag, value]

    @property
    def url(self) -> str:
        """Base URL for clients."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Process id of the gateway."""
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        """Start, and wait for readiness unless told otherwise."""
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by stop()
        self.process = subprocess.Popen(
            self.arguments,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env=self.env,
            start_new_session=True,  # a group of its own, for the last resort in `stop`
        )
        if self.wait_ready:
            self.ready()

    def __enter__(self) -> GatewayProcess:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def ready(self) -> None:
        """Wait until workers are there: `/readiness` answers 200."""
        self.answers("/readiness")

    def answers(self, path: str) -> None:
        """Wait until `path` answers 200; fails with the log when the process ends before."""
        end = time.monotonic() + self.ready_secs
        while not self._is_well(path):
            if self.process is not None and self.process.poll() is not None:
                raise AssertionError(f"ended with {self.process.returncode}:\n{self.log()}")
            if time.monotonic() > end:
                raise AssertionError(f"{path}: not in {self.ready_secs} s:\n{self.log()}")
            time.sleep(0.05)

    def _is_well(self, path: str) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=2) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError as error:
            error.close()
            return False
        except (OSError, http.client.HTTPException):
            return False

    def metrics(self) -> Samples:
        """A scrape of the metrics port."""
        address = f"http://127.0.0.1:{self.metrics_port}/metrics"
        with urllib.request.urlopen(address, timeout=5) as answer:
            return Samples(answer.read().decode())

    def log(self) -> str:
        """Everything printed so far, by the workers of `serve` too."""
        if self._log is None:
            return self._last_log
        # pread: the child shares the file's offset, which must stay at the end
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), size, 0).decode(errors="replace")

    def signal(self, number: int) -> None:
        """Send a signal to the gateway alone."""
        os.kill(self.pid, number)

    def wait(self, seconds: float = STOP_SECS) -> int:
        """Wait for the end; the exit code."""
        assert self.process is not None
        return self.process.wait(seconds)

    def stop(self) -> None:
        """SIGTERM, SIGTERM again to skip the drain, and SIGKILL for the whole group at last."""
        process = self.process
        if process is not None and process.poll() is None:
            for number, seconds in ((signal.SIGTERM, 1.0), (signal.SIGTERM, STOP_SECS)):
                with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
                    self.signal(number)
                    self.wait(seconds)
                    break
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if self._log is not None:
            self._last_log = self.log()
            self._log.close()
            self._log = None


def run_smg(*arguments: str, seconds: float = 30.0) -> subprocess.CompletedProcess[str]:
    """Run `python -m smg ...` to its end and return code and output."""
    command: Sequence[str] = [sys.executable, "-m", "smg", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
