"""The simulated engine as a test double: in-process on the running loop, or as a subprocess.

async with SimWorker(preset="instant", tokens=4) as worker: worker.url, worker.engine
with SimProcess("--preset", "instant") as process: process.url, process.state()
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import urllib.request
from types import TracebackType
from typing import Any

from smg.sim.engine import Engine
from smg.sim.kv import KvStore
from smg.sim.pairs import PairEngine
from smg.sim.settings import make
from smg.sim.worker import Worker

STOP_SECS = 10


class SimWorker:
    """A worker on the running loop and a port chosen by the system.

    Keywords are fields of `SimSettings`.

    Without a preset it answers at once, so that tests wait for nothing they did not ask for.
    """

    def __init__(self, preset: str = "instant", **options: Any) -> None:
        options.setdefault("port", 0)
        options.setdefault("keep_requests", 64)
        self._worker_settings = make(preset, **options)
        self._worker: Worker | None = None

    @property
    def worker(self) -> Worker:
        """The running worker."""
        assert self._worker is not None, "use `async with SimWorker() as worker`"
        return self._worker

    @property
    def engine(self) -> Engine:
        """Counters, cache and faults, to look into and to change."""
        return self.worker.engine

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`."""
        return self.worker.url

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self.worker.settings.port

    @property
    def kv(self) -> KvStore:
        """What a prefill worker keeps for decode workers."""
        assert isinstance(self.engine, PairEngine)
        return self.engine.kv

    def fault(self, spec: str) -> None:
        """Misbehave from now on."""
        self.engine.faults.arm(spec)

    @property
    def last_headers(self) -> list[tuple[bytes, bytes]]:
        """Headers of the last model request, as they came."""
        return self.engine.recent[-1][3]

    @property
    def last_body(self) -> bytes:
        """Body of the last model request, as it came."""
        return self.engine.recent[-1][4]

    async def close(self) -> None:
        """Cut everything; later connections are refused."""
        if self._worker is not None:
            await self._worker.close()

    async def __aenter__(self) -> SimWorker:
        self._worker = Worker(self._worker_settings)
        await self._worker.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


class SimProcess:
    """`python -m smg.sim` as a child; ready when the `with` block is entered."""

    def __init__(self, *flags: str) -> None:
        self._flags = flags
        self.process: subprocess.Popen[str] | None = None
        self.url = ""

    @property
    def pid(self) -> int:
        """Process id, for signals and for /proc."""
        assert self.process is not None
        return self.process.pid

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.url.rpartition(":")[2])

    def __enter__(self) -> SimProcess:
        command = [sys.executable, "-m", "smg.sim"]
        if "--port" not in self._flags:
            command += ["--port", "0"]
        self.process = subprocess.Popen([*command, *self._flags], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the simulated engine ended with {self.process.wait()}")
        self.url = line.split()[-1]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> int:
        """SIGTERM, then SIGKILL; returns the exit code."""
        process = self.process
        assert process is not None
        process.terminate()
        try:
            code = process.wait(STOP_SECS)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        if process.stdout is not None:
            with contextlib.suppress(OSError):
                process.stdout.close()
        return code

    def state(self) -> dict[str, Any]:
        """`GET /sim/state`."""
        with urllib.request.urlopen(f"{self.url}/sim/state", timeout=5) as reply:
            state: dict[str, Any] = json.load(reply)
        return state

    def faults(self, *specs: str) -> None:
        """Replace the armed faults."""
        body = json.dumps({"faults": specs}).encode()
        request = urllib.request.Request(f"{self.url}/sim/faults", data=body, method="POST")
        urllib.request.urlopen(request, timeout=5).close()
