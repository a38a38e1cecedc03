"""Simulated workers as processes that can be harmed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from perf.messages import MODEL
from perf.processes import HOST, NotReady, Program, call, start, wait_port

TOKEN_LATENCY_MS = 10
END_SECS = 10.0
TRIES = 100


class WorkerProcess:
    """A victim (see perf/chaos/faults.py) that is `python -m smg.sim` on a port of its own.

    `programs` is the list of what has to be stopped at the end of the run.
    """

    def __init__(self, port: int, programs: list[Program], directory: Path) -> None:
        self.port = port
        self.programs = programs
        self.directory = directory
        self.program: Program | None = None
        self._armed = self._frozen = False

    async def begin(self) -> None:
        """Start and wait until it listens."""
        command = [
            sys.executable, "-m", "smg.sim", "--preset", "instant", "--model", MODEL,
            "--token-latency-ms", str(TOKEN_LATENCY_MS), "--host", HOST, "--port", str(self.port),
        ]  # fmt: skip
        self.program = start(f"worker{self.port}", command, self.directory)
        self.programs.append(self.program)
        await wait_port(self.program, self.port)

    async def arm(self, spec: str) -> None:
        status, _ = await call(self.port, "POST", "/sim/faults", {"faults": [spec]})
        assert status == 200, spec
        self._armed = True

    async def kill(self) -> None:
        await self._end(signal.SIGKILL)

    async def restart(self) -> None:
        await self._end(signal.SIGTERM)
        await self.begin()

    async def freeze(self) -> None:
        assert self.program is not None
        os.kill(self.program.pid, signal.SIGSTOP)
        self._frozen = True

    async def heal(self) -> None:
        if self._frozen:
            assert self.program is not None
            os.kill(self.program.pid, signal.SIGCONT)
            self._frozen = False
        if self.program is None:
            await self.begin()
        elif self._armed:
            await self._disarm()
        self._armed = False

    async def _disarm(self) -> None:
        for _ in range(TRIES):
            try:
                await call(self.port, "DELETE", "/sim/faults")
                return
            except (OSError, EOFError):  # `refuse` strikes this connection, too
                await asyncio.sleep(0.02)
        raise NotReady(f"worker{self.port} refuses to be healed")

    async def _end(self, number: int) -> None:
        # Not Program.stop: it would hold the clients of the same loop up.
        program, self.program = self.program, None
        assert program is not None
        os.kill(program.pid, number)
        until = asyncio.get_running_loop().time() + END_SECS
        while program.process.poll() is None:
            if asyncio.get_running_loop().time() > until:
                raise NotReady(f"{program.name} does not end; its output: {program.log}")
            await asyncio.sleep(0.01)
        self.programs.remove(program)
