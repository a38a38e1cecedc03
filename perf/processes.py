"""Starts and stops the programs of a run; waits until a gateway answers through every worker."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perf.gateways import ROOT, Gateway, Start
from perf.messages import MODEL, chat_body, request

HOST = "127.0.0.1"


class NotReady(Exception):
    """A program did not come up; the message says which, and where its output is."""


def free_ports(count: int) -> list[int]:
    """Ports free at this moment, held open together so that they differ."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((HOST, 0))
        return [int(one.getsockname()[1]) for one in sockets]


@dataclass
class Program:
    """A child process with its output in a file."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def stop(self, grace: float = 5.0) -> None:
        if self.process.poll() is None:
            # The group: peers may start helpers of their own.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(grace)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()


def start(name: str, command: Sequence[str], directory: Path) -> Program:
    log = directory / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, cwd=ROOT, start_new_session=True
        )
    return Program(name, process, log)


@contextlib.contextmanager
def running(programs: list[Program]) -> Iterator[list[Program]]:
    """Stops whatever is in the list at the end, last started first."""
    try:
        yield programs
    finally:
        for program in reversed(programs):
            program.stop()


def worker_command(kind: str, port: int) -> list[str]:
    if kind == "raw":
        return [sys.executable, "-m", "perf.worker", "--host", HOST, "--port", str(port)]
    if kind == "sim":
        return [
            sys.executable, "-m", "smg.sim", "--preset", "instant", "--model", MODEL,
            "--host", HOST, "--port", str(port),
        ]  # fmt: skip
    # Any other program: words with {host} and {port}.
    return [word.format(host=HOST, port=port) for word in kind.split()]


async def exchange(port: int, data: bytes, timeout: float = 5.0) -> bytes:
    """One request on a connection of its own; head and body, whatever its framing."""

    async def talk() -> bytes:
        reader, writer = await asyncio.open_connection(HOST, port)
        try:
            writer.write(data)
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
            if length:
                return head + await reader.readexactly(int(length[1]))
            if b"chunked" in head.lower():
                return head + await reader.readuntil(b"0\r\n\r\n")
            return head + await reader.read()
        finally:
            writer.close()

    return await asyncio.wait_for(talk(), timeout)


async def call(port: int, method: str, path: str, body: object = None) -> tuple[int, Any]:
    """One request to the admin API: status and decoded JSON (an empty body is `{}`)."""
    data = b"" if body is None else json.dumps(body).encode()
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    answer = await exchange(port, head.encode() + data, timeout=30)
    return int(answer[9:12]), json.loads(answer.partition(b"\r\n\r\n")[2] or b"{}")


async def fetch(port: int, path: str, timeout: float = 5.0) -> bytes:
    """The body of a GET."""
    data = f"GET {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\nConnection: close\r\n\r\n".encode()
    return (await exchange(port, data, timeout)).partition(b"\r\n\r\n")[2]


async def wait_port(program: Program, port: int, timeout: float = 20.0) -> None:
    until = time.monotonic() + timeout
    while time.monotonic() < until:
        if program.process.poll() is not None:
            break
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(HOST, port)
            writer.close()
            return
        await asyncio.sleep(0.05)
    raise NotReady(f"{program.name} does not listen; its output: {program.log}")


async def wait_answers(
    program: Program, port: int, worker_ports: Sequence[int], *, named: bool, timeout: float = 30.0
) -> None:
    """Ready = chat is answered by every worker.

    Of workers that do not name themselves, 8 good answers in a row are enough.
    """
    data = request(chat_body(), HOST, port)
    missing = {b"worker-%d" % worker for worker in worker_ports}
    in_a_row = 0
    until = time.monotonic() + timeout
    while time.monotonic() < until:
        if program.process.poll() is not None:
            break
        answer = b""
        with contextlib.suppress(OSError, EOFError, asyncio.TimeoutError):
            answer = await exchange(port, data)
        in_a_row = in_a_row + 1 if answer.startswith(b"HTTP/1.1 200") else 0
        missing = {name for name in missing if name not in answer}
        if (named and not missing) or (not named and in_a_row >= 8):
            return
        if not in_a_row:
            await asyncio.sleep(0.1)
    raise NotReady(
        f"{program.name} does not answer through every worker; its output: {program.log}"
    )


async def start_workers(
    programs: list[Program], kind: str, count: int, directory: Path
) -> list[int]:
    ports = free_ports(count)
    for number, port in enumerate(ports):
        program = start(f"worker{number}", worker_command(kind, port), directory)
        programs.append(program)
        await wait_port(program, port)
    return ports


@dataclass
class Running:
    """A gateway that answers."""

    gateway: Gateway
    program: Program
    port: int
    metrics_port: int
    seconds_to_ready: float


async def start_gateway(
    programs: list[Program],
    gateway: Gateway,
    worker_ports: Sequence[int],
    directory: Path,
    *,
    named: bool = True,
    many_streams: bool = False,
    policy: str = "round_robin",
    extra: Sequence[str] = (),
    prefix: Sequence[str] = (),
    timeout: float = 30.0,
) -> Running:
    """Starts a gateway and waits for it; `prefix` runs it under another program."""
    port, metrics_port = free_ports(2)
    workers = [f"http://{HOST}:{worker}" for worker in worker_ports]
    own = directory / gateway.name
    own.mkdir(exist_ok=True)
    command = gateway.command(Start(HOST, port, metrics_port, workers, own, many_streams, policy))
    if command is None:
        raise NotReady(f"{gateway.name} is not installed (perf/peers.sh)")
    begun = time.monotonic()
    program = start(gateway.name, [*prefix, *command, *extra], directory)
    programs.append(program)
    await wait_answers(program, port, worker_ports, named=named, timeout=timeout)
    return Running(gateway, program, port, metrics_port, time.monotonic() - begun)
