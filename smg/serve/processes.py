"""One worker process and all that belongs to it: group, output, end.

The worker leads a process group of its own, so that a terminal's Ctrl+C reaches only us and a stop
reaches everything the engine started. On Linux it gets SIGTERM when we die without stopping it.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO

log = logging.getLogger("smg.serve")

PR_SET_PDEATHSIG = 1
LINE_BYTES = 65_536
SECRET_FLAGS = ("--api-key", "--ssl-keyfile-password")
STDERR = 2
# Loaded here: between fork and exec nothing may be imported or allocated that another thread locks.
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class WorkerProcess:
    """A started worker. `on_end(self)` is called once, from a thread, when its leader ended."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        name: str,
        env: Mapping[str, str] | None = None,
        raw_output: bool = False,
    ) -> None:
        self.name = name
        self.command = list(command)
        self.on_end: Callable[[WorkerProcess], None] | None = None
        self._process = subprocess.Popen(
            self.command,
            env=None if env is None else dict(env),
            stdin=subprocess.DEVNULL,
            stdout=None if raw_output else subprocess.PIPE,
            stderr=None if raw_output else subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_parent(os.getpid()) if _LIBC is not None else None,
        )
        self._threads: list[threading.Thread] = []

    @property
    def pid(self) -> int:
        """Process id, also the id of its group."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Negative for a signal; None while it runs."""
        return self._process.returncode

    def watch(self, on_end: Callable[[WorkerProcess], None]) -> None:
        """Forward output and report the end; apart from the start: no threads before all forks."""
        self.on_end = on_end
        if self._process.stdout is not None:
            self._start_thread(self._forward, self._process.stdout)
        self._start_thread(self._wait)

    def _start_thread(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(
            target=target, args=arguments, name=f"{self.name}-{target.__name__}", daemon=True
        )
        self._threads.append(thread)
        thread.start()

    def _forward(self, output: IO[bytes]) -> None:
        prefix = f"[{self.name}] ".encode()
        with contextlib.suppress(OSError, ValueError), output:
            while line := output.readline(LINE_BYTES):
                end = b"" if line.endswith(b"\n") else b"\n"
                # To the descriptor: a daemon thread must hold no lock of sys.stderr at exit.
                os.write(STDERR, prefix + line + end)

    def _wait(self) -> None:
        self._process.wait()
        # What the leader left behind goes at once, before its group id can be anyone else's.
        self._signal_group(signal.SIGKILL)
        if self.on_end is not None:
            self.on_end(self)

    def _signal_group(self, signum: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signum)

    def terminate(self) -> None:
        """SIGTERM to the group, unless the leader has ended."""
        if self._process.poll() is None:
            self._signal_group(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to the group, unless it was killed after its leader's end."""
        if self._process.returncode is None:
            self._signal_group(signal.SIGKILL)

    def join(self, deadline: float) -> bool:
        """Wait for the leader until `deadline` (time.monotonic); False when it still runs."""
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            return False
        return True

    def drain(self, deadline: float) -> None:
        """Let the last output through, until `deadline` (time.monotonic)."""
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))


def shown(command: Sequence[str]) -> str:
    """A command line for the log: secrets blanked."""
    words: list[str] = []
    hide = False
    for word in command:
        name, equals, _ = word.partition("=")
        if hide:
            words.append("***")
        elif equals and name in SECRET_FLAGS:
            words.append(f"{name}=***")
        else:
            words.append(word)
        hide = not hide and word in SECRET_FLAGS
    return " ".join(words)


def _die_with_parent(parent: int) -> Callable[[], None]:
    """Runs in the child between fork and exec.

    The request is bound to the thread that forks: workers are started from the main thread only.
    """
    prctl = _LIBC.prctl if _LIBC is not None else None

    def ask() -> None:
        if prctl is not None:
            prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before we could ask
            os._exit(1)

    return ask
